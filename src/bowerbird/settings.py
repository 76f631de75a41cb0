"""Where things are and how much of the machine may be used; the one place that reads the environment."""

from __future__ import annotations

from pathlib import Path

from pydantic import Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from bowerbird.errors import UserError


class Settings(BaseSettings):
    """Read from ``BOWERBIRD_*`` in the environment; an empty value counts as none."""

    model_config = SettingsConfigDict(env_prefix="BOWERBIRD_", env_ignore_empty=True, frozen=True)

    home: Path = Path(".bowerbird")
    """The home folder: tables, runs, cache."""
    data_mirror: Path | None = None
    """A folder that stands in for the network in ``data get``."""
    memory_limit: str | None = None
    """DuckDB's memory limit, such as ``4GB``; DuckDB's own default if absent."""
    threads: int | None = Field(default=None, ge=1)
    """Threads of DuckDB and torch; all cores if absent."""
    llm_url: str | None = None
    """The OpenAI-compatible endpoint of the language model that a recipe asks, such as ``https://host/v1``."""
    llm_key: SecretStr | None = None
    """The key for it."""
    retention_days: int = Field(default=30, ge=1)
    """How far back rollback and replay reach, in days since a version was last shown; its files may be deleted after that."""
    embeddings_url: str | None = None
    """Base address of an OpenAI-compatible embeddings endpoint, such as ``https://example.com/v1``."""
    embeddings_key: SecretStr | None = None
    """The key for it."""
    embeddings_timeout_seconds: float = Field(default=60, gt=0)
    """How long one request may take."""
    embeddings_retries: int = Field(default=5, ge=0, le=20)
    """How often a request is tried again, with growing pauses."""
    report_port: int = Field(default=4280, ge=1, le=65535)
    """Where ``bowerbird ui`` serves the reports, on 127.0.0.1."""
    ui_port: int = Field(default=4200, ge=1, le=65535)
    """Where ``bowerbird ui`` serves Prefect, on 127.0.0.1."""

    def __init__(self) -> None:
        """Read the environment. Raises UserError for a value that is not allowed."""
        try:
            super().__init__()
        except ValidationError as error:
            first = error.errors()[0]
            name = f"BOWERBIRD_{str(first['loc'][0]).upper()}"
            raise UserError(f"{name} is {first['input']!r}: {first['msg']}", next_step=f"set {name} to another value") from error

"""Settings read the environment, and say which variable is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest

from bowerbird.errors import UserError
from bowerbird.settings import Settings


@pytest.fixture(autouse=True)
def _empty_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in Settings.model_fields:
        monkeypatch.delenv(f"BOWERBIRD_{name.upper()}", raising=False)


def test_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOWERBIRD_HOME", "/data/é 中文")
    monkeypatch.setenv("BOWERBIRD_THREADS", "2")
    settings = Settings()
    assert (settings.home, settings.threads, settings.memory_limit) == (Path("/data/é 中文"), 2, None)


def test_empty_value_counts_as_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOWERBIRD_HOME", "")
    monkeypatch.setenv("BOWERBIRD_DATA_MIRROR", "")
    assert (Settings().home, Settings().data_mirror) == (Path(".bowerbird"), None)


@pytest.mark.parametrize(
    ("name", "value"), [("THREADS", "0"), ("THREADS", "two"), ("RETENTION_DAYS", "-1"), ("UI_PORT", "70000")]
)
def test_value_that_is_not_allowed_names_its_variable(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(f"BOWERBIRD_{name}", value)
    with pytest.raises(UserError, match=f"BOWERBIRD_{name} is '{value}'"):
        Settings()

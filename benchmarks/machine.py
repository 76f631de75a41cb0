"""What every dated result names: processor and commit; and an environment free of another Prefect or Bowerbird."""

from __future__ import annotations

import os
from pathlib import Path

from bowerbird.pipeline.run import code_commit


def cpu() -> str:
    """Return the processor's name."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    return next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), "unknown")


def commit() -> str:
    """Return the short commit of the checkout that runs."""
    return (code_commit() or "unknown")[:7]


def clean_environment() -> dict[str, str]:
    """Return the environment less what another Prefect or Bowerbird has put there."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "BOWERBIRD_"))}

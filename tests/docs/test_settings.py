"""Each setting stands in the reference."""

from __future__ import annotations

from bowerbird.settings import Settings
from tests.docs.pages import rows, sections


def test_settings_stand_in_the_reference() -> None:
    assert sorted(rows(sections("settings.md")[""])) == sorted(f"BOWERBIRD_{name.upper()}" for name in Settings.model_fields)

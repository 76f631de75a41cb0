"""The conformance suite for sasrec, and what only it must do."""

from __future__ import annotations

from bowerbird.testing import ModelConformance


class TestSasrec(ModelConformance):
    name = "sasrec"

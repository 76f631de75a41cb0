"""Settings of ``esasrec``, apart from the model: a recipe is checked without the seconds that torch takes to import."""

from __future__ import annotations

from bowerbird.models.sasrec_config import SasrecConfig


class EsasrecConfig(SasrecConfig):
    """Settings of ``esasrec``: those of ``sasrec``."""

"""The conformance suite for esasrec, and what only it must do."""

from __future__ import annotations

from tests.models.sequential import SequentialConformance


class TestEsasrec(SequentialConformance):
    name = "esasrec"
    expected_ndcg = 0.0558
    can_update = True
    update_is_exact = False

"""The conformance suite for gru4rec, and what only it must do."""

from __future__ import annotations

from tests.models.sequential import SequentialConformance


class TestGru4rec(SequentialConformance):
    name = "gru4rec"
    expected_ndcg = 0.0534
    can_update = True
    update_is_exact = False

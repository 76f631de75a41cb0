"""The conformance suite for gru4rec, and what only it must do."""

from __future__ import annotations

from tests.models.sequential import SequentialConformance


class TestGru4rec(SequentialConformance):
    name = "gru4rec"
    expected_ndcg = None
    can_update = True
    update_is_exact = False

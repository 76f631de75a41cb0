"""Behavioural checks: what a list must not do, whatever its accuracy; docs/reference/behaviour.md lists them with their bounds.

The idea of testing recommenders by behaviour is from Tagliabue et al., "Beyond NDCG: behavioral testing of recommender systems
with RecList", WWW 2022 Companion. A check of your own is a function with a decorator: see docs/how-to/behaviour.md.
"""

from __future__ import annotations

from bowerbird.evaluation.behaviour.check import Check, Finding, check
from bowerbird.evaluation.behaviour.context import Context

__all__ = ["Check", "Context", "Finding", "check"]

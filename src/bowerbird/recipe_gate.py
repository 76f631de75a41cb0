"""The recipe's [gate]: the policy by which a candidate may be published."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from bowerbird.recipe_values import Section, Share


class Gate(Section):
    """When a candidate may be published."""

    metric: Literal["ndcg", "recall", "mrr", "map", "hit_rate"] = "ndcg"
    k: Annotated[int, Field(ge=1, le=1000)] = 10
    margin: Annotated[float, Field(ge=0, lt=1)] = 0.05
    """A refresh is held when it is significantly more than this share below its own last five runs."""
    min_coverage: Share = 0.0
    """Share of the catalogue that the lists must reach."""
    min_users: Annotated[int, Field(ge=1)] = 50
    """So many users must differ before a change counts as proven."""
    min_refit_overlap: Share = 0.05
    """Mean share of a list that evaluated and refitted model must have in common."""
    overlap_band: tuple[Share, Share] = (0.0, 1.0)
    """Share of a list that a refresh has in common with the published one."""

    @model_validator(mode="after")
    def _band_rises(self) -> Self:
        low, high = self.overlap_band
        if low > high:
            raise ValueError(f"overlap_band begins at {low:g}, above its end at {high:g}")
        return self

"""Settings of ``bert4rec``, apart from the model: a recipe is checked without the seconds that torch takes to import."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from pydantic import Field

from bowerbird.models.sasrec_config import SasrecConfig

if TYPE_CHECKING:
    from bowerbird.data.sequences import Sequences

FACTOR, MOST_EPOCHS, MAX_TOKENS, DROPOUT = 5, 60, 30e6, 0.2


class Bert4recConfig(SasrecConfig):
    """Settings of ``bert4rec``: those of ``sasrec``, and what is masked."""

    mask_share: float = Field(default=0.2, ge=0, le=0.9)
    """Share of the events, besides the last of each window, that are masked and foretold."""
    cut_share: float = Field(default=0.5, ge=0, le=1)
    """Share of the windows that end early, at an event drawn anew each time, so that not the same event is always the last."""
    patience: int = Field(default=10, ge=1)
    """Validations without a better one before the search for the number of epochs ends; it is slow to begin."""

    def with_defaults(self, sequences: Sequences, *, num_items: int) -> Self:
        """See ``SequentialConfig``; five times the epochs, up to 60 and 30 M events, for few targets are learned in each.

        Dropout is 0.2 whatever the size: masks and cuts show each history in another way every time, and with 0.5 it reached
        two thirds on Amazon Beauty. No more places are read than the longest user trains: what others weigh is chance.
        """
        filled = super().with_defaults(sequences, num_items=num_items)
        longest = max(int(sequences.lengths.max(initial=0)) - 1, 1)
        base, affordable = filled.max_epochs or 1, int(MAX_TOKENS / max(sequences.num_targets, 1))
        rules = {
            "dropout": DROPOUT,
            "max_length": min(filled.max_length or 1, longest),
            "max_epochs": max(base, min(FACTOR * base, MOST_EPOCHS, affordable)),
        }
        return filled.model_copy(update={key: value for key, value in rules.items() if getattr(self, key) is None})

"""Settings of ``hstu``, apart from the model: a recipe is checked without the seconds that torch takes to import."""

from __future__ import annotations

from typing import TYPE_CHECKING, Self

from bowerbird.models.sasrec_config import SasrecConfig

if TYPE_CHECKING:
    from bowerbird.data.sequences import Sequences


class HstuConfig(SasrecConfig):
    """Settings of ``hstu``: those of ``sasrec``, and how time is read."""

    request_time: bool = False
    """Whether the time from each event to the request is read, rather than to the last event.

    In training the next event's own time stands for the request's: it says when the user came back, which is known only where
    lists are made at that moment. Where they are made ahead, as every night, leave it off. Published figures of HSTU are with
    the target's time, and do not compare with those of models that do not know it.
    """

    def with_defaults(self, sequences: Sequences, *, num_items: int) -> Self:
        """See ``SequentialConfig``; no more places are read than the longest user trains: what others weigh is chance."""
        filled = super().with_defaults(sequences, num_items=num_items)
        longest = max(int(sequences.lengths.max(initial=0)) - 1, 1)
        return filled if self.max_length else filled.model_copy(update={"max_length": min(filled.max_length or 1, longest)})

"""Batches of windows of like length."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from bowerbird.data.sequences import Sequences, cut_windows
from bowerbird.training.batches import epoch_batches, num_batches, padded_batches


def numbered(*sizes: int) -> Sequences:
    """Sequences in which every event is an item of its own."""
    return Sequences(np.arange(sum(sizes), dtype=np.int64), np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64))


@pytest.mark.parametrize("seed", [None, 1, 2])
def test_batches_cover_every_position_exactly_once_an_epoch(seed: int | None) -> None:
    sequences = numbered(0, 1, 2, 30, 5, 5, 5, 9, 100, 3)
    generator = None if seed is None else torch.Generator().manual_seed(seed)
    batches = list(epoch_batches(sequences, max_length=8, batch_tokens=32, generator=generator))
    targets = torch.cat([batch.tokens[:, 1:].flatten()[batch.places] for batch in batches])
    expected = np.setdiff1d(np.arange(len(sequences.items)), sequences.indptr[:-1])
    assert sorted(targets.tolist()) == expected.tolist()


def test_each_target_is_read_from_the_item_before_it() -> None:
    for batch in epoch_batches(numbered(12, 4, 4), max_length=5, batch_tokens=10, generator=torch.Generator().manual_seed(1)):
        read = batch.tokens[:, :-1].flatten()[batch.places]
        assert torch.equal(batch.tokens[:, 1:].flatten()[batch.places], read + 1)


def test_batches_are_about_as_large_as_asked_and_hardly_padded() -> None:
    sequences = numbered(*(np.random.default_rng(1).geometric(0.1, 2000) + 1))
    batches = list(epoch_batches(sequences, max_length=50, batch_tokens=1024, generator=torch.Generator().manual_seed(1)))
    padded = sum(batch.tokens[:, 1:].numel() for batch in batches)
    assert max(batch.tokens[:, 1:].numel() for batch in batches) <= 1024
    assert padded < 1.1 * sequences.num_targets
    assert len(batches) <= 1.2 * padded / 1024 + 1


def test_the_number_of_batches_is_known_beforehand() -> None:
    sequences = numbered(20, 7, 7, 3)
    assert num_batches(cut_windows(sequences, 6), 12) == len(list(epoch_batches(sequences, max_length=6, batch_tokens=12)))


def test_the_same_seed_gives_the_same_batches_and_another_epoch_others() -> None:
    def epoch(generator: torch.Generator) -> list[list[list[int]]]:
        batches = epoch_batches(numbered(30, 20, 9, 9, 9), max_length=8, batch_tokens=16, generator=generator)
        return [batch.tokens.tolist() for batch in batches]

    generator = torch.Generator().manual_seed(1)
    first, second = epoch(generator), epoch(generator)
    assert first == epoch(torch.Generator().manual_seed(1))
    assert first != second


def test_rows_for_inference_leave_empty_sequences_out() -> None:
    rows, tokens, context = next(padded_batches(numbered(2, 0, 3)))
    assert rows.tolist() == [2, 0]
    assert tokens.tolist() == [[2, 3, 4], [0, 1, 0]]
    assert context.lengths.tolist() == [3, 2]


def test_times_stand_beside_the_events_read_and_tell_when_the_next_one_is_asked_for() -> None:
    sequences = Sequences(np.arange(5), np.asarray([0, 3, 5]), np.arange(5) * 10, np.arange(5) % 2)
    (batch,) = epoch_batches(sequences, max_length=5, batch_tokens=100)
    context = batch.context
    assert context.timestamps is not None and context.asked is not None and context.events is not None
    assert context.lengths.tolist() == [2, 1]
    assert context.timestamps.flatten()[batch.places].tolist() == [0, 10, 30]
    assert context.asked.flatten()[batch.places].tolist() == [10, 20, 40]
    assert context.events.flatten()[batch.places].tolist() == [0, 1, 1]


def test_a_request_tells_its_own_time_after_the_last_event() -> None:
    sequences = Sequences(np.arange(5), np.asarray([0, 3, 5]), np.arange(5) * 10)
    _, _, context = next(padded_batches(sequences, asked=np.asarray([99, 77])))
    assert context.asked is not None
    assert context.asked[0].tolist() == [10, 20, 99]
    assert context.asked[1, :2].tolist() == [40, 77]


def test_events_that_are_no_targets_are_read_but_not_learned_from() -> None:
    sequences = numbered(4, 3)
    are_targets = np.array([True, False, True, False, True, True, False])
    one = Sequences(sequences.items, sequences.indptr, are_targets=are_targets)
    (batch,) = epoch_batches(one, max_length=8, batch_tokens=32)
    assert batch.tokens[:, 1:].flatten()[batch.places].tolist() == [2, 5]
    assert batch.context.lengths.tolist() == [3, 2]

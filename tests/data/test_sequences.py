"""Sequences and the windows cut from them."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from bowerbird.data.interactions import Interactions
from bowerbird.data.sequences import Sequences, Windows, cut_windows


def sequences_of(*lists: list[int]) -> Sequences:
    lengths = [len(items) for items in lists]
    return Sequences(np.concatenate([np.asarray(items, np.int64) for items in lists]), np.concatenate([[0], np.cumsum(lengths)]))


def targets_of(windows: Windows) -> list[list[int]]:
    """Events that each window has as targets."""
    return [list(range(start + 1, start + size + 1)) for start, size in zip(windows.starts, windows.sizes, strict=True)]


def test_only_evidence_is_in_a_sequence_and_repeats_stay() -> None:
    frame = pd.DataFrame(
        {
            "user_id": ["a", "a", "a", "a", "b"],
            "item_id": ["x", "x", "y", "x", "y"],
            "timestamp": [3, 1, 2, 4, 1],
            "weight": [1.0, 1.0, 0.0, 0.5, 0.0],
        }
    )
    sequences = Sequences.from_interactions(Interactions.from_frame(frame))
    assert sequences.items.tolist() == [0, 0, 0]
    assert sequences.indptr.tolist() == [0, 3, 3], "the user without evidence has an empty sequence"
    assert sequences.num_targets == 2


def test_last_events_are_left_out_of_the_chosen_only() -> None:
    rest = sequences_of([1, 2, 3], [4, 5], [6, 7]).without_last(np.asarray([0, 2]))
    assert rest.items.tolist() == [1, 2, 4, 5, 6]
    assert rest.indptr.tolist() == [0, 2, 4, 5]


def test_sequences_are_selected_in_the_order_asked_for() -> None:
    chosen = sequences_of([1, 2, 3], [], [4, 5]).select(np.asarray([2, 1, 0]))
    assert chosen.items.tolist() == [4, 5, 1, 2, 3]
    assert chosen.lengths.tolist() == [2, 0, 3]


def test_a_tail_keeps_the_newest_events() -> None:
    tail = sequences_of([1, 2, 3], [4]).tail(2)
    assert tail.items.tolist() == [2, 3, 4]
    assert tail.indptr.tolist() == [0, 2, 3]


def test_long_sequences_are_cut_and_shifted() -> None:
    sequences = sequences_of(list(range(8)), [8, 9], [10])
    assert targets_of(cut_windows(sequences, 3)) == [[1, 2, 3], [4, 5, 6], [7], [9]]
    assert targets_of(cut_windows(sequences, 3, np.asarray([1, 2, 0]))) == [[1, 2], [3, 4, 5], [6, 7], [9]]


@pytest.mark.parametrize("length", [1, 3, 50])
def test_every_event_but_the_first_is_the_target_of_exactly_one_window(length: int) -> None:
    rng = np.random.default_rng(1)
    sequences = sequences_of(*[list(range(size)) for size in (0, 1, 2, 3, 4, 7, 50, 51, 120)])
    windows = cut_windows(sequences, length, rng.integers(0, length, len(sequences)))
    expected = np.setdiff1d(np.arange(len(sequences.items)), sequences.indptr[:-1])
    assert sorted(event for targets in targets_of(windows) for event in targets) == expected.tolist()
    assert windows.sizes.max() <= length
    assert windows.sizes.min() >= 1


def test_times_and_event_types_stay_with_their_events() -> None:
    sequences = Sequences(np.arange(5), np.asarray([0, 3, 5]), np.arange(5) * 10, np.arange(5) * 100)
    part = sequences.tail(2).select(np.asarray([1, 0])).without_last(np.asarray([1]))
    assert part.timestamps is not None and part.events is not None
    assert part.items.tolist() == [3, 4, 1]
    assert part.timestamps.tolist() == [30, 40, 10]
    assert part.events.tolist() == [300, 400, 100]


def test_news_alone_are_targets_of_the_sequences_that_have_some_and_a_first_event_is_none() -> None:
    """The second user has no news, the third nothing but one event, which foretells nothing."""
    three = Sequences(np.arange(6), np.array([0, 3, 5, 6]), np.array([1, 8, 9, 1, 2, 9]))
    news = three.targeting(8)
    assert news.items.tolist() == [0, 1, 2]
    assert news.are_targets is not None
    assert news.are_targets.tolist() == [False, True, True]
    both = Sequences.joined([three, news])
    assert (both.items.tolist(), both.indptr.tolist()) == ([0, 1, 2, 3, 4, 5, 0, 1, 2], [0, 3, 5, 6, 9])
    assert both.are_targets is not None
    assert both.are_targets.tolist() == [True] * 6 + [False, True, True]

import numpy as np
import pandas as pd
import pytest

from bowerbird import Interactions
from bowerbird.errors import DataError


def frame(**columns: object) -> pd.DataFrame:
    """Return four events of two users, out of order; columns given replace or add."""
    base = {"user_id": ["b", "a", "a", "b"], "item_id": ["y", "z", "x", "y"], "timestamp": [30, 20, 10, 30]}
    return pd.DataFrame(base | columns)


def test_events_are_ordered_by_user_then_time_and_ties_keep_their_rows() -> None:
    data = Interactions.from_frame(frame(weight=[1, 2, 3, 4]))
    assert data.user_ids[data.users].tolist() == ["a", "a", "b", "b"]
    assert data.item_ids[data.items].tolist() == ["x", "z", "y", "y"]
    assert data.weights.tolist() == [3, 2, 1, 4]
    assert data.timestamps.tolist() == [10_000_000, 20_000_000, 30_000_000, 30_000_000]
    assert data.indptr.tolist() == [0, 2, 4]


def test_codes_follow_the_order_of_the_ids() -> None:
    data = Interactions.from_frame(frame(item_id=[10, 9, -1, 100]))
    assert data.item_ids.tolist() == [-1, 9, 10, 100]
    assert data.item_index.get_indexer(pd.Index([100, 5])).tolist() == [3, -1]


def test_a_frame_survives_the_way_there_and_back() -> None:
    data = Interactions.from_frame(frame(weight=[1.0, 2, 3, 4], event=["v", "b", "v", "b"], label=[0.0, 1, 2, 3]))
    again = Interactions.from_frame(data.to_frame())
    assert again.to_frame().equals(data.to_frame())


@pytest.mark.parametrize(
    "times",
    [
        pd.to_datetime([30, 20, 10, 30], unit="s"),
        pd.to_datetime([30, 20, 10, 30], unit="s", utc=True),
        pd.to_datetime([30, 20, 10, 30], unit="s", utc=True).tz_convert("Asia/Shanghai"),
        [30.0, 20.0, 10.0, 30.0],
        ["1970-01-01T00:00:30", "1970-01-01T00:00:20", "1970-01-01T00:00:10", "1970-01-01T00:00:30"],
    ],
)
def test_times_of_all_kinds_mean_the_same(times: object) -> None:
    assert Interactions.from_frame(frame(timestamp=times)).timestamps.tolist() == [10**7, 2 * 10**7, 3 * 10**7, 3 * 10**7]


def test_a_wider_catalogue_keeps_items_without_events() -> None:
    data = Interactions.from_frame(frame(), item_ids=np.asarray(["a", "y"], object))
    assert data.item_ids.tolist() == ["a", "x", "y", "z"]
    assert data.item_ids[data.items].tolist() == ["x", "z", "y", "y"]
    assert data.item_weights().tolist() == [0, 1, 2, 1]


def test_a_catalogue_of_another_type_is_an_error() -> None:
    with pytest.raises(DataError, match="on one side"):
        Interactions.from_frame(frame(), item_ids=np.asarray([1, 2]))


@pytest.mark.parametrize(
    ("columns", "word"),
    [
        ({"user_id": ["a", None, "b", "b"]}, "no user_id"),
        ({"item_id": ["a", 1, "b", "b"]}, "mixes types"),
        ({"item_id": [0.5, 1.5, 2.5, 3.5]}, "item_id holds float"),
        ({"user_id": [True, False, True, False]}, "user_id holds bool"),
        ({"timestamp": [1.0, np.nan, 2, 3]}, "timestamps are missing"),
        ({"timestamp": [1.0, np.inf, 2, 3]}, "not finite"),
        ({"timestamp": [1_700_000_000_000] * 4}, "beyond the year 9999"),
        ({"timestamp": ["soon"] * 4}, "cannot be read"),
        ({"weight": [1, -1, 1, 1]}, "negative or not finite"),
        ({"weight": ["much"] * 4}, "no number"),
        ({"event": ["view", None, "view", "buy"]}, "no event type"),
    ],
)
def test_data_that_cannot_be_read_is_an_error(columns: dict[str, object], word: str) -> None:
    with pytest.raises(DataError, match=word):
        Interactions.from_frame(frame(**columns))


def test_evidence_before_and_events_select_rows_but_keep_the_codes() -> None:
    data = Interactions.from_frame(frame(weight=[1, 0, 1, 1], event=["view", "buy", "view", "buy"]))
    assert len(data.evidence()) == 3
    assert data.before(20_000_000).to_frame()["item_id"].tolist() == ["x"]
    assert data.before(20_000_000).item_ids.tolist() == ["x", "y", "z"]
    assert data.has_event(["buy", "never"]).tolist() == [False, True, False, True]
    assert data.last_timestamp == 30_000_000
    assert data.item_weights(since=20_000_000).tolist() == [0, 2, 0]


def test_no_rows_are_read_as_no_events() -> None:
    data = Interactions.from_frame(frame().head(0))
    assert len(data) == data.num_users == data.last_timestamp == 0


@pytest.mark.parametrize("cut", range(5))
def test_joined_logs_are_what_reading_all_rows_at_once_gives(cut: int) -> None:
    rows = frame(weight=[1, 2, 3, 4], event=["view", "buy", "cart", "buy"], label=[1.0, 2, 3, 4])
    first, second = Interactions.from_frame(rows.iloc[:cut]), Interactions.from_frame(rows.iloc[cut:])
    joined, whole = first.concat(second), Interactions.from_frame(rows)
    assert joined.to_frame().equals(whole.to_frame())
    assert joined.user_ids.tolist() == whole.user_ids.tolist()
    assert joined.item_ids.tolist() == whole.item_ids.tolist()


def test_sessions_of_two_logs_are_different_sessions() -> None:
    first = Interactions.from_frame(frame(session_id=["s", "s", None, "t"]))
    joined = first.concat(first)
    assert joined.sessions is not None
    assert len(set(joined.sessions.tolist())) == 5
    assert (joined.sessions == -1).sum() == 2


def test_logs_with_ids_of_different_types_cannot_be_joined() -> None:
    with pytest.raises(DataError, match="on one side"):
        Interactions.from_frame(frame()).concat(Interactions.from_frame(frame(item_id=[1, 2, 3, 4])))


def test_signed_and_unsigned_ids_are_joined_exactly() -> None:
    small, large = Interactions.from_frame(frame(item_id=[-1, 2, 3, 4])), Interactions.from_frame(frame(item_id=[2**63 + 1] * 4))
    assert small.concat(large).item_ids.tolist() == [-1, 2, 3, 4, 2**63 + 1]


def test_a_wider_catalogue_keeps_events_and_order() -> None:
    data = Interactions.from_frame(pd.DataFrame({"user_id": ["a", "a"], "item_id": ["k", "m"], "timestamp": [1, 2]}))
    wider = data.with_items(np.asarray(["z", "a", "m"], object))
    assert wider.item_ids.tolist() == ["a", "k", "m", "z"]
    assert wider.to_frame().equals(data.to_frame())
    assert data.with_items(np.asarray(["k"], object)) is data

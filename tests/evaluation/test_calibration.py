import numpy as np
import pandas as pd
import pytest

from bowerbird.errors import CapabilityError, DataError
from bowerbird.evaluation.calibration import against_all_candidates, calibration, fine_bins, pooled


def test_each_bin_holds_an_equal_part_of_the_expected_positives() -> None:
    p = np.array([0.1, 0.5, 0.1, 0.2, 0.1])  # expected: 1.0 in all, 0.5 a bin
    found = calibration(p, np.array([True, True, False, False, False]), num_bins=2)
    assert found.bins["num_pairs"].tolist() == [4, 1]
    assert found.bins["expected"].tolist() == pytest.approx([0.5, 0.5])
    assert found.bins["observed"].tolist() == [1, 1]
    assert found.bins["mean_probability"].tolist() == pytest.approx([0.125, 0.5])
    assert found.bins["positive_rate"].tolist() == [0.25, 1.0]
    assert (found.num_pairs, found.observed) == (5, 2)
    assert found.expected == pytest.approx(1)
    assert found.ece == pytest.approx(4 / 5 * (0.25 - 0.125) + 1 / 5 * (1 - 0.5))
    assert found.relative_error == pytest.approx(found.ece * 5 / 2)


def test_pairs_of_one_probability_share_a_bin_whatever_their_order() -> None:
    p = np.full(6, 0.5)
    found = calibration(p, np.array([True, True, True, False, False, False]), num_bins=3)
    assert len(found.bins) == 1 and found.ece == 0


def test_nothing_that_came_true_has_no_relative_error() -> None:
    found = calibration(np.array([0.0, 0.5]), np.array([False, False]))
    assert found.ece == 0.25 and np.isnan(found.relative_error)


@pytest.mark.parametrize("p", [[0.5], [], [0.5, 1.5], [0.5, np.nan]])
def test_what_is_no_probability_is_an_error(p: list[float]) -> None:
    with pytest.raises(DataError):
        calibration(np.array(p), np.array([True, False]))


class Half:
    """Says 1/2 of every item it knows, and nothing of user z."""

    class data:
        item_ids = np.array(["i", "j"], object)
        item_index = pd.Index(["i", "j"])

    def predict_proba(self, pairs: pd.DataFrame) -> np.ndarray:
        return np.where(pairs["user_id"] == "z", np.nan, 0.5)


def test_all_candidates_of_the_users_asked_about_count_and_no_others(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("bowerbird.evaluation.calibration.BLOCK_PAIRS", 2)
    rows = [("a", "i"), ("a", "i"), ("b", "unknown"), ("c", "i"), ("z", "j"), ("b", "j")]
    found = against_all_candidates(Half(), ["a", "b", "z"], pd.DataFrame(rows, columns=["user_id", "item_id"]))
    assert (found.num_pairs, found.expected, found.observed) == (4, 2.0, 2)


def test_windows_are_put_together_in_bins_of_equal_expectation() -> None:
    first = calibration(np.array([0.1, 0.3]), np.array([False, True]), num_bins=9).bins
    second = calibration(np.array([0.2, 0.4]), np.array([False, False]), num_bins=9).bins
    found = pooled([first, second], num_bins=2)
    assert found.bins["expected"].tolist() == pytest.approx([0.1 + 0.2 + 0.3, 0.4])
    assert found.bins["observed"].tolist() == [1, 0]
    assert (found.num_pairs, found.observed) == (4, 1) and found.expected == pytest.approx(1)
    assert found.relative_error == pytest.approx(0.4 + 0.4)


def test_of_many_users_some_are_asked_about_the_same_for_one_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    class Many(Half):
        class data(Half.data):
            user_ids = np.array(list("abcdefgh"), object)
            num_items = 2

        asked: list[str] = []  # noqa: RUF012  filled below

        def predict_proba(self, pairs: pd.DataFrame) -> np.ndarray:
            self.asked += sorted(set(pairs["user_id"]))
            return super().predict_proba(pairs)

    monkeypatch.setattr("bowerbird.evaluation.calibration.MAX_PAIRS", 6)
    nothing = pd.DataFrame({"user_id": [], "item_id": []})
    for _ in range(2):
        assert fine_bins(Many(), nothing, seed=7)["num_pairs"].sum() == 6
    assert len(Many.asked) == 6 and Many.asked[:3] == Many.asked[3:]


def test_a_model_without_probabilities_has_no_bins() -> None:
    class Scores(Half):
        class data(Half.data):
            user_ids = np.array(["a"], object)
            num_items = 2

        def predict_proba(self, pairs: pd.DataFrame) -> np.ndarray:
            raise CapabilityError("scores only", next_step="use score(pairs)")

    assert fine_bins(Scores(), pd.DataFrame({"user_id": [], "item_id": []}), seed=1) is None


def test_calibration_agrees_with_the_row_of_the_reference():
    found = calibration(np.asarray([0.25, 0.25, 0.5]), np.asarray([False, False, True]), num_bins=2)
    assert found.ece == pytest.approx(1 / 3)
    assert found.relative_error == pytest.approx(1)

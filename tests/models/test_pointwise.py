"""How training rows of pointwise rankers come about, and how scores become probabilities."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bowerbird import build_model
from bowerbird.data.interactions import MICROSECONDS_A_DAY
from bowerbird.errors import CapabilityError
from bowerbird.models.calibrate import curve, platt, prior_corrected, probabilities
from bowerbird.models.pair_samples import CutOff
from tests.models.pointwise import log_of

RANKERS = ("naive_bayes", "decision_tree", "linear_svm")
ROWS = [
    ("ann", "tea", 1), ("bob", "cup", 2), ("bob", "tea", 3),
    ("ann", "cup", 11), ("ann", "cup", 12), ("bob", "new", 12), ("zoe", "tea", 13), ("ann", "tea", 25),
]  # fmt: skip


def cut_off(day: int = 10, horizon: int = 10) -> CutOff:
    horizon *= MICROSECONDS_A_DAY
    return CutOff.at(log_of(ROWS), day * MICROSECONDS_A_DAY, horizon, items=None, users=None, generator=np.random.default_rng(1))


def test_candidates_are_users_and_items_of_the_past_and_positives_what_they_do_within_the_horizon() -> None:
    found = cut_off()
    assert found.before.user_ids[found.users].tolist() == ["ann", "bob"]
    assert found.before.item_ids[found.items].tolist() == ["cup", "tea"]
    assert found.positives == (np.array([0]), np.array([0])), "ann and cup, once; new and zoe had no past; day 25 is too late"


def test_where_events_have_labels_only_those_above_0_are_positives() -> None:
    log = log_of(ROWS)
    is_tea = log.item_ids[log.items] == "tea"
    for labels, expected in ((is_tea, []), (~is_tea, ["cup"])):
        labelled = replace(log, labels=labels.astype(np.float64))
        ten_days = 10 * MICROSECONDS_A_DAY
        found = CutOff.at(labelled, ten_days, ten_days, items=None, users=None, generator=np.random.default_rng(1))
        assert log.item_ids[found.positives[1]].tolist() == expected


def test_negatives_are_drawn_at_the_rate_that_is_told() -> None:
    found = cut_off()
    for scheme, cup_share in (("uniform", 1 / 2), ("popularity", 2 / 5)):  # with evidence: cup 1, tea 2
        sample = found.draw(40_000, scheme, np.random.default_rng(2))
        assert sample.labels_P.sum() == 1 and sample.labels_P[0]
        cup = sample.items_P[1:] == found.items[0]
        assert (~cup).sum() == pytest.approx(40_000 * (1 - cup_share), rel=0.02)
        assert cup.sum() == pytest.approx(40_000 / 2 * cup_share, rel=0.03), "ann and cup is no negative"
        assert sample.rates_P[1:][cup] == pytest.approx(40_000 / 2 * cup_share)


def test_prior_correction_gives_back_the_share_in_the_population() -> None:
    # 10 positives among 1010 candidates, all taken, and every tenth of the 1000 negatives: 10 in 110
    corrected = prior_corrected(np.log(np.array([10 / 100])), 0.1)
    assert 1 / (1 + np.exp(-corrected)) == pytest.approx([10 / 1010])


def test_platt_finds_the_line_that_labels_were_drawn_with() -> None:
    generator = np.random.default_rng(0)
    scores = generator.normal(size=100_000)
    labels = generator.random(len(scores)) < 1 / (1 + np.exp(-(0.5 * scores - 2)))
    assert platt(scores, labels) == pytest.approx([0.5, -2], abs=0.05)
    rare = labels | (generator.random(len(scores)) < 0.1)  # a tenth of the negatives, ten times each
    assert platt(scores[rare], labels[rare], np.where(labels, 1.0, 10.0)[rare]) == pytest.approx([0.5, -2], abs=0.07)


def test_platt_never_turns_the_ranking_around_and_stays_finite() -> None:
    scores = np.array([-1.0, 1.0] * 50)
    assert platt(scores, scores < 0)[0] > 0
    for labels in (np.zeros(100, bool), np.ones(100, bool), scores > 0):
        assert np.isfinite(platt(scores, labels)).all()
    assert platt(np.zeros(0), np.zeros(0, bool)) == pytest.approx([1, 0])


def test_the_curve_bends_where_a_line_does_not_fit_and_always_rises() -> None:
    generator = np.random.default_rng(0)
    scores = generator.uniform(-3, 3, size=100_000)
    truth = np.where(scores < 0, -4.0, -4 + 1.5 * scores)  # log odds: flat, then steep
    labels = generator.random(len(scores)) < 1 / (1 + np.exp(-truth))
    found = curve(scores, labels, np.ones(len(scores)))
    assert (np.diff(found, axis=1) > 0).all()
    asked = np.array([-1.0, 1.0, 2.0, 2.8])
    expected = 1 / (1 + np.exp(-np.array([-4, -2.5, -1, 0.2])))
    assert probabilities(asked, found) == pytest.approx(expected, rel=0.15)


def test_bins_whose_shares_fall_are_pooled() -> None:
    scores, labels = np.repeat([1.0, 2.0, 3.0, 4.0], 1000), np.zeros(4000, bool)
    for place, positives in enumerate((100, 300, 200, 400)):
        labels[1000 * place : 1000 * place + positives] = True
    p = probabilities(np.array([1.0, 4.0]), curve(scores, labels, np.ones(4000)))
    assert p == pytest.approx([0.1, 0.4], rel=0.01)
    middle = probabilities(np.array([2.0, 3.0]), curve(scores, labels, np.ones(4000)))
    assert middle == pytest.approx([0.25, 0.25], rel=0.01)


@pytest.mark.parametrize("name", RANKERS)
def test_a_log_that_is_too_short_gives_popular_items_and_no_probability(name: str) -> None:
    model = build_model(name).fit(log_of(ROWS[:3]))
    assert set(model.recommend(["ann", "bob"])["source"]) == {"fallback"}
    with pytest.raises(CapabilityError, match=r"28\.0 days"):
        model.predict_proba(pd.DataFrame({"user_id": ["ann"], "item_id": ["cup"]}))


@pytest.mark.parametrize("name", RANKERS)
def test_where_every_candidate_comes_true_nothing_is_learned(name: str) -> None:
    model = build_model(name, horizon_days=5, num_cut_offs=1).fit(log_of([("ann", "tea", day) for day in range(20)]))
    assert set(model.recommend(["ann"], exclude_seen=False)["source"]) == {"fallback"}


@pytest.mark.parametrize("name", RANKERS)
def test_users_without_history_have_no_probability(name: str) -> None:
    model = build_model(name, horizon_days=5, num_cut_offs=2).fit(log_of(ROWS))
    p = model.predict_proba(pd.DataFrame({"user_id": ["nobody", "ann", "ann"], "item_id": ["tea", "tea", "?"]}))
    assert np.isnan(p).tolist() == [True, False, True]


def test_a_history_from_after_the_fit_counts_as_recent() -> None:
    model = build_model("naive_bayes", horizon_days=5, num_cut_offs=2).fit(log_of(ROWS))
    pair = pd.DataFrame({"user_id": ["new"], "item_id": ["cup"]})
    scores = [
        model.score(pair, history=pd.DataFrame({"user_id": ["new"], "item_id": ["tea"], "timestamp": [day * 86400]}))[0]
        for day in (25, 400)
    ]
    assert scores[0] == scores[1]

"""Behavioural checks: what each finds on a log made up for it, and what becomes of checks of one's own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from bowerbird.data.interactions import Interactions
from bowerbird.errors import RecipeError
from bowerbird.evaluation.behaviour import Context, Finding, check, histories, lists, misses, reach, response
from bowerbird.evaluation.behaviour import context as context_module
from bowerbird.evaluation.behaviour.check import run_checks
from bowerbird.evaluation.behaviour.context import ItemSpace
from bowerbird.evaluation.behaviour.known import BUILT_IN, checks_for
from bowerbird.models import build_model
from bowerbird.models.cooccurrence import Cooccurrence
from bowerbird.recipe_gate import Behaviour
from tests.broken_models import Crashing, HiddenTenth, OnlyPopular, Shuffled, Tenth, Wavering, fitted
from tests.docs.pages import REFERENCE, rows, sections

NUM_ITEMS, K = 60, 5


def walk(num_users=200, num_events=12):
    """Users who walk along the items, mostly one by one, and take one step more after the cut."""
    rng = np.random.default_rng(5)
    steps = np.where(rng.random((num_users, num_events + 1)) < 0.9, 1, rng.integers(0, NUM_ITEMS, (num_users, num_events + 1)))
    items = (rng.integers(0, NUM_ITEMS, (num_users, 1)) + steps.cumsum(axis=1)) % NUM_ITEMS
    return items[:, :-1], items[:, -1]


def log(items):
    rows = [
        (f"u{user:03}", f"i{item:02}", 1000 * place + user) for user, own in enumerate(items) for place, item in enumerate(own)
    ]
    return Interactions.from_frame(pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]))


PAST, NEXT = walk()
LOG = log(PAST)
TARGETS = pd.DataFrame({"user_id": [f"u{user:03}" for user in range(len(NEXT))], "item_id": [f"i{item:02}" for item in NEXT]})


def context(model, *, targets=TARGETS, data=LOG, items=None, exclude=False, **changes):
    def recommend(users, *, history=None):
        return model.recommend(users, k=K, exclude_seen=exclude, history=history)

    users = sorted(targets["user_id"].unique())
    return replace(
        Context(
            model=model,
            recommend=recommend,
            lists=recommend(users),
            targets=targets,
            items=items,
            histories=data,
            allowed=model.data.item_ids,
            withheld=np.full(len(data), exclude),
            k=K,
            seed=1,
        ),
        **changes,
    )


def judged(kind, **changes):
    return run_checks(context(fitted(kind, LOG), **changes), BUILT_IN, bounds={}, severity={})


def broken(results):
    return [one.name for one in results if one.passed is False and one.severity == "block"]


# ---- models as a whole


@pytest.mark.parametrize("exclude", [False, True])
def test_a_sound_model_breaks_nothing_that_blocks(exclude):
    assert broken(judged(Cooccurrence, exclude=exclude)) == []


def test_each_broken_model_breaks_what_is_wrong_with_it():
    kinds = (Shuffled, OnlyPopular, Tenth, Crashing, Wavering)
    assert [broken(judged(kind)) for kind in kinds] == [
        ["less_wrong"],
        ["alike"],
        ["knows_the_log", "less_wrong"],
        ["very_long_history"],
        ["deterministic"],
    ]


def test_only_popular_items_are_found_though_what_somebody_has_seen_is_left_out():
    found = judged(OnlyPopular, exclude=True)
    assert broken(found) == ["alike"]
    assert found[0].found.startswith("two users' lists have 100.0% in common")


def test_what_is_broken_is_said_in_words():
    said = {kind.name: judged(kind)[0].found for kind in (Shuffled, Tenth, Crashing)}
    assert said["shuffled"].startswith(
        "its lists are no better than shuffled: its misses are nearer to what users chose than random"
    )
    assert said["tenth"] == "it was trained on 240 of the 2,400 events before the window (10%)"
    assert said["crashing"].startswith(
        "the check very_long_history ended with MemoryError: 5,000 events are too many (histories.py, line"
    )


def test_a_model_without_nine_tenths_of_the_log_is_found_too():
    part = fitted(Cooccurrence, LOG.select(np.arange(len(LOG)) % 10 == 0))
    assert reach.knows_the_log.function(context(part)).value == 0.1


def test_a_model_that_holds_the_log_and_reads_a_tenth_of_it_is_left_to_the_comparison_with_rivals():
    assert "knows_the_log" not in broken(judged(HiddenTenth))


def test_popularity_gives_everybody_the_same_on_purpose_and_a_silent_model_is_found():
    popular = context(build_model("popularity").fit(LOG))
    assert broken(run_checks(popular, BUILT_IN, bounds={}, severity={})) == []
    habits = build_model("personal_frequency").fit(LOG)
    assert broken(run_checks(context(habits, exclude=True), BUILT_IN, bounds={}, severity={})) == ["own_items"]


# ---- lists


def spoiled(**columns):
    """The sound model's lists with some cells changed, at rows 0 and 1 of the first user."""
    sound = context(fitted(Cooccurrence, LOG))
    changed = sound.lists.copy()
    for name, value in columns.items():
        changed.loc[0, name] = value
    return replace(sound, lists=changed)


def test_a_list_that_is_short_or_holds_an_item_twice_is_found():
    sound = context(fitted(Cooccurrence, LOG))
    short = replace(sound, lists=sound.lists[1:])
    assert lists.full.function(short).found == "1 of 200 lists are short of items"
    assert lists.full.function(replace(short, has_quotas=True)).passed is None
    assert not lists.unique.function(short).passed, "it has no rank 1"
    assert not lists.unique.function(spoiled(item_id=sound.lists.loc[1, "item_id"])).passed
    assert lists.unique.function(sound).passed and lists.full.function(sound).passed


def test_scores_that_rise_or_are_no_numbers_are_found():
    assert not lists.falling.function(spoiled(score=-1.0)).passed
    assert lists.falling.function(replace(spoiled(score=-1.0), reorders=True)).passed is None
    assert not lists.finite.function(spoiled(score=np.nan)).passed
    assert not lists.finite.function(spoiled(score=np.inf)).passed


def test_a_list_may_be_short_by_what_its_user_has_seen():
    few = context(
        fitted(Cooccurrence, log([[0, 1, 2, 3], [0, 1, 2, 4]])),
        targets=TARGETS[:2],
        exclude=True,
        data=log([[0, 1, 2, 3], [0, 1, 2, 4]]),
    )
    renamed = replace(few, k=5)
    assert few.lists.groupby("user_id").size().tolist() == [1, 1]
    assert lists.full.function(renamed).passed
    assert not lists.full.function(replace(renamed, withheld=np.full(8, False))).passed


# ---- figures by hand


@pytest.fixture
def small():
    """Two users, a history and a list of two each: ann had a, b, gets a, c; bob had a, c, gets a, b."""
    data = Interactions.from_frame(
        pd.DataFrame({"user_id": ["ann", "ann", "bob", "bob"], "item_id": list("abac"), "timestamp": [1, 2, 3, 4]})
    )
    model = build_model("popularity").fit(data)
    shown = pd.DataFrame(
        {
            "user_id": ["ann", "ann", "bob", "bob"],
            "item_id": list("acab"),
            "rank": [1, 2] * 2,
            "score": [2.0, 1.0] * 2,
            "source": "x",
        }
    )
    targets = pd.DataFrame({"user_id": ["ann", "bob"], "item_id": ["c", "c"]})
    return context(model, data=data, targets=targets, lists=shown, k=2)


def test_items_are_alike_by_the_users_who_chose_both():
    data = Interactions.from_frame(pd.DataFrame({"user_id": list("uuvvw"), "item_id": list("abaca"), "timestamp": range(5)}))
    space = ItemSpace(data)
    # a has 3 users, b and c one each: common 1, 1 / sqrt(3 * 1); b and c have none in common; -1 is no item
    np.testing.assert_allclose(space.similarity(np.array([0, 0, 1, -1]), np.array([1, 2, 2, 0])), [3**-0.5, 3**-0.5, 0, 0])
    assert space.nearest(np.array([0, 1, 2])).tolist() == [1, 0, 0], "of equals the lower code"


def test_an_item_that_nobody_chose_is_like_no_other():
    """Seen without evidence: nobody shares a user with it, and 0 / 0 is no similarity."""
    frame = {"user_id": ["u", "u"], "item_id": ["a", "b"], "timestamp": [1, 2], "weight": [1.0, 0.0]}
    space = ItemSpace(Interactions.from_frame(pd.DataFrame(frame)))
    assert space.similarity(np.array([0, 1]), np.array([1, 1])).tolist() == [0, 0]


def test_reach_by_hand(small):
    assert reach.coverage.function(small).value == 1.0, "3 items of 3, with 4 places"
    assert reach.coverage.function(replace(small, allowed=np.array(list("abcdefgh")))).value == 0.75, "3 items in 4 places"
    # x = 1, 1, 2: (2 * 3 - 3 - 1) * 2 + (4 - 4) * 1 + (2 - 4) * 1 = 2, over 3 * 4
    assert reach.gini.function(small).value == pytest.approx(2 / 12)
    # listed: a 1, c 0.5, a 1, b 0.5, of all users; past: the same
    assert reach.popularity_bias.function(small).value == pytest.approx(1.0)
    assert reach.own_items.function(replace(small, lists=small.lists.assign(source=["fallback", "x", "x", "x"]))).value == 0.25


def test_two_lists_are_compared_in_what_both_could_be_shown(small):
    personal = replace(small, model=fitted(Cooccurrence, LOG), allowed=np.array(list("abcdefg")))
    assert reach.alike.function(personal).value == 0.5, "a is common, of two"
    # with seen items withheld (ann: a, b; bob: a, c) ann's c is withheld from bob and bob's b from ann: nothing is left
    seen = replace(personal, withheld=np.full(4, True))
    assert reach.alike.function(seen).passed is None


def test_misses_by_hand(small):
    # ann's miss a and bob's misses a and b, each with the target c
    assert sorted(zip(small.misses["user_id"], small.misses["item_id"], strict=True)) == [
        ("ann", "a"),
        ("bob", "a"),
        ("bob", "b"),
    ]
    assert misses.less_wrong.function(small).passed is None, "two users are too few"
    items = pd.DataFrame({"item_id": list("abc"), "price": [10.0, 1000.0, 1.0]})
    # |log10(10 / 1)| = 1 twice, |log10(1000 / 1)| = 3
    assert misses.price_homogeneity.function(replace(small, items=items)).value == pytest.approx(5 / 3)
    assert misses.price_homogeneity.function(small).passed is None


def test_miss_rates_are_compared_between_thirds_of_the_users():
    """Of 90 users those with the shortest histories are all missed, the others all hit: 1/3 missed."""
    past = [[0] * (1 + user % 3) for user in range(90)]
    targets = TARGETS[:90].assign(item_id="i00")
    model = build_model("popularity").fit(log(past))
    shown = model.recommend(targets["user_id"], k=1, exclude_seen=False)
    shown.loc[[user % 3 == 0 for user in range(90)], "item_id"] = "i99"
    found = misses.miss_rate_by_activity.function(context(model, data=log(past), targets=targets, lists=shown))
    assert found.value == pytest.approx((2 / 3 + 1 / 3 + 1 / 3) / 3)
    assert found.passed is False


def test_a_list_that_hangs_on_the_last_item_alone_is_perturbed_more():
    far, near = (context(fitted(Cooccurrence, LOG, Cooccurrence.Config(decay=decay))) for decay in (0.001, 1.0))
    assert response.perturbation.function(far).value < response.perturbation.function(near).value


def test_complements_are_counted_both_ways():
    """A ring in which each item is followed by the next: its own list holds no item that leads to it, but for the kNN's trace."""
    ring = context(fitted(Cooccurrence, LOG, Cooccurrence.Config(knn_weight=0)))
    assert response.complement_asymmetry.function(ring).passed is None
    assert response.complement_asymmetry.function(ring).value < 0.5
    both = context(build_model("item_knn").fit(LOG))
    assert response.complement_asymmetry.function(both).value > response.complement_asymmetry.function(ring).value
    assert response.complement_asymmetry.function(both, max_returned=0.1).passed is False


def test_odd_histories_get_sound_lists():
    sound = context(fitted(Cooccurrence, LOG), exclude=True)
    odd = (histories.empty_history, histories.one_item_history, histories.very_long_history, histories.unknown_history)
    assert [one.function(sound).passed for one in odd] == [True] * 4


def test_a_model_without_an_answer_for_strangers_is_found():
    sound = context(fitted(Cooccurrence, LOG))
    silent = replace(sound, recommend=lambda users, history=None: sound.lists[:0])
    assert not histories.empty_history.function(silent).passed


# ---- how checks are run


@check(severity="show")
def first_item(context: Context, *, max_share: float = 0.5) -> Finding:
    """The first item is not the same for most."""
    share = context.lists[context.lists["rank"] == 1]["item_id"].value_counts(normalize=True).iloc[0]
    return Finding(f"at most {max_share:.0%}", f"{share:.0%}", share <= max_share, share)


@check()
def wrong(context: Context) -> Finding:
    """Divides by nothing."""
    raise ZeroDivisionError("nothing to divide by")


@check()
def empty_handed(context: Context) -> Finding:
    """Forgets to answer."""
    return None  # type: ignore[return-value]


def test_a_recipe_sets_bounds_and_what_follows_by_name():
    sound = context(fitted(Cooccurrence, LOG))
    (found,) = run_checks(sound, [first_item], bounds={"max_share": 0.0}, severity={"first_item": "block"})
    assert (found.passed, found.severity, found.asked) == (False, "block", "at most 0%")
    assert run_checks(sound, [first_item], bounds={}, severity={"first_item": "off"}) == ()


def test_a_check_that_raises_or_forgets_to_answer_has_failed():
    raised, forgot = run_checks(context(fitted(Cooccurrence, LOG)), [wrong, empty_handed], bounds={}, severity={})
    assert raised.passed is False and raised.asked == "Divides by nothing"
    assert raised.found.startswith("the check wrong ended with ZeroDivisionError: nothing to divide by (test_behaviour.py, line")
    assert "the check returned NoneType, not a Finding" in forgot.found


def test_what_fails_and_blocks_comes_first():
    found = run_checks(context(fitted(OnlyPopular, LOG)), BUILT_IN, bounds={"min_coverage": 0.9}, severity={})
    assert [one.name for one in found[:2]] == ["alike", "coverage"]


OWN = '''
from dataclasses import dataclass
from bowerbird.evaluation.behaviour import Context, Finding, check

@dataclass
class Note:
    words: str

@check()
def no_zero(context: Context) -> Finding:
    """Nobody is shown i00."""
    return Finding("no i00", Note("it is shown").words, False)
'''


def test_checks_of_ones_own_are_added_to_the_others():
    (own,) = [one for one in checks_for(Behaviour(files={"own.py": OWN})) if one not in BUILT_IN]
    assert own.name == "no_zero" and own.run(context(fitted(Cooccurrence, LOG)), {}, "block").found == "it is shown"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\ny = (\n", "own.py cannot be loaded: SyntaxError.*own.py, line 2"),
        ("x = 1\nraise ValueError('no')\n", "own.py cannot be loaded: ValueError: no .own.py, line 2"),
        ("import nothing_of_that_name", "own.py cannot be loaded: ModuleNotFoundError.*own.py, line 1"),
        ("x = 1\n", "own.py defines no behavioural check"),
        (OWN.replace("no_zero", "gini"), "two behavioural checks are called 'gini'"),
    ],
)
def test_a_file_that_holds_no_check_says_where_it_is_wrong(text, said):
    with pytest.raises(RecipeError, match=said):
        checks_for(Behaviour(files={"own.py": text}))


def test_a_folder_whose_files_nobody_has_read_is_no_folder_without_checks():
    with pytest.raises(RecipeError, match="its files have not been read"):
        checks_for(Behaviour(folder="checks"))


def test_names_that_there_are_none_of_are_refused():
    with pytest.raises(RecipeError, match=r"gate.behaviour.bounds names 'max_ginni'.*did you mean 'max_gini'"):
        checks_for(Behaviour(bounds={"max_ginni": 0.5}))
    with pytest.raises(RecipeError, match=r"gate.behaviour.severity names 'alikke'.*did you mean 'alike'"):
        checks_for(Behaviour(severity={"alikke": "off"}))


def test_an_error_in_a_check_of_ones_own_names_its_line_and_not_the_librarys():
    text = OWN.replace('    return Finding("no i00"', '    context.lists["no such column"]\n    return Finding("no i00"')
    (own,) = [one for one in checks_for(Behaviour(files={"own.py": text})) if one not in BUILT_IN]
    assert "KeyError: 'no such column' (own.py, line 12)" in own.run(context(fitted(Cooccurrence, LOG)), {}, "block").found


# ---- the page


def test_every_check_stands_in_the_reference_with_its_bound_and_what_follows():
    told = {name: cells[:3] for name, cells in rows(sections("behaviour.md")["The checks"]).items()}
    assert list(told) == [one.name for one in BUILT_IN]
    for one in BUILT_IN:
        bounds = [(f"`{name}`", "none" if default is None else f"`{default}`") for name, default in one.bounds.items()] or [
            ("none", "none")
        ]
        assert told[one.name] == [*bounds[0], one.severity], one.name
        assert len(bounds) == 1
    assert "bowerbird.evaluation.behaviour" in (REFERENCE / "behaviour.md").read_text(encoding="utf-8")


def test_pairs_of_items_are_compared_by_the_users_they_share(monkeypatch: pytest.MonkeyPatch) -> None:
    """By bits and block by block, as sparse columns multiplied give it; an item without events (-1) is like none."""
    rng = np.random.default_rng(2)
    log = pd.DataFrame({"user_id": rng.integers(0, 130, 900), "item_id": rng.integers(0, 25, 900), "timestamp": range(900)})
    data = Interactions.from_frame(log)
    chosen = np.zeros((data.num_users, data.num_items))
    chosen[data.users, data.items] = 1
    cosines = (chosen.T @ chosen) / np.sqrt(np.outer(chosen.sum(axis=0), chosen.sum(axis=0)))
    first, second = rng.integers(-1, 25, 400), rng.integers(0, 25, 400)
    expected = np.where(first >= 0, cosines[first, second], 0)
    for cells in (1, 1000, 1 << 24):
        monkeypatch.setattr(context_module, "CELLS", cells)
        assert ItemSpace(data).similarity(first, second) == pytest.approx(expected, rel=1e-15)

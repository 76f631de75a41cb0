"""Who is nominated on the selection window."""

from __future__ import annotations

import numpy as np

from bowerbird.evaluation.nomination import nominate

SAME = np.tile([0.0, 0.2, 0.4], 40)


def test_the_best_is_nominated_and_of_equal_ones_the_first():
    assert nominate({"als": SAME, "ease": SAME + 0.1}, seed=1) == ("ease", "ease")
    assert nominate({"als": SAME, "ease": SAME.copy()}, seed=1) == ("als", "als")


def test_the_champions_recipe_stays_unless_another_is_surely_better():
    by_chance = SAME + np.where(np.arange(120) % 2, 0.3, -0.29)
    assert nominate({"als": by_chance, "ease": SAME}, champion="ease", seed=1) == ("ease", "als")
    assert nominate({"als": SAME + 0.01, "ease": SAME}, champion="ease", seed=1) == ("als", "als")
    assert nominate({"als": SAME, "ease": SAME + 0.01}, champion="ease", seed=1) == ("ease", "ease")

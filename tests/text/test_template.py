from __future__ import annotations

from time import process_time
from typing import Any

import numpy as np
import pandas as pd
import pytest
from pydantic import ValidationError

from bowerbird.recipe_text import ItemTexts
from bowerbird.text.template import clean, item_texts


def text(template: str = "{title}. {categories}. {description}", **item: Any) -> str:
    return item_texts(pd.DataFrame({name: [value] for name, value in item.items()}), ItemTexts(template=template))[0]


def test_columns_are_filled_in_and_lists_are_joined() -> None:
    assert (
        text(title="Pot", categories=["Tea", None, "Kitchen"], description="Holds a litre") == "Pot. Tea, Kitchen. Holds a litre"
    )
    assert text(title="Pot", categories=np.asarray(["Tea"], object)) == "Pot. Tea"
    assert text("{title}, {price} euro, {year}", title="Pot", price=9.5, year=2026) == "Pot, 9.5 euro, 2026"


@pytest.mark.parametrize("nothing", [None, np.nan, pd.NaT, pd.NA, "", "  \n", [], [None, ""], "<p> </p>"], ids=repr)
def test_what_is_missing_vanishes_with_the_words_before_it(nothing: object) -> None:
    assert text(title="Pot", categories=nothing, description="Round") == "Pot. Round"
    assert text(title=nothing, categories=["Tea"], description=nothing) == "Tea"
    assert text(title=nothing, categories=nothing, description=nothing) == ""
    assert (
        text("Film: {title}, {year}, by {director}", title="Ran", year=nothing, director="Kurosawa") == "Film: Ran, by Kurosawa"
    )


def test_words_before_the_first_and_after_the_last_column_stand_with_their_column_alone() -> None:
    assert text("A {title}: {description}!", title="pot", description="round") == "A pot: round!"
    assert text("A {title}: {description}!", title=None, description="round") == "round!"
    assert text("A {title}: {description}!", title="pot", description=None) == "A pot"


def test_a_part_that_ends_a_sentence_gets_no_second_full_stop() -> None:
    assert text(title="Tea!", categories=None, description="Hot.") == "Tea! Hot."


def test_html_is_stripped_and_entities_are_read() -> None:
    page = (
        "<style>p {color: red}</style><p class='x'>Green&nbsp;tea &amp; <b>cups</b></p>"
        "<!-- <i>old</i> --><script>if (a<b) x()</script>"
    )
    assert clean(page) == "Green tea & cups"
    assert clean("I <3 tea, 1 < 2 and 3 > 2") == "I <3 tea, 1 < 2 and 3 > 2"
    assert clean("cups <!-- never closed") == "cups <!-- never closed"


def test_emoji_and_right_to_left_script_are_kept() -> None:
    family = "👩‍👩‍👧 שָׁלוֹם شاي أخضر 绿茶"
    assert clean(family) == family


def test_control_characters_and_halves_of_letters_are_no_text() -> None:
    assert clean("tea\x00\x07 pot\ud83d\r\n cup") == "tea pot cup"


@pytest.mark.parametrize("unit", ["word ", "<b>x</b>", "<!--", "<script>", "&amp;", "<a"], ids=repr)
def test_a_megabyte_is_cut_at_the_stated_length_in_no_time(unit: str) -> None:
    items = pd.DataFrame({"title": ["start " + unit * (1_000_000 // len(unit))]})
    begun = process_time()
    (found,) = item_texts(items, ItemTexts(template="{title}", max_characters=300))
    assert 0 < len(found) <= 300
    assert process_time() - begun < 2


@pytest.mark.parametrize(
    ("template", "says"),
    [
        ("no column", "it names no column"),
        ("{title", "it is no template"),
        ("{}", "holds the name of a column"),
        ("{title!r}", "holds the name of a column"),
        ("{title:>10}", "holds the name of a column"),
        ("{title.__class__}", "holds the name of a column"),
        ("{title[0]}", "holds the name of a column"),
    ],
)
def test_a_template_that_means_nothing_is_refused(template: str, says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        ItemTexts(template=template)

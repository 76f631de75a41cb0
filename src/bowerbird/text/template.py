"""Puts items into words: columns filled into a template, HTML stripped, cut at a stated length."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import numpy as np
import pandas as pd

from bowerbird.recipe_text import ItemTexts

TAG = re.compile(r"<[a-zA-Z/!][^<>]*>")
HIDDEN = [
    (re.compile(r"<!--"), re.compile(r"-->")),
    (re.compile(r"<script\b", re.IGNORECASE), re.compile(r"</script\s*>", re.IGNORECASE)),
    (re.compile(r"<style\b", re.IGNORECASE), re.compile(r"</style\s*>", re.IGNORECASE)),
]
CONTROL = re.compile(r"[\x00-\x08\x0e-\x1b\x7f]")
ENDS = (".", "!", "?", "…", "。")


def item_texts(items: pd.DataFrame, config: ItemTexts) -> list[str]:
    """Return the text of each row, empty where it has none of the template's columns."""
    columns = {name: list(items[name]) if name in items else [None] * len(items) for name in config.columns}
    return [_fill(config, {name: clean(values[row]) for name, values in columns.items()}) for row in range(len(items))]


def _fill(config: ItemTexts, parts: dict[str, str]) -> str:
    """Put an item's parts into the template: words stand before a part that is there and, within the text, after another."""
    text, is_first = "", True
    for words, column in config.pieces:
        part = parts[column] if column is not None else ""
        if part or (column is None and text and parts[config.columns[-1]]):
            if text and words.startswith(".") and text.endswith(ENDS):
                words = words[1:]
            text += (words if text or is_first else "") + part
        is_first = False
    return text[: config.max_characters].strip()


def clean(value: Any) -> str:  # Any: a cell
    """Turn a cell into plain text on one line; missing values are empty, lists are joined by commas."""
    if isinstance(value, list | tuple | set | np.ndarray):
        return ", ".join(filter(None, map(clean, sorted(value) if isinstance(value, set) else value)))
    if value is None or value is pd.NaT or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return ""
    text = str(value).encode("utf-8", "ignore").decode()  # half of a surrogate pair is no letter
    if "<" in text:
        for start, end in HIDDEN:
            text = _without(text, start, end)
        text = TAG.sub(" ", text)
    return " ".join(CONTROL.sub(" ", unescape(text)).split())


def _without(text: str, start: re.Pattern[str], end: re.Pattern[str]) -> str:
    """Drop all between two marks; a mark that is never closed hides nothing. One pass, however long the text is."""
    kept, place = [], 0
    while (opened := start.search(text, place)) and (closed := end.search(text, opened.end())):
        kept.append(text[place : opened.start()])
        place = closed.end()
    return " ".join([*kept, text[place:]])

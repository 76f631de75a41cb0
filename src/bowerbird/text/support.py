"""Tells which words of a text another one backs: words in one form, so that a plural backs its singular."""

from __future__ import annotations

from collections.abc import Iterable

from bowerbird.data.tokens import tokenize

SMALL_WORDS = frozenset(
    """
    a an and are as at be by for from has have in into is it its of on or that the their these this those to which with
    """.split()  # noqa: SIM905 - a list of words reads best as words
)
"""Words that say nothing by themselves."""


def words_of(texts: Iterable[str]) -> set[str]:
    """Return the words of texts, each in one form."""
    return {stem(token) for text in texts for token in tokenize(text)}


def content_words(text: str) -> set[str]:
    """Return the words of a text that say something, each in one form."""
    return {stem(token) for token in tokenize(text) if token not in SMALL_WORDS}


def stem(word: str) -> str:
    """Take an English plural's ending off; words of other languages and short ones stay as they are."""
    if len(word) > 4 and word.isascii():
        if word.endswith("ies"):
            return word[:-3] + "y"
        if word.endswith("s") and not word.endswith(("ss", "us", "is")):
            return word[:-1]
    return word

"""Tells whether texts are English, for the English encoder is the better one there and blind elsewhere.

They are not where more than 2 % of the letters lie outside ASCII, or where small words of other languages outnumber the English.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

FOREIGN_LETTERS = 0.02
SAMPLE = 2000
WORD = re.compile(r"[^\W\d_]+")
ENGLISH = frozenset(["the", "and", "of", "for", "with", "in", "to", "from", "by", "on", "your", "is", "this", "an", "all"])
OTHERS = frozenset(
    word
    for words in (
        "und der das mit für ein eine ist von zu im auf nicht",  # German
        "le la les et des pour avec une dans du est sur",  # French
        "el los las y con para del una por es que de se su",  # Spanish
        "il di per della gli che non è",  # Italian
        "e o os um uma do da dos em com não",  # Portuguese
        "een het van met voor op niet en",  # Dutch
        "i w na z do nie jest",  # Polish
    )
    for word in words.split()
)


def is_english(texts: Sequence[str]) -> bool:
    """Judge by at most ``SAMPLE`` texts, evenly spread."""
    sample = texts[:: max(1, len(texts) // SAMPLE)]
    words = [word for text in sample for word in WORD.findall(text.lower())]
    letters = sum(map(len, words))
    foreign = sum(not letter.isascii() for word in words for letter in word)
    num_english, num_others = (sum(word in known for word in words) for known in (ENGLISH, OTHERS))
    return foreign <= FOREIGN_LETTERS * letters and num_others <= num_english

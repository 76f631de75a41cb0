"""Cuts a text in any language into tokens: words, and pairs of characters where a script puts no spaces between words.

Text is first brought to one form (Unicode NFKC, then case folding). Letters, numbers and the marks that belong to them make a
token, all else separates. A run of Chinese, Japanese, Thai, Lao, Khmer or Burmese characters becomes its overlapping pairs,
as in Lucene's CJK analyser: 推荐系统 gives 推荐, 荐系, 系统.
"""

from __future__ import annotations

import re
import unicodedata
from itertools import pairwise

UNSPACED = (
    "\u0e00-\u0eff"  # Thai, Lao
    "\u1000-\u109f\u1780-\u17ff"  # Burmese, Khmer
    "\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff"  # Japanese kana, and the sign that repeats a character
    "\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Chinese characters
)
RUNS = re.compile(f"([{UNSPACED}]+)|([^{UNSPACED}\\s]+)")


class _Separators(dict[int, str | int]):
    """Gives each code point that separates a blank, for ``str.translate``; looked up once for each."""

    def __missing__(self, code: int) -> str | int:
        self[code] = code if unicodedata.category(chr(code))[0] in "LNM" else " "
        return self[code]


SEPARATORS = _Separators()


def tokenize(text: str) -> list[str]:
    """Return the tokens of a text in their order, repeats kept."""
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", text).casefold())
    tokens: list[str] = []
    for unspaced, word in RUNS.findall(folded.translate(SEPARATORS)):
        if word or len(unspaced) == 1:
            tokens.append(word or unspaced)
        else:
            tokens += [first + second for first, second in pairwise(unspaced)]
    return tokens

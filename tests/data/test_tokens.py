from __future__ import annotations

import pytest

from bowerbird.data.tokens import tokenize


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Red SHOES, red-hot!", ["red", "shoes", "red", "hot"]),
        ("推荐系统", ["推荐", "荐系", "系统"]),
        ("茶", ["茶"]),
        ("iPhone手机壳 15", ["iphone", "手机", "机壳", "15"]),
        ("ｆｕｌｌ　ｗｉｄｔｈ", ["full", "width"]),
        ("Straße STRASSE", ["strasse", "strasse"]),
        ("cafe\u0301", ["café"]),
        ("हिन्दी गाना", ["हिन्दी", "गाना"]),
        ("한국어 책", ["한국어", "책"]),
        ("กาแฟ", ["กา", "าแ", "แฟ"]),
        ("", []),
        ("🦜 — …", []),
        ("snake_case_1", ["snake", "case", "1"]),
    ],
)
def test_texts_of_any_language_are_cut_into_words_or_pairs_of_characters(text: str, tokens: list[str]) -> None:
    assert tokenize(text) == tokens

from __future__ import annotations

import pytest

from bowerbird.text.language import is_english


@pytest.mark.parametrize(
    "texts",
    [
        ["Moisturizing Cream for Dry Skin", "Shampoo with Aloe, 12 oz", "Café Latte Lip Balm"],
        ["Toy Story (1995)", "Die Hard: With a Vengeance (1995)", "Lord of the Rings, The"],
        ["12345", "🎉"],
    ],
)
def test_english_texts_are_english(texts: list[str]) -> None:
    assert is_english(texts)


@pytest.mark.parametrize(
    "texts",
    [
        ["绿茶 500克", "有机红茶", "玻璃茶壶"],
        ["Чайник стеклянный", "شاي أخضر"],
        ["Teekanne aus Glas mit Deckel", "Handcreme fuer die trockene Haut und Lippen"],
        ["Crème pour les mains", "Thé vert de la montagne"],
        ["Crema de manos con aceite", "Te verde para la noche"],
    ],
)
def test_texts_in_other_languages_are_not(texts: list[str]) -> None:
    assert not is_english(texts)

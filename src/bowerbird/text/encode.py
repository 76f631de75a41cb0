"""Gives items the vectors of their texts: ``encode_items(items, ItemTexts(), cache=folder)``.

Texts are encoded once: vectors are kept by the checksums of text and encoder, and written every ``BLOCK`` texts, so that a run
that was killed goes on where it was, and a changed title costs one text. Vectors are float32 and of length 1. The same text gives
the same vector in whatever company it is encoded, up to rounding (1e-6, tested).
"""

from __future__ import annotations

import logging
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from bowerbird.columns import TEXT_VECTOR
from bowerbird.errors import EncoderError, MissingExtraError
from bowerbird.recipe_text import ItemTexts
from bowerbird.text.cache import VectorCache, Vectors, text_key
from bowerbird.text.encoders import ENGLISH, MULTILINGUAL, Encoder, build_encoder
from bowerbird.text.language import is_english
from bowerbird.text.template import item_texts

BLOCK = 512  # texts between two writes

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Encoded:
    """Items with the vectors of their texts, and what became of the texts."""

    items: pd.DataFrame
    encoder: str | None
    """Its name; None where no text was there to encode, or none could be."""
    identity: str | None
    """The checksum of the encoder."""
    num_texts: int
    """Distinct texts."""
    num_encoded: int
    """Texts that the cache did not know."""
    num_without_text: int
    """Items that have none."""


def encode_items(items: pd.DataFrame, config: ItemTexts, *, cache: Path | None = None) -> pd.DataFrame:
    """Return the items with a column ``text_vector``: float32 arrays of one length, or null where an item has no text.

    Parameters
    ----------
    items
        Any columns that the template names; one that is missing is as if it were empty.
    config
        The template and the encoder.
    cache
        A folder that keeps vectors; without it all texts are encoded.

    Raises
    ------
    MissingExtraError
        Where the encoder's package is not installed and ``fallback`` is ``error``.
    EncoderError
        Where the encoder cannot be loaded, does not answer, or answers what are no vectors, and ``fallback`` is ``error``.
    """
    return encode(items, config, cache=cache).items


def encode(items: pd.DataFrame, config: ItemTexts, *, cache: Path | None = None) -> Encoded:
    """Do what ``encode_items`` does, and tell what became of the texts."""
    texts = item_texts(items, config)
    distinct = sorted(set(texts) - {""}, key=lambda text: (-len(text), text))  # alike in length: little padding
    without = texts.count("")
    if not distinct:
        logger.warning("none of the %d items has a text: columns %s", len(items), ", ".join(config.columns))
        return Encoded(_with_vectors(items, texts, {}), None, None, 0, 0, without)
    try:
        encoder = build_encoder(_chosen(config.encoder, distinct))
        vectors, num_encoded = _encode_texts(distinct, encoder, cache)
    except (EncoderError, MissingExtraError) as error:
        if config.fallback == "error":
            raise
        logger.warning("items go without text vectors, as text.fallback = 'none' says: %s", error)
        return Encoded(_with_vectors(items, texts, {}), None, None, len(distinct), 0, without)
    if without:
        logger.info("%d of %d items have no text", without, len(items))
    return Encoded(_with_vectors(items, texts, vectors), encoder.name, encoder.identity, len(distinct), num_encoded, without)


def _chosen(name: str, texts: list[str]) -> str:
    """Choose between the packaged encoders where the recipe leaves it open."""
    if name != "auto":
        return name
    return ENGLISH if is_english(sorted(texts)) else MULTILINGUAL


def _encode_texts(texts: list[str], encoder: Encoder, folder: Path | None) -> tuple[Vectors, int]:
    """Return the vector of each text, and how many the cache did not know."""
    keys = {text_key(text): text for text in texts}
    cache = None if folder is None else VectorCache(folder / encoder.identity)
    known = {} if cache is None else cache.read(keys)
    vectors = {keys[key]: vector for key, vector in known.items()}
    missing = [text for text in texts if text not in vectors]
    for start in range(0, len(missing), BLOCK):
        block = missing[start : start + BLOCK]
        vectors_TD = _checked(encoder.encode(block), block, encoder)
        vectors |= zip(block, vectors_TD, strict=True)
        lengths = {len(vector) for vector in vectors.values()}
        if len(lengths) > 1:
            raise EncoderError(
                f"the encoder {encoder.name!r} gave vectors of different lengths: {sorted(lengths)}",
                next_step=f"if its model has changed, delete the folder {folder and folder / encoder.identity}",
            )
        if cache is not None:
            cache.write([text_key(text) for text in block], vectors_TD)
        logger.info("%d of %d texts encoded by %s", start + len(block), len(missing), encoder.name)
    if cache is not None:
        cache.compact()
    return vectors, len(missing)


def _checked(vectors_TD: NDArray[np.float32], texts: list[str], encoder: Encoder) -> NDArray[np.float32]:
    """Bring vectors to length 1; raise EncoderError for what are none."""
    vectors_TD = np.asarray(vectors_TD, np.float32)
    if vectors_TD.ndim != 2 or len(vectors_TD) != len(texts):
        what = f"answered an array of shape {vectors_TD.shape} for {len(texts)} texts"
    elif not (np.isfinite(vectors_TD).all() and (norms_T := np.linalg.norm(vectors_TD, axis=1)).all()):
        what = "answered vectors that are zero or not finite"
    else:
        scaled: NDArray[np.float32] = vectors_TD / norms_T[:, None].astype(np.float32)
        return scaled
    raise EncoderError(f"the encoder {encoder.name!r} {what}", next_step="take another encoder")


def _with_vectors(items: pd.DataFrame, texts: list[str], vectors: Vectors) -> pd.DataFrame:
    column = pd.Series([vectors.get(text) for text in texts], items.index, dtype=object)
    return items.assign(**{TEXT_VECTOR: column})

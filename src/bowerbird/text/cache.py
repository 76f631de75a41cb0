"""Keeps vectors by the checksum of their text, one folder an encoder, as Parquet files that are written once.

A file appears whole or not at all; one that cannot be read, or whose pages do not match their checksums, is deleted, and its
texts are encoded again. Many small files are put together into one.
"""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Collection, Sequence
from pathlib import Path
from secrets import token_hex

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

MOST_FILES = 32
TEXT, VECTOR = "text", "vector"

logger = logging.getLogger(__name__)
Vectors = dict[str, NDArray[np.float32]]


def text_key(text: str) -> str:
    """Return what a text is kept under."""
    return hashlib.sha256(text.encode()).hexdigest()[:32]


class VectorCache:
    """The vectors of one encoder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        os.utime(folder)  # tells retention that it is in use

    def read(self, keys: Collection[str]) -> Vectors:
        """Return the vectors that are there, by key."""
        found: Vectors = {}
        for path in sorted(self.folder.glob("*.parquet")):
            found |= {key: vector for key, vector in self._read_file(path).items() if key in keys}
        return found

    def _read_file(self, path: Path) -> Vectors:
        try:
            table = pq.read_table(path, page_checksum_verification=True)
            keys, column = table[TEXT].to_pylist(), table[VECTOR].combine_chunks()
            vectors_TD = column.flatten().to_numpy().reshape(len(keys), column.type.list_size)
            if not np.isfinite(vectors_TD).all():
                raise ValueError("vectors that are not finite")
        except (OSError, ValueError, KeyError, AttributeError, pa.ArrowException) as error:
            logger.warning("the text vectors in %s cannot be read (%s): their texts are encoded again", path, error)
            path.unlink(missing_ok=True)
            return {}
        return dict(zip(keys, vectors_TD, strict=True))

    def write(self, keys: Sequence[str], vectors_TD: NDArray[np.float32]) -> None:
        """Keep vectors; whoever reads meanwhile sees all of them or none."""
        column = pa.FixedSizeListArray.from_arrays(pa.array(vectors_TD.ravel(), pa.float32()), vectors_TD.shape[1])
        name = hashlib.sha256("".join(keys).encode()).hexdigest()[:16]
        unfinished = self.folder / f"{name}.{token_hex(4)}.tmp"
        try:
            with unfinished.open("wb") as file:
                pq.write_table(pa.table({TEXT: pa.array(keys), VECTOR: column}), file, write_page_checksum=True)
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(self.folder / f"{name}.parquet")
        except BaseException:  # Ctrl-C too
            unfinished.unlink(missing_ok=True)
            raise

    def compact(self) -> None:
        """Put many files together into one, and clear away what killed processes left."""
        paths = sorted(self.folder.glob("*.parquet"))
        if len(paths) > MOST_FILES:
            merged: Vectors = {}
            for path in paths:
                merged |= self._read_file(path)
            self.write(list(merged), np.stack(list(merged.values())))
            for path in paths:
                path.unlink(missing_ok=True)
        for left in self.folder.glob("*.tmp"):
            left.unlink(missing_ok=True)

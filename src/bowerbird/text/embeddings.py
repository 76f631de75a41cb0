"""An OpenAI-compatible embeddings endpoint; address and key come from the settings, never from a recipe.

The client tries again, with growing pauses, where the endpoint is down, slow, rate-limiting (429) or failing (5xx), as often as
the settings say. What comes back is not trusted: a vector for each text, all finite and of one length, or an error.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from bowerbird.errors import EncoderError
from bowerbird.extras import import_extra
from bowerbird.settings import Settings

BATCH = 128  # texts a request
SHOWN = 200  # letters of an answer that stand in an error


class EndpointEncoder:
    """A model behind ``<url>/embeddings``."""

    def __init__(self, model: str) -> None:
        settings = Settings()
        if settings.embeddings_url is None:
            raise EncoderError(
                f"text.encoder is 'endpoint:{model}', and no endpoint is set",
                next_step="set BOWERBIRD_EMBEDDINGS_URL, such as https://example.com/v1, and BOWERBIRD_EMBEDDINGS_KEY",
            )
        self.name, self.model, self._url = f"endpoint:{model}", model, settings.embeddings_url
        self._library = import_extra("openai", "openai", extra="text")

    @property
    def identity(self) -> str:
        """A checksum of address and model's name, for nothing tells whether the model behind them has changed."""
        return hashlib.sha256(json.dumps([self._url, self.model]).encode()).hexdigest()[:16]

    @cached_property
    def _client(self) -> Any:  # Any: a class of an extra
        settings = Settings()
        key = settings.embeddings_key
        return self._library.OpenAI(
            base_url=self._url,
            api_key=key.get_secret_value() if key else "none",
            timeout=settings.embeddings_timeout_seconds,
            max_retries=settings.embeddings_retries,
        )

    def encode(self, texts: Sequence[str]) -> NDArray[np.float32]:
        blocks = [self._ask(list(texts[start : start + BATCH])) for start in range(0, len(texts), BATCH)]
        if len({block.shape[1] for block in blocks}) > 1:
            raise self._error(f"answered vectors of different lengths: {sorted({block.shape[1] for block in blocks})}")
        return np.concatenate(blocks)

    def _ask(self, texts: list[str]) -> NDArray[np.float32]:
        try:
            answer = self._client.embeddings.with_raw_response.create(input=texts, model=self.model, encoding_format="float")
        except self._library.APIStatusError as error:
            raise self._error(f"refused with status {error.status_code}: {str(error)[:SHOWN]}") from error
        except self._library.APIConnectionError as error:  # timeouts too
            raise self._error(f"did not answer ({type(error).__name__}: {error.__cause__ or error})") from error
        return self._read(answer.http_response.content, len(texts))

    def _read(self, content: bytes, num_texts: int) -> NDArray[np.float32]:
        """Check an answer and bring its vectors into the order of the texts."""
        try:
            rows = json.loads(content)["data"]
            places = [row.get("index", place) for place, row in enumerate(rows)]
            vectors_TD = np.asarray([row["embedding"] for row in rows], np.float32)
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._error(f"answered no embeddings but {content[:SHOWN]!r}") from error
        if sorted(places) != list(range(num_texts)):
            raise self._error(f"answered {len(rows)} vectors for {num_texts} texts")
        if vectors_TD.ndim != 2:
            raise self._error("answered what are no vectors of numbers")
        return vectors_TD[np.argsort(places)]

    def _error(self, what: str) -> EncoderError:
        return EncoderError(
            f"the embeddings endpoint {self._url} (model {self.model!r}) {what}",
            next_step="check BOWERBIRD_EMBEDDINGS_URL, the key and the model, and run again: what was encoded is kept",
        )

"""Asks a language model behind an OpenAI-compatible endpoint: each question once, within a budget, again where that may help.

An answer is kept under the checksum of all that it depends on (model, messages, format, length) in a file of its own, renamed
into place: a run that was killed goes on where it was. Failures are not kept, so the next run asks again. Where the endpoint
fails ``PATIENCE`` times in a row, or refuses the key, the rest is not asked in this run.
"""

from __future__ import annotations

import hashlib
import json
import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from bowerbird.errors import UserError
from bowerbird.extras import import_extra
from bowerbird.recipe_knowledge import LanguageModel
from bowerbird.settings import Settings
from bowerbird.store.runs import write_json

PATIENCE = 3
LONGEST_BODY = 1_000_000
"""Bytes of an answer; what is longer is not read to its end."""
LONGEST_WAIT = 60.0
MOMENTARY = (408, 409, 429)
FORBIDDEN = (401, 403, 404)
OVER_BUDGET, ENDPOINT_DOWN = "over_budget", "endpoint_down"

Messages = list[dict[str, str]]
logger = logging.getLogger(__name__)


class Reply(BaseModel):
    """What the model said, and why it stopped."""

    model_config = ConfigDict(frozen=True)

    text: str = ""
    finish: str = "stop"
    """``stop``, ``length`` where it was cut off, ``content_filter`` or ``refusal``."""
    tokens: int = 0


@dataclass(frozen=True)
class Answer:
    """A reply, or the reason why there is none."""

    reply: Reply | None
    failure: str = ""
    is_cached: bool = False


class _Message(BaseModel):
    content: str | None = None
    refusal: str | None = None


class _Choice(BaseModel):
    message: _Message
    finish_reason: str | None = None


class _Usage(BaseModel):
    total_tokens: int = 0


class _Completion(BaseModel):
    """What is read of a chat completion."""

    choices: list[_Choice]
    usage: _Usage | None = None


class Failed(Exception):
    """A request that gave no reply: why, and whether to ask once more, after how many seconds if the endpoint says so."""

    def __init__(self, reason: str, *, may_pass: bool = True, wait: float | None = None, ends_all: bool = False) -> None:
        super().__init__(reason)
        self.reason, self.may_pass, self.wait, self.ends_all = reason, may_pass, wait, ends_all


class Endpoint:
    """One run's access to the endpoint: it counts what was asked, and asks no more than ``limits`` allow.

    Raises UserError where the settings name no endpoint, MissingExtraError where the client is not installed.
    """

    def __init__(self, model: str, limits: LanguageModel, cache: Path, *, sleep: Callable[[float], None] = time.sleep) -> None:
        settings = Settings()
        if settings.llm_url is None:
            raise UserError("the recipe asks a language model, and no endpoint is set", next_step="set BOWERBIRD_LLM_URL")
        self._openai = import_extra("openai", "openai", extra="text")
        self._transport = import_extra("httpx2", "openai", extra="text")  # what the client reads a streamed body with
        key = settings.llm_key.get_secret_value() if settings.llm_key else "none"
        self._client = self._openai.OpenAI(base_url=settings.llm_url, api_key=key, max_retries=0)
        self.model, self.limits, self.cache = model, limits, cache
        self.num_requests = self.num_tokens = self._num_failures = 0
        self._is_down = False
        self._lock, self._sleep = Lock(), sleep
        self._end = time.monotonic() + limits.max_time.total_seconds()

    def ask_all(
        self, questions: Sequence[Messages], *, response_format: dict[str, Any] | None = None
    ) -> list[Answer]:  # Any: JSON
        """Answer questions, in their order; those that are kept from earlier runs cost nothing."""
        with ThreadPoolExecutor(self.limits.num_parallel) as pool:
            return list(pool.map(lambda question: self._answer(question, response_format), questions))

    def _answer(self, messages: Messages, response_format: dict[str, Any] | None) -> Answer:  # Any: JSON
        body = {"model": self.model, "messages": messages, "max_tokens": self.limits.answer_tokens, "temperature": 0}
        body |= {"response_format": response_format} if response_format else {}
        key = hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest()
        path = self.cache / key[:2] / f"{key}.json"
        kept = _read(path)
        if kept is not None:
            return Answer(kept, is_cached=True)
        try:
            reply = self._insist(body)
        except Failed as error:
            return Answer(None, error.reason)
        write_json(path, reply.model_dump())
        return Answer(reply)

    def _insist(self, body: dict[str, Any]) -> Reply:  # Any: JSON
        """Ask until there is a reply, waiting longer each time, or as long as the endpoint says. Raises Failed."""
        for attempt in range(self.limits.max_retries + 1):
            self._spend()
            try:
                reply = self._ask(body)
            except Failed as error:
                self._note(error)
                if not error.may_pass or attempt == self.limits.max_retries:
                    raise
                wait = min(2.0**attempt, LONGEST_WAIT) if error.wait is None else error.wait
                if wait >= self._end - time.monotonic():
                    raise
                self._sleep(wait)
            else:
                with self._lock:
                    self.num_tokens += reply.tokens
                    self._num_failures = 0
                return reply
        raise AssertionError("the last try returns or raises")

    def _spend(self) -> None:
        """Count one request, if there is one left. Raises Failed."""
        with self._lock:
            if self._is_down:
                raise Failed(ENDPOINT_DOWN, may_pass=False)
            is_over = self.num_requests >= self.limits.max_requests or self.num_tokens >= self.limits.max_tokens
            if is_over or time.monotonic() >= self._end:
                raise Failed(OVER_BUDGET, may_pass=False)
            self.num_requests += 1

    def _note(self, error: Failed) -> None:
        with self._lock:
            self._num_failures += 1
            if not self._is_down and (error.ends_all or self._num_failures >= PATIENCE * (self.limits.max_retries + 1)):
                self._is_down = True
                logger.warning("the language model is not asked any more in this run: %s", error.reason)

    def _ask(self, body: dict[str, Any]) -> Reply:  # Any: JSON
        """Send one request. Raises Failed."""
        openai = self._openai
        end = time.monotonic() + self.limits.timeout_seconds
        try:
            with self._client.chat.completions.with_streaming_response.create(
                **body, timeout=self.limits.timeout_seconds
            ) as response:
                content = b""
                for part in response.iter_bytes():
                    content += part
                    if len(content) > LONGEST_BODY:
                        return Reply(finish="length")
                    if time.monotonic() > end:
                        raise Failed("timeout")
        except (openai.APITimeoutError, self._transport.TimeoutException) as error:
            raise Failed("timeout") from error
        except openai.APIStatusError as error:
            raise _failed(error) from error
        except (openai.APIConnectionError, self._transport.HTTPError) as error:
            raise Failed("unreachable") from error
        return _reply(content)


def as_data(content: dict[str, str]) -> str:
    """Write down what strangers have written: JSON without a sign that could close the block in which it stands."""
    return json.dumps(content, ensure_ascii=False).replace("<", "\\u003c").replace(">", "\\u003e")


def _failed(error: Any) -> Failed:  # Any: openai's error
    status = int(error.status_code)
    if status == 429 or status in MOMENTARY or status >= 500:
        reason = "rate_limited" if status == 429 else "endpoint_error"
        return Failed(reason, wait=_seconds(error.response.headers.get("retry-after")))
    return Failed(f"refused_by_endpoint_{status}", may_pass=False, ends_all=status in FORBIDDEN)


def _seconds(retry_after: str | None) -> float | None:
    try:
        return None if retry_after is None else max(0.0, float(retry_after))
    except ValueError:
        return None  # a date, which few endpoints send: the usual waits do


def _reply(content: bytes) -> Reply:
    """Read a chat completion. Raises Failed for anything else."""
    try:
        completion = _Completion.model_validate_json(content)
        choice = completion.choices[0]
    except (ValidationError, IndexError) as error:
        raise Failed("garbage") from error
    tokens = completion.usage.total_tokens if completion.usage else len(content) // 4
    if choice.message.refusal:
        return Reply(text=choice.message.refusal, finish="refusal", tokens=tokens)
    return Reply(text=choice.message.content or "", finish=choice.finish_reason or "stop", tokens=tokens)


def _read(path: Path) -> Reply | None:
    """Read a kept reply; one that is missing or cut off is no reply."""
    try:
        return Reply.model_validate_json(path.read_bytes())
    except (OSError, ValidationError):
        return None

"""An embeddings endpoint on this machine: a real server that can be slow, limit rates, fail, and answer garbage."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from bowerbird.errors import EncoderError
from bowerbird.recipe_text import ItemTexts
from bowerbird.text.encode import encode, encode_items

pytest.importorskip("openai", reason="the extra text is not installed")

ITEMS = pd.DataFrame({"title": [f"Title {place}" for place in range(300)]})
CONFIG = ItemTexts(template="{title}", encoder="endpoint:small")
Answer = tuple[int, bytes]


def vector(text: str) -> list[float]:
    return [1.0, float(text.split()[-1]), 2.0]


def sound(asked: dict[str, Any]) -> Answer:
    rows = [{"object": "embedding", "index": place, "embedding": vector(text)} for place, text in enumerate(asked["input"])]
    return 200, json.dumps({"object": "list", "data": rows[::-1], "model": asked["model"]}).encode()


class Endpoint:
    """What the server was asked, and what it answers: the first answers in turn, then the last for ever."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.keys: list[str] = []
        self.answers: list[Callable[[dict[str, Any]], Answer]] = [sound]

    def answer(self, key: str, asked: dict[str, Any]) -> Answer:
        self.keys.append(key)
        self.asked.append(asked)
        return self.answers[min(len(self.asked), len(self.answers)) - 1](asked)


@pytest.fixture
def endpoint(monkeypatch: pytest.MonkeyPatch) -> Iterator[Endpoint]:
    state = Endpoint()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            status, content = (
                state.answer(self.headers["Authorization"], asked) if self.path == "/v1/embeddings" else (404, b"{}")
            )
            try:
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(content)))
                self.send_header("retry-after-ms", "1")
                self.end_headers()
                self.wfile.write(content)
            except OSError:
                pass  # the client has given up

        def log_message(self, *_: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    monkeypatch.setenv("BOWERBIRD_EMBEDDINGS_URL", f"http://127.0.0.1:{server.server_port}/v1")
    monkeypatch.setenv("BOWERBIRD_EMBEDDINGS_KEY", "a secret")
    monkeypatch.setenv("BOWERBIRD_EMBEDDINGS_RETRIES", "2")
    yield state
    server.shutdown()
    server.server_close()
    thread.join()


def fails(status: int) -> Callable[[dict[str, Any]], Answer]:
    return lambda asked: (status, b'{"error": {"message": "not now"}}')


def edited(change: Callable[[list[dict[str, Any]]], Any]) -> Callable[[dict[str, Any]], Answer]:
    return lambda asked: (200, json.dumps({"data": change(json.loads(sound(asked)[1])["data"])}).encode())


def test_texts_go_in_batches_with_model_and_key_and_vectors_come_back_in_order(endpoint: Endpoint) -> None:
    found = encode_items(ITEMS, CONFIG)
    expected = np.asarray([vector(title) for title in ITEMS["title"]])
    expected /= np.linalg.norm(expected, axis=1)[:, None]
    assert np.stack(found["text_vector"].tolist()) == pytest.approx(expected, abs=1e-6)
    assert [len(asked["input"]) for asked in endpoint.asked] == [128, 128, 44]
    assert {asked["model"] for asked in endpoint.asked} == {"small"} and set(endpoint.keys) == {"Bearer a secret"}


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_limit_or_a_failure_that_passes_is_waited_out(endpoint: Endpoint, status: int) -> None:
    endpoint.answers = [fails(status), fails(status), sound]
    assert encode_items(ITEMS[:5], CONFIG)["text_vector"].notna().all()
    assert len(endpoint.asked) == 3


@pytest.mark.parametrize(("status", "times"), [(429, 3), (503, 3), (401, 1), (404, 1)])
def test_one_that_stays_ends_with_an_error_after_bounded_tries(endpoint: Endpoint, status: int, times: int) -> None:
    endpoint.answers = [fails(status)]
    with pytest.raises(
        EncoderError, match=f"the embeddings endpoint http://127.0.0.1.*'small'.* refused with status {status}"
    ) as caught:
        encode_items(ITEMS[:5], CONFIG)
    assert len(endpoint.asked) == times and "a secret" not in str(caught.value)


def test_a_slow_endpoint_is_given_up_on(endpoint: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOWERBIRD_EMBEDDINGS_TIMEOUT_SECONDS", "0.1")
    monkeypatch.setenv("BOWERBIRD_EMBEDDINGS_RETRIES", "0")

    def slow(asked: dict[str, Any]) -> Answer:
        time.sleep(0.3)
        return sound(asked)

    endpoint.answers = [slow]
    with pytest.raises(EncoderError, match=r"did not answer .APITimeoutError"):
        encode_items(ITEMS[:5], CONFIG)


def test_an_endpoint_that_is_down_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BOWERBIRD_EMBEDDINGS_URL", "http://127.0.0.1:9/v1")
    monkeypatch.setenv("BOWERBIRD_EMBEDDINGS_RETRIES", "0")
    with pytest.raises(EncoderError, match=r"http://127.0.0.1:9/v1.* did not answer .APIConnectionError"):
        encode_items(ITEMS[:5], CONFIG)


def test_no_endpoint_set_is_an_error_that_names_the_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("BOWERBIRD_EMBEDDINGS_URL", raising=False)
    with pytest.raises(EncoderError, match="BOWERBIRD_EMBEDDINGS_URL"):
        encode_items(ITEMS[:5], CONFIG)


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda asked: (200, b"<html>Bad gateway</html>"), "no embeddings but b'<html>"),
        (lambda asked: (200, b'{"choices": []}'), "no embeddings"),
        (lambda asked: (200, b"null"), "no embeddings"),
        (lambda asked: (200, b'{"data": []}'), "answered 0 vectors for 5 texts"),
        (edited(lambda rows: rows[:-1]), "answered 4 vectors for 5 texts"),
        (edited(lambda rows: [*rows, rows[0]]), "answered 6 vectors for 5 texts"),
        (edited(lambda rows: [rows[0]] * 5), "answered 5 vectors for 5 texts"),
        (edited(lambda rows: [{**row, "embedding": [float("nan")] * 3} for row in rows]), "zero or not finite"),
        (edited(lambda rows: [{**row, "embedding": [1.0] * (1 + row["index"])} for row in rows]), "no embeddings"),
        (edited(lambda rows: [{**row, "embedding": "words"} for row in rows]), "no embeddings"),
        (edited(lambda rows: [{**row, "embedding": 1.0} for row in rows]), "no vectors of numbers"),
        (edited(lambda rows: [{**row, "embedding": []} for row in rows]), "zero or not finite"),
        (edited(lambda rows: [{**row, "index": "first"} for row in rows]), "answered 5 vectors for 5 texts"),
    ],
)
def test_garbage_is_refused_and_not_cached(
    endpoint: Endpoint, tmp_path: Path, answer: Callable[[dict[str, Any]], Answer], says: str
) -> None:
    endpoint.answers = [answer]
    with pytest.raises(EncoderError, match=says):
        encode(ITEMS[:5], CONFIG, cache=tmp_path)
    endpoint.answers = [sound]
    assert encode(ITEMS[:5], CONFIG, cache=tmp_path).num_encoded == 5


def test_vectors_of_another_length_than_before_are_refused(endpoint: Endpoint, tmp_path: Path) -> None:
    encode(ITEMS[:5], CONFIG, cache=tmp_path)
    endpoint.answers = [edited(lambda rows: [{**row, "embedding": [1.0, 2.0]} for row in rows])]
    with pytest.raises(EncoderError, match=r"different lengths: \[2, 3\]"):
        encode(ITEMS[:9], CONFIG, cache=tmp_path)


def test_with_a_fallback_a_dead_endpoint_costs_the_vectors_alone(
    endpoint: Endpoint, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    endpoint.answers = [fails(503)]
    found = encode(ITEMS, CONFIG.model_copy(update={"fallback": "none"}), cache=tmp_path)
    assert found.items["text_vector"].isna().all() and "refused with status 503" in caplog.text

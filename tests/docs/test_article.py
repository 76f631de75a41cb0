"""The page on the article's program: its block runs, is short, and tells logit and probability apart."""

from __future__ import annotations

import math
import re

import pytest

from tests.docs.pages import ROOT

PAGE = (ROOT / "docs" / "how-to" / "article.md").read_text(encoding="utf-8")


def test_the_block_is_the_article_s_program_in_under_20_lines(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    assert len(code.splitlines()) < 20
    exec(compile(code, "article.md", "exec"), {})
    said = capsys.readouterr().out
    losses = [float(loss) for loss in re.findall(r"^Epoch \d+/10, Loss: ([\d.]+)$", said, re.MULTILINE)]
    (validation,) = re.findall(r"^Validation Loss: ([\d.]+)$", said, re.MULTILINE)
    ((logit, probability),) = re.findall(r"^Result: logit (-?[\d.]+), probability ([\d.]+)$", said, re.MULTILINE)
    assert len(losses) == 10
    assert losses[-1] < losses[0] and float(validation) < losses[0]
    assert float(probability) == pytest.approx(1 / (1 + math.exp(-float(logit))), abs=1e-3)


def test_the_article_s_logit_as_a_probability_is_the_one_the_page_says() -> None:
    logit, probability = 0.3027667362613614, 0.5751
    assert f"{logit:.4f}" in PAGE and f"{probability}" in PAGE
    assert 1 / (1 + math.exp(-logit)) == pytest.approx(probability, abs=5e-5)

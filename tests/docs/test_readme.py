"""The README's blocks run, and its Chinese twin says the same."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.docs.pages import ROOT

README, CHINESE = ROOT / "README.md", ROOT / "README.zh-CN.md"


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(encoding="utf-8"), re.DOTALL)


def test_the_python_block_runs(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks(README, "python")
    exec(compile(code, "README.md", "exec"), {})
    assert "cooccurrence" in capsys.readouterr().out


@pytest.mark.slow
def test_the_first_command_publishes_the_sample(tmp_path: Path) -> None:
    (commands,) = blocks(README, "console")
    first = commands.split("\n")[0].split("#")[0].split()
    assert first == ["make", "run"]
    done = subprocess.run(
        first, cwd=ROOT, env=os.environ | {"BOWERBIRD_HOME": str(tmp_path / "home")}, capture_output=True, text=True,
        timeout=600, check=False, stdin=subprocess.DEVNULL,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    assert "Published." in done.stderr and "bowerbird recommend" in done.stderr


@pytest.mark.parametrize("language", ["python", "console", "mermaid"])
def test_the_chinese_page_has_the_same_blocks(language: str) -> None:
    assert blocks(CHINESE, language) == blocks(README, language)


def test_the_chinese_page_has_the_same_figures_and_sections() -> None:
    def figures(page: Path) -> list[str]:
        return re.findall(r"\d+\.\d{3,}", page.read_text(encoding="utf-8"))

    def sections(page: Path) -> int:
        return len(re.findall(r"^## ", page.read_text(encoding="utf-8"), re.MULTILINE))

    assert figures(CHINESE) == figures(README) and figures(README)
    assert sections(CHINESE) == sections(README)

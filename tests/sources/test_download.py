from __future__ import annotations

import hashlib
import urllib.error
import zipfile
from pathlib import Path

import pytest

from bowerbird.errors import SourceError
from bowerbird.sources.download import download, download_movielens_small
from tests.sources.small import DATA


def mirror(tmp_path: Path, *, md5: str | None = "right") -> Path:
    folder = tmp_path / "mirror é"
    folder.mkdir()
    archive = folder / "ml-latest-small.zip"
    with zipfile.ZipFile(archive, "w") as content:
        content.writestr("ml-latest-small/ratings.csv", "userId,movieId,rating,timestamp\n")
    if md5 is not None:
        digest = hashlib.md5(archive.read_bytes()).hexdigest() if md5 == "right" else md5
        (folder / "ml-latest-small.zip.md5").write_text(f"MD5 (ml-latest-small.zip) = {digest}\n")
    return folder


def test_mirror_stands_in_for_the_network(tmp_path: Path) -> None:
    folder = download("movielens-small", tmp_path / "data", mirror=mirror(tmp_path))
    assert folder == tmp_path / "data" / "ml-latest-small"
    assert (folder / "ratings.csv").read_text() == "userId,movieId,rating,timestamp\n"
    assert [path.name for path in folder.parent.iterdir()] == ["ml-latest-small"]


def test_wrong_checksum_is_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="has the checksum"):
        download_movielens_small(tmp_path / "data", mirror=mirror(tmp_path, md5="0" * 32))
    assert list((tmp_path / "data").iterdir()) == []


def test_archive_without_published_checksum_must_hold_what_we_know(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"ratings\.csv is missing or has another checksum"):
        download("movielens-small", tmp_path / "data", mirror=mirror(tmp_path, md5=None))


def test_checksum_that_does_not_read_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="does not read"):
        download("movielens-small", tmp_path / "data", mirror=mirror(tmp_path, md5="not found"))


def test_archive_that_is_none_is_refused(tmp_path: Path) -> None:
    folder = mirror(tmp_path)
    (folder / "ml-latest-small.zip").write_bytes(b"no zip")
    digest = hashlib.md5(b"no zip").hexdigest()
    (folder / "ml-latest-small.zip.md5").write_text(digest)
    with pytest.raises(SourceError, match="cannot be unpacked"):
        download("movielens-small", tmp_path / "data", mirror=folder)


def test_empty_mirror_says_what_belongs_there(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match=r"holds neither 'ml-latest-small\.zip' nor the folder"):
        download("movielens-small", tmp_path / "data", mirror=tmp_path)


def test_unknown_data_set_gets_a_suggestion(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="did you mean 'movielens-small'"):
        download("movielens-smal", tmp_path)


def test_address_that_does_not_answer_leads_to_the_mirror(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object, **__: object) -> None:
        raise urllib.error.URLError("no network")

    monkeypatch.setattr("urllib.request.urlopen", refuse)
    with pytest.raises(SourceError, match="BOWERBIRD_DATA_MIRROR"):
        download("movielens-small", tmp_path / "data")


@pytest.mark.skipif(not DATA.is_dir(), reason="the real data sets are not there: ../shared/data is absent")
def test_real_folder_in_a_mirror_is_checked_copied_and_kept(tmp_path: Path) -> None:
    folder = download("movielens-small", tmp_path / "data", mirror=DATA)
    before = (folder / "ratings.csv").stat().st_mtime_ns
    assert download("movielens-small", tmp_path / "data") == folder
    assert (folder / "ratings.csv").stat().st_mtime_ns == before

"""Fetches the public data sets that recipes are written for, checked before they are used."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
import urllib.error
import urllib.request
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TransferSpeedColumn

from bowerbird.errors import SourceError, did_you_mean

CHUNK: Final = 1 << 16
TIMEOUT_SECONDS: Final = 30


@dataclass(frozen=True)
class DataSet:
    """Where a data set is published, and the checksums of its files as we know them."""

    address: str
    """Address of the zip archive; its MD5 is published beside it with ``.md5`` at the end."""
    folder: str
    sha256: dict[str, str]
    """Checksums of files inside, for a mirror that does not hold the published one."""

    @property
    def archive(self) -> str:
        """The archive's file name."""
        return self.address.rsplit("/", 1)[-1]


DATA_SETS: Final = {
    "movielens-small": DataSet(
        "https://files.grouplens.org/datasets/movielens/ml-latest-small.zip",
        "ml-latest-small",
        {
            "ratings.csv": "aa289ca83157595d0df6aea1be6a4ded676ddc4385472e8313a8ed9805352646",
            "movies.csv": "5a5f32dd9bb3797b8e728a1b98958789d2b13f294a69fdfbc5727f8a9611aa07",
        },
    )
}


def download(name: str, out: Path, *, mirror: Path | None = None) -> Path:
    """Fetch a data set into the folder ``out`` and return its own folder; one that is there and whole is kept.

    Parameters
    ----------
    mirror
        A folder that stands in for the network: it holds the archive (and its ``.md5``), or the folder itself.

    Raises
    ------
    SourceError
        For a name that is unknown, an address or a mirror that does not answer, and a checksum that does not match.
    """
    data_set = DATA_SETS.get(name)
    if data_set is None:
        raise SourceError(
            f"there is no data set {name!r}; known: {', '.join(DATA_SETS)}{did_you_mean(name, list(DATA_SETS))}",
            next_step="name one of them",
        )
    target = out / data_set.folder
    if target.is_dir() and not _damaged(target, data_set):
        return target
    out.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=out, prefix=".fetching.") as scratch:
        folder = _fetch(data_set, Path(scratch), mirror)
        if target.exists():
            target.rename(Path(scratch) / "replaced")
        folder.rename(target)
    return target


def download_movielens_small(folder: Path, *, mirror: Path | None = None) -> Path:
    """Fetch MovieLens latest-small; see ``download``."""
    return download("movielens-small", folder, mirror=mirror)


def _fetch(data_set: DataSet, scratch: Path, mirror: Path | None) -> Path:
    """Return the data set's folder inside ``scratch``, checked."""
    archive = scratch / data_set.archive
    if mirror is not None:
        published = _take_from(mirror, data_set, archive)
        if published is None:
            folder = scratch / data_set.folder
            shutil.copytree(mirror / data_set.folder, folder)
            return _checked(folder, data_set, str(mirror / data_set.folder))
    else:
        _load(data_set.address, archive)
        published = _read_address(f"{data_set.address}.md5")
    where = str(mirror / data_set.archive) if mirror is not None else data_set.address
    if published:
        _check_md5(archive, published, where)
    folder = _unpack(archive, scratch / "unpacked", data_set, where)
    return folder if published else _checked(folder, data_set, where)


def _take_from(mirror: Path, data_set: DataSet, archive: Path) -> str | None:
    """Copy the archive from a mirror and return its published checksum, empty where absent; None where only a folder is."""
    if (mirror / data_set.archive).is_file():
        with (mirror / data_set.archive).open("rb") as stream:
            _copy(stream, archive, (mirror / data_set.archive).stat().st_size)
        beside = mirror / f"{data_set.archive}.md5"
        return beside.read_text(encoding="utf-8") if beside.is_file() else ""
    if (mirror / data_set.folder).is_dir():
        return None
    raise SourceError(
        f"the mirror {str(mirror)!r} holds neither {data_set.archive!r} nor the folder {data_set.folder!r}",
        next_step="put one of them there, or unset BOWERBIRD_DATA_MIRROR to use the network",
    )


def _load(address: str, path: Path) -> None:
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_SECONDS) as stream:  # noqa: S310 - our own https address
            _copy(stream, path, int(stream.headers.get("Content-Length") or 0))
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise _unreachable(address, error) from error


def _read_address(address: str) -> str:
    try:
        with urllib.request.urlopen(address, timeout=TIMEOUT_SECONDS) as stream:  # noqa: S310 - our own https address
            return bytes(stream.read(1000)).decode("utf-8", "replace")
    except (urllib.error.URLError, TimeoutError, ConnectionError) as error:
        raise _unreachable(address, error) from error


def _unreachable(address: str, error: Exception) -> SourceError:
    return SourceError(
        f"{address} does not answer: {error}",
        next_step="try again, or set BOWERBIRD_DATA_MIRROR to a folder that holds the file",
    )


def _copy(stream: BinaryIO, path: Path, size: int) -> None:
    """Copy a stream to a file under a progress bar, which goes to standard error."""
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn(), TransferSpeedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress, path.open("wb") as target:
        task = progress.add_task(path.name, total=size or None)
        while chunk := stream.read(CHUNK):
            target.write(chunk)
            progress.advance(task, len(chunk))


def _check_md5(archive: Path, published: str, where: str) -> None:
    found = re.search(r"\b[0-9a-f]{32}\b", published.lower())
    if found is None:
        raise SourceError(f"the checksum of {where} does not read: {published[:80]!r}", next_step="try again later")
    with archive.open("rb") as stream:
        own = hashlib.file_digest(stream, "md5").hexdigest()
    if own != found[0]:
        raise SourceError(
            f"{where} has the checksum {own}, published is {found[0]}", next_step="fetch it again; it was damaged on the way"
        )


def _unpack(archive: Path, folder: Path, data_set: DataSet, where: str) -> Path:
    try:
        with zipfile.ZipFile(archive) as content:
            content.extractall(folder)
    except (zipfile.BadZipFile, zlib.error, EOFError) as error:
        raise SourceError(f"{where} cannot be unpacked: {error}", next_step="fetch it again") from error
    inside = folder / data_set.folder
    return inside if inside.is_dir() else folder


def _checked(folder: Path, data_set: DataSet, where: str) -> Path:
    damaged = _damaged(folder, data_set)
    if damaged:
        raise SourceError(
            f"{where} is not the data set that we know: {damaged[0]} is missing or has another checksum",
            next_step="fetch it again, or put the published .md5 beside the archive",
        )
    return folder


def _damaged(folder: Path, data_set: DataSet) -> list[str]:
    """List the files that are missing or differ from what we know."""
    return [name for name, digest in data_set.sha256.items() if not _is_same(folder / name, digest)]


def _is_same(path: Path, digest: str) -> bool:
    if not path.is_file():
        return False
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest() == digest

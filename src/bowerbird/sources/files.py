"""Finds the files of a source: in a folder, in a zip archive, or the one file that was named."""

from __future__ import annotations

import fnmatch
import re
import shutil
import zipfile
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from bowerbird.errors import SourceError
from bowerbird.recipe_source import TableSource

Format = Literal["csv", "parquet", "jsonl", "delta"]
FILE_STEM = "file_stem"
MAGIC = "*?["
SHOWN = 10
SUFFIXES: dict[str, Format] = {
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".parquet": "parquet",
    ".pq": "parquet",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
    ".json": "jsonl",
}


@dataclass(frozen=True)
class SourceFile:
    """One file of a table; ``name`` is how reports call it, relative to the source.

    ``told`` holds what the name tells, as columns of the source: ``file_stem`` and the groups of ``path_pattern``.
    """

    path: Path
    name: str
    format: Format
    told: dict[str, str]


def find_files(spec: TableSource, root: Path, *, table: str, scratch: Path) -> list[SourceFile]:
    """Return the files of a table in the order of their names; members of an archive are unpacked into ``scratch``.

    Parameters
    ----------
    root
        A folder that ``spec.path`` is relative to, a zip archive of such a folder, or one file. One file stands for the
        table whose pattern it matches, and else for the events; other tables are then looked for beside it.

    Raises
    ------
    SourceError
        Where nothing matches; it names the pattern and what there is instead.
    """
    if Path(spec.path).is_absolute() or ".." in Path(spec.path).parts:
        raise SourceError(
            f"the path {spec.path!r} of source.{table} leaves the source folder", next_step="write it relative to the source"
        )
    if not root.exists():
        raise SourceError(f"the source {str(root)!r} does not exist", next_step=_closest(root))
    if root.is_file() and zipfile.is_zipfile(root):
        folder = _unpack(root, scratch / "unpacked")
        return _describe(_matches(spec, folder, table, shown=root), folder, spec)
    if root.is_file():
        if table == "events" or fnmatch.fnmatch(root.name, spec.path):
            return _describe([root], root.parent, spec)
        return _describe(_matches(spec, root.parent, table, shown=root.parent), root.parent, spec)
    if (root / "_delta_log").is_dir():
        return [SourceFile(root, root.name, "delta", _told(root.name, spec))]
    return _describe(_matches(spec, root, table, shown=root), root, spec)


def _glob(spec: TableSource, folder: Path) -> list[Path]:
    """Find what the pattern names; a name without wild cards is taken as it stands."""
    if not any(letter in spec.path for letter in MAGIC):
        return [folder / spec.path] if (folder / spec.path).exists() else []
    return sorted((path for path in folder.glob(spec.path) if not path.name.startswith(".")), key=lambda path: path.as_posix())


def _matches(spec: TableSource, folder: Path, table: str, *, shown: Path) -> list[Path]:
    found = _glob(spec, folder)
    if not found:
        raise SourceError(
            f"source.{table}: no file matches {spec.path!r} in {str(shown)!r}, which holds {_content(folder)}",
            next_step=f"point --source at the right folder, or mend source.{table}.path in the recipe",
        )
    return found


def _describe(paths: list[Path], base: Path, spec: TableSource) -> list[SourceFile]:
    names = [path.relative_to(base).as_posix() for path in paths]
    return [SourceFile(path, name, _format(path, spec), _told(name, spec)) for path, name in zip(paths, names, strict=True)]


def _told(name: str, spec: TableSource) -> dict[str, str]:
    """Return the file's name without its endings, and the groups of ``path_pattern``. Raises SourceError for no match."""
    last = Path(name).name.removesuffix(".gz")
    told = {FILE_STEM: Path(last).stem if Path(last).suffix in SUFFIXES else last}
    if spec.path_pattern is None:
        return told
    found = re.fullmatch(spec.path_pattern, name)
    if found is None:
        raise SourceError(
            f"{name} does not match path_pattern, {spec.path_pattern!r}",
            next_step="mend path_pattern in the recipe, or let path name fewer files",
        )
    return told | found.groupdict("")


def _format(path: Path, spec: TableSource) -> Format:
    if path.is_dir():
        if (path / "_delta_log").is_dir():
            return "delta"
        raise SourceError(
            f"{str(path)!r} is a folder where a file is expected; it holds {_content(path)}",
            next_step=f"write the pattern down to the files, as in {(Path(spec.path) / '*').as_posix()!r}",
        )
    if spec.format != "auto":
        return spec.format
    return SUFFIXES.get(Path(path.name.removesuffix(".gz")).suffix.lower(), "csv")


def _content(folder: Path) -> str:
    names = sorted(path.name + ("/" if path.is_dir() else "") for path in folder.iterdir())
    rest = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return ", ".join(map(repr, names[:SHOWN])) + rest if names else "nothing"


def _closest(root: Path) -> str:
    there = next(parent for parent in root.absolute().parents if parent.exists())
    return f"name a folder, a file or a zip archive with --source; {str(there)!r} holds {_content(there)}"


def _unpack(archive: Path, folder: Path) -> Path:
    """Unpack an archive once; a single folder at its top is looked through."""
    if not folder.exists():
        unfinished = folder.with_name("unpacking")
        shutil.rmtree(unfinished, ignore_errors=True)
        try:
            with zipfile.ZipFile(archive) as content:
                content.extractall(unfinished)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
            raise SourceError(f"the archive {str(archive)!r} cannot be unpacked: {error}", next_step="fetch it again") from error
        unfinished.rename(folder)
    inside = [path for path in folder.iterdir() if path.name != "__MACOSX"]
    return inside[0] if len(inside) == 1 and inside[0].is_dir() else folder

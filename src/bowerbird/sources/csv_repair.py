"""Reads CSV that the fast reader refuses: rows that are no rows are told apart one by one, and nothing else is lost.

A quote that is never closed costs its own line only: reading goes on with the line after it. Line endings may be mixed.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

MAX_JOINED_LINES = 200


@dataclass(frozen=True)
class Record:
    """One row: its fields, or None and the text where it has the wrong number of them or broken quotes."""

    fields: list[str | None] | None
    text: str


def records(lines: Iterable[str], *, num_columns: int, delimiter: str) -> Iterator[Record]:
    """Read the records of a CSV file without its header.

    Parameters
    ----------
    lines
        The file's lines with their endings, as ``open(newline="")`` gives them.

    Yields
    ------
    Record
        In file order; empty lines are left out. An empty field without quotes is None.
    """
    split = FieldSplitter(delimiter)
    source = iter(lines)
    waiting: deque[str] = deque()
    while (line := waiting.popleft() if waiting else next(source, None)) is not None:
        if not line.strip("\r\n"):
            continue
        found, read = split(line), 1
        if found is None:
            found, read = _join(line, waiting, source, split)
        text = (line + "".join(waiting.popleft() for _ in range(read - 1))).rstrip("\r\n")
        if found is not None and len(found) == num_columns + 1 and not found[-1]:
            found.pop()  # a delimiter at the line's end
        yield Record(found if found is not None and len(found) == num_columns else None, text)


def _join(line: str, waiting: deque[str], source: Iterator[str], split: FieldSplitter) -> tuple[list[str | None] | None, int]:
    """Find the record that begins in ``line`` and ends some lines on; lines looked at stay in ``waiting``.

    Returns the fields and the number of lines, or None and 1 where the quotes stay broken.
    """
    is_open = line.count('"') % 2 == 1
    if not is_open:
        return None, 1
    parts = [line]
    while len(parts) < MAX_JOINED_LINES:
        if len(waiting) < len(parts):
            following = next(source, None)
            if following is None:
                break
            waiting.append(following)
        parts.append(waiting[len(parts) - 1])
        if parts[-1].count('"') % 2 == 1:
            is_open = not is_open
        if not is_open:
            found = split("".join(parts))
            if found is not None:
                return found, len(parts)
    return None, 1


class FieldSplitter:
    """Splits one record into fields; None where its quotes are broken."""

    def __init__(self, delimiter: str) -> None:
        sign = re.escape(delimiter)
        self.delimiter = delimiter
        self.field = re.compile(rf'(?: *"([^"]*(?:""[^"]*)*)" *|((?! *")[^{sign}]*))({sign}|\Z)')

    def __call__(self, record: str) -> list[str | None] | None:
        text = record.rstrip("\r\n")
        if '"' not in text:
            return [value or None for value in text.split(self.delimiter)]
        found: list[str | None] = []
        place = 0
        while True:
            match = self.field.match(text, place)
            if match is None:
                return None
            quoted, plain, end = match.groups()
            found.append(quoted.replace('""', '"') if quoted is not None else plain or None)
            place = match.end()
            if not end:
                return found

"""The home folder: where tables, runs and the cache of one recommender lie."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from bowerbird import columns as c
from bowerbird.errors import HomeError
from bowerbird.store.runs import write_json
from bowerbird.store.tables import Table

FORMAT = 1
FORBIDDEN = "%[]*?^|\\"
"""Delta cannot write or read back a path with one of these, or DuckDB takes it for a pattern; nor with control characters."""
TEXT, NUMBER, WHOLE, MOMENT = pa.string(), pa.float64(), pa.int64(), pa.timestamp("us", "UTC")
ORIGIN = [(c.SOURCE_FILE, TEXT), (c.SOURCE_ROW, WHOLE), (c.RUN_ID, TEXT)]

EVENTS = pa.schema(
    [
        (c.EVENT_ID, TEXT),
        (c.USER_ID, TEXT),
        (c.ITEM_ID, TEXT),
        (c.EVENT, TEXT),
        (c.TIMESTAMP, MOMENT),
        (c.SESSION_ID, TEXT),
        (c.QUANTITY, NUMBER),
        (c.PRICE, NUMBER),
        *ORIGIN,
    ]
)
ITEMS = pa.schema(
    [
        (c.ITEM_ID, TEXT),
        (c.TITLE, TEXT),
        (c.DESCRIPTION, TEXT),
        (c.CATEGORIES, pa.list_(TEXT)),
        (c.PRICE, NUMBER),
        (c.AVAILABLE_FROM, MOMENT),
        (c.AVAILABLE_UNTIL, MOMENT),
        (c.CREATED_AT, MOMENT),
    ]
)
USERS = pa.schema([(c.USER_ID, TEXT)])
FEEDBACK = pa.schema(
    [
        (c.EVENT_ID, TEXT),
        (c.TIMESTAMP, MOMENT),
        (c.USER_ID, TEXT),
        (c.ITEM_ID, TEXT),
        (c.POSITION, WHOLE),
        (c.CLICK, WHOLE),
        (c.PROPENSITY, NUMBER),
        *ORIGIN,
    ]
)
QUARANTINE = pa.schema(
    [
        (c.RUN_ID, TEXT),
        ("table", TEXT),
        (c.SOURCE_FILE, TEXT),
        (c.SOURCE_ROW, WHOLE),
        (c.REASON, TEXT),
        (c.REASONS, pa.list_(TEXT)),
        ("raw", TEXT),
        ("row_key", TEXT),
    ]
)
RECOMMENDATIONS = pa.schema(
    [
        (c.USER_ID, TEXT),
        (c.ITEM_ID, TEXT),
        (c.SCORE, NUMBER),
        (c.RANK, pa.int32()),
        (c.SOURCE, TEXT),
        (c.GENERATOR, TEXT),
        (c.BECAUSE, TEXT),
        (c.SHARE, NUMBER),
        (c.ATTRIBUTE, TEXT),
        (c.ATTRIBUTE_SHARE, NUMBER),
        (c.REASON, TEXT),
        (c.PROPENSITY, NUMBER),
        (c.EXPLANATION, TEXT),
    ]
)
"""From ``generator`` on, columns may be missing in sets that an earlier version made; then they are null."""
SIMILAR_ITEMS = pa.schema(
    [(c.RUN_ID, TEXT), (c.ITEM_ID, TEXT), (f"similar_{c.ITEM_ID}", TEXT), (c.SCORE, NUMBER), (c.RANK, pa.int32())]
)


@dataclass(frozen=True)
class Home:
    """The folders of a home; ``Home.open`` checks and creates, the tables are created under the lock."""

    path: Path

    @classmethod
    def open(cls, path: Path) -> Home:
        """Check a home folder, make it where it is missing, and return it.

        Raises
        ------
        HomeError
            For a path with a letter of ``FORBIDDEN``, a path that is a file, a folder without write permission, or a home
            that a newer version made.
        """
        try:
            home = cls(Path(path).expanduser().absolute())
        except RuntimeError as error:
            raise HomeError(f"the home folder {str(path)!r}: {error}", next_step="name a folder with --home") from error
        refused = sorted({letter for letter in str(home.path) if letter in FORBIDDEN or letter < " " or letter == "\x7f"})
        if refused:
            raise HomeError(
                f"the home folder {str(path)!r} has {', '.join(map(repr, refused))} in its path",
                next_step=f"choose a path without {' '.join(FORBIDDEN)} and control characters",
            )
        try:
            if home.path.exists() and not home.path.is_dir():
                raise HomeError(f"the home folder {str(path)!r} is a file", next_step="name a folder with --home")
            home.path.mkdir(parents=True, exist_ok=True)
            probe = home.path / f".probe.{os.getpid()}"
            probe.write_bytes(b"")
            probe.unlink()
        except OSError as error:
            raise HomeError(
                f"cannot write to the home folder {str(path)!r}: {error.strerror}",
                next_step="give write permission, free some space, or name another folder with --home",
            ) from error
        home._check_format()
        return home

    def _check_format(self) -> None:
        marker = self.path / "home.json"
        if not marker.exists():
            return
        try:
            found = int(json.loads(marker.read_text(encoding="utf-8"))["format"])
        except (ValueError, KeyError, TypeError, OverflowError, OSError) as error:
            raise HomeError(f"{str(marker)!r} cannot be read", next_step="restore the file or name another home") from error
        if found > FORMAT:
            raise HomeError(
                f"the home folder was made by a newer version (format {found}, this version reads up to {FORMAT})",
                next_step="update bowerbird or name another folder with --home",
            )

    def create_tables(self, *, retention_days: int) -> None:
        """Create the tables that are missing; the caller holds the lock."""
        if not (self.path / "home.json").exists():
            write_json(self.path / "home.json", {"format": FORMAT})
        for table in self.tables:
            table.create(retention_days=retention_days)

    @property
    def tables(self) -> tuple[Table, ...]:
        """All tables."""
        read = (self.events, self.items, self.users, self.feedback)
        return (*read, self.quarantine, self.recommendations, self.similar_items)

    @property
    def events(self) -> Table:
        return Table(self.path / "events", EVENTS)

    @property
    def items(self) -> Table:
        return Table(self.path / "items", ITEMS)

    @property
    def users(self) -> Table:
        return Table(self.path / "users", USERS)

    @property
    def feedback(self) -> Table:
        return Table(self.path / "feedback", FEEDBACK)

    @property
    def quarantine(self) -> Table:
        return Table(self.path / "quarantine", QUARANTINE)

    @property
    def recommendations(self) -> Table:
        return Table(self.path / "recommendations", RECOMMENDATIONS)

    @property
    def similar_items(self) -> Table:
        return Table(self.path / "similar_items", SIMILAR_ITEMS)

    @property
    def runs(self) -> Path:
        return self.path / "runs"

    @property
    def cache(self) -> Path:
        return self.path / "cache"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

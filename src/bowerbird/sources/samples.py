"""The simulated sources, a shop or a feed of short-lived posts: their size, the files that a folder begins with, by kind."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Final

from bowerbird.errors import DataError
from bowerbird.recipe_source import SampleSource

if TYPE_CHECKING:
    from bowerbird.sources.feed_files import FeedFiles
    from bowerbird.sources.shop_files import ShopFiles

END: Final = datetime(2026, 7, 1)
"""The first moment after the last day, whatever the number of days."""
CSV_LIMIT: Final = 1_000_000
"""Up to so many expected events are written as CSV, more as Parquet."""


@dataclass(frozen=True)
class SampleConfig:
    """Size of a simulated source and the seed that all of it follows from."""

    kind: ClassVar[str]
    users: int = 2000
    items: int = 1500
    """Products, or posts over all days."""
    days: int = 60
    """Length of the log; its last day is 2026-06-30."""
    seed: int = 1

    def __post_init__(self) -> None:
        for name in ("users", "items", "days", "seed"):
            value, least = getattr(self, name), 0 if name == "seed" else 1
            if isinstance(value, bool) or not isinstance(value, int) or value < least:
                raise DataError(
                    f"the simulated {self.kind}'s {name} is {value!r}", next_step=f"give a whole number, at least {least}"
                )


def begin_folder(folder: Path, *, expected_events: int) -> tuple[Path, Path]:
    """Make the folder ready; return the paths of its events and of its README, which is written last and marks a whole folder."""
    folder.mkdir(parents=True, exist_ok=True)
    events, other, readme = folder / "events.csv", folder / "events.parquet", folder / "README.md"
    if expected_events > CSV_LIMIT:
        events, other = other, events
    for old in (other, readme):
        old.unlink(missing_ok=True)
    return events, readme


def write_sample(sample: SampleSource, folder: Path) -> ShopFiles | FeedFiles:
    """Write the files of a simulated source; return paths and counts."""
    size = sample.model_dump(exclude={"kind"})
    if sample.kind == "feed":
        from bowerbird.sources.feed import Feed, FeedConfig

        return Feed(FeedConfig(**size)).write(folder)
    from bowerbird.sources.shop import Shop, ShopConfig

    return Shop(ShopConfig(**size)).write(folder)

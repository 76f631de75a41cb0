"""The simulated sources by kind: a shop, or a feed of short-lived posts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from bowerbird.recipe import SampleSource

if TYPE_CHECKING:
    from bowerbird.sources.feed_files import FeedFiles
    from bowerbird.sources.shop_files import ShopFiles


def write_sample(sample: SampleSource, folder: Path) -> ShopFiles | FeedFiles:
    """Write the files of a simulated source; return paths and counts."""
    size = sample.model_dump(exclude={"kind"})
    if sample.kind == "feed":
        from bowerbird.sources.feed import Feed, FeedConfig

        return Feed(FeedConfig(**size)).write(folder)
    from bowerbird.sources.shop import Shop, ShopConfig

    return Shop(ShopConfig(**size)).write(folder)

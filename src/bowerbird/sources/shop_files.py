"""Writes the simulated shop's files: events as CSV or Parquet, items as JSON lines, users as CSV, and a README."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from bowerbird.columns import AVAILABLE_FROM, AVAILABLE_UNTIL, CREATED_AT, ITEM_ID, USER_ID
from bowerbird.sources.samples import begin_folder
from bowerbird.sources.shop_dirt import Dirt
from bowerbird.sources.shop_walk import EVENTS, Events

if TYPE_CHECKING:
    from bowerbird.sources.shop import Shop

COLUMNS: Final = ("customer", "product", "event", "time", "session", "quantity", "price")
CUT_AFTER: Final = 3
"""A malformed row ends after so many columns."""
_DIRT: Final = 3

Chunk = tuple[pa.Table, NDArray[np.bool_]]


@dataclass(frozen=True)
class ShopFiles:
    """What was written: paths, rows, and rows of each kind of dirt."""

    folder: Path
    events: Path
    items: Path
    users: Path
    readme: Path
    num_clean: int
    """Events that are in order; what a run must accept."""
    num_rows: int
    """Rows of the events file, its header not counted."""
    dirt: dict[str, int]
    """Kind to rows that were added beside the clean events."""
    awkward: dict[str, int]
    """Kind to clean rows that careless code breaks on: other time formats, out of order."""


def write_files(shop: Shop, folder: Path, *, dirty: bool) -> ShopFiles:
    """Write all files of the shop; the README comes last, so it marks a whole folder."""
    events, readme = begin_folder(folder, expected_events=shop.expected_events)
    is_csv, items, users = events.suffix == ".csv", folder / "items.jsonl", folder / "users.csv"
    dirt = Dirt(np.random.default_rng([shop.config.seed, _DIRT]), frozenset() if is_csv else frozenset({"malformed"}))
    chunks = _chunks(shop, dirt if dirty else None)
    num_rows = (_write_csv if is_csv else _write_parquet)(events, chunks, shop)
    _write_items(items, shop.items())
    _write_users(users, shop.users())
    awkward = {kind: dirt.counts.pop(kind, 0) for kind in ("other_time_format", "out_of_order")}
    num_clean = num_rows - sum(dirt.counts.values())
    files = ShopFiles(folder, events, items, users, readme, num_clean, num_rows, dict(dirt.counts), awkward)
    readme.write_text(_readme(shop, files), encoding="utf-8")
    return files


def _chunks(shop: Shop, dirt: Dirt | None) -> Iterator[Chunk]:
    """Turn the shop's days into tables in the file's columns, with dirt where asked."""
    users, items = pa.array(shop.user_ids, pa.string()), pa.array(shop.item_ids, pa.string())
    for events in shop.days():
        table = _as_table(events, users, items, shop.item_world.price)
        yield dirt.plant(table) if dirt is not None else (table, np.zeros(len(table), bool))


def _as_table(events: Events, users: pa.Array, items: pa.Array, price: NDArray[np.float64]) -> pa.Table:
    # Times are text in Parquet too: one recipe reads both, and an unreadable time stays possible.
    times = pc.cast(pa.array(events.second).cast(pa.timestamp("s")), pa.string())
    return pa.table(
        {
            "customer": users.take(pa.array(events.user)),
            "product": items.take(pa.array(events.item)),
            "event": pa.array(EVENTS).take(pa.array(events.event)),
            "time": times,
            "session": pc.binary_join_element_wise("S", pc.cast(pa.array(events.session), pa.string()), ""),
            "quantity": pa.array(events.quantity, mask=events.quantity == 0),
            "price": pa.array(price[events.item]),
        }
    )


def _write_csv(path: Path, chunks: Iterator[Chunk], shop: Shop) -> int:
    num_rows = 0
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(COLUMNS)
        for table, is_cut in chunks:
            rows = list(zip(*(table[column].to_pylist() for column in COLUMNS), strict=True))
            for place in np.flatnonzero(is_cut):
                rows[place] = rows[place][:CUT_AFTER]
            writer.writerows(rows)
            num_rows += len(rows)
    return num_rows


def _write_parquet(path: Path, chunks: Iterator[Chunk], shop: Shop) -> int:
    types = {"quantity": pa.int32(), "price": pa.float64()}
    schema = pa.schema([(column, types.get(column, pa.string())) for column in COLUMNS])
    num_rows = 0
    with pq.ParquetWriter(path, schema.with_metadata({"title": shop.title, "simulated": "true"}), compression="zstd") as writer:
        for table, _ in chunks:
            writer.write_table(table.cast(schema))
            num_rows += len(table)
    return num_rows


def _write_items(path: Path, items: pd.DataFrame) -> None:
    names = ["product" if column == ITEM_ID else str(column) for column in items]
    columns = [items[column].tolist() for column in items]
    for column in (CREATED_AT, AVAILABLE_FROM, AVAILABLE_UNTIL):
        texts = zip(_spell(items[column]), items[column].notna(), strict=True)
        columns[names.index(column)] = [text if is_there else None for text, is_there in texts]
    with path.open("w", encoding="utf-8") as file:
        for row in zip(*columns, strict=True):
            file.write(json.dumps(dict(zip(names, row, strict=True)), ensure_ascii=False, allow_nan=False) + "\n")


def _write_users(path: Path, users: pd.DataFrame) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("customer", "country", "joined_at"))
        writer.writerows(zip(users[USER_ID].tolist(), users["country"].tolist(), _spell(users["joined_at"]), strict=True))


def _spell(moments: pd.Series[pd.Timestamp]) -> NDArray[np.object_]:
    """Spell times as ISO 8601 in UTC, to the second."""
    return np.char.add(np.datetime_as_string(moments.to_numpy("datetime64[s]")), "Z").astype(object)


def _readme(shop: Shop, files: ShopFiles) -> str:
    config = shop.config
    kinds = {**files.dirt, **files.awkward}
    rows = "\n".join(f"| {kind.replace('_', ' ')} | {count:,} |" for kind, count in kinds.items() if count)
    planted = f"\n| planted | rows |\n| --- | ---: |\n{rows}\n" if rows else "\nNo dirt was planted.\n"
    return f"""# {shop.title}

**All of this is simulated.** No person, product or order in this folder exists. It was made by
`bowerbird sample --users {config.users} --items {config.items} --days {config.days} --seed {config.seed}`; the same
numbers give the same files.

- `{files.events.name}`: {files.num_rows:,} rows, {files.num_clean:,} of them in order
- `{files.items.name}`: {config.items:,} items
- `{files.users.name}`: {config.users:,} users
{planted}
The event log holds planted faults on purpose; each rejected row has one fault. What they are and how the shop works stands
in Bowerbird's `docs/reference/sample.md`.
"""

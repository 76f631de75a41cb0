"""Dirt for the simulated shop's event log: rows that a run must reject, count or mend, each with one fault of a known kind.

Dirty rows are added beside the clean ones, so the clean events are what a run must accept, to the row.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from math import ceil
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

SHARES: Final = {
    "missing_user": 0.004,
    "missing_item": 0.002,
    "missing_time": 0.0005,
    "bad_time": 0.0015,
    "future_time": 0.001,
    "unknown_event": 0.002,
    "bad_price": 0.003,
    "no_product": 0.002,
    "malformed": 0.0005,
    "duplicate": 0.004,
}
"""Rows of each kind that are added, as a share of the clean rows; 2.05 % in all."""
KINDS: Final = tuple(SHARES)
FAULTS: Final[dict[str, dict[str, tuple[str | float | None, ...]]]] = {
    "customer": {"missing_user": (None,)},
    "product": {
        "missing_item": (None,),
        # Codes of services: none holds a digit, every product's does.
        "no_product": ("POST", "M", "BANK CHARGES", "GIFT WRAP", "DISCOUNT"),
    },
    "event": {"unknown_event": ("wishlist", "veiw")},
    "time": {
        "missing_time": (None,),
        "bad_time": ("yesterday", "2026-13-45 99:99:99", "31.02.2026 10:00:00", "n/a"),
        "future_time": ("2099-01-01 00:00:00", "2099-12-31 23:59:59"),
    },
    "price": {"bad_price": (0.0, -1.0)},
}
"""Column to kind to the values of which one is put in."""
TIME_FORMATS: Final = ("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%SZ", "%d.%m.%Y %H:%M:%S")
OTHER_FORMATS: Final = 0.015
"""Share of rows in each of the other two formats."""
DISPLACED: Final = 0.002
"""Share of rows that change places with one of the next 200."""


@dataclass
class Dirt:
    """Plants dirt chunk by chunk; ``counts`` tells how much of each kind, the awkward but valid ones included."""

    rng: np.random.Generator
    skips: frozenset[str] = frozenset()
    """Kinds that the file format cannot hold."""
    counts: Counter[str] = field(default_factory=Counter)
    num_clean: int = 0

    def plant(self, clean: pa.Table) -> tuple[pa.Table, NDArray[np.bool_]]:
        """Return the chunk with dirt, and a mask of the rows that are to be cut short."""
        self.num_clean += len(clean)
        clean = self._mix_formats(clean)
        kinds = np.repeat(np.arange(len(KINDS)), [self._due(kind) for kind in KINDS])
        source = np.concatenate([np.arange(len(clean)), self.rng.integers(0, len(clean), len(kinds))])
        place = np.concatenate([np.arange(len(clean)), self.rng.uniform(0, len(clean), len(kinds))])
        kind = np.concatenate([np.full(len(clean), -1), kinds])
        order = self._displace(np.argsort(place, kind="stable"))
        table, kind = clean.take(pa.array(source[order])), kind[order]
        return self._spoil(table, kind), kind == KINDS.index("malformed")

    def _due(self, kind: str) -> int:
        """Count the rows of a kind that this chunk owes, so that shares hold over all chunks and no kind is left out."""
        if kind in self.skips:
            return 0
        due = ceil(SHARES[kind] * self.num_clean) - self.counts[kind]
        self.counts[kind] += due
        return due

    def _mix_formats(self, clean: pa.Table) -> pa.Table:
        chance = self.rng.random(len(clean))
        for place, pattern in enumerate(TIME_FORMATS[1:]):
            mask = (chance >= place * OTHER_FORMATS) & (chance < (place + 1) * OTHER_FORMATS)
            self.counts["other_time_format"] += int(mask.sum())
            moments = pc.cast(clean["time"].filter(pa.array(mask)), pa.timestamp("s"))
            clean = _replace(clean, "time", mask, pc.strftime(moments, format=pattern))
        return clean

    def _displace(self, order: NDArray[np.int64]) -> NDArray[np.int64]:
        moved = np.flatnonzero(self.rng.random(len(order)) < DISPLACED)
        other = np.minimum(moved + self.rng.integers(1, 200, len(moved)), len(order) - 1)
        for one, two in zip(moved, other, strict=True):
            order[one], order[two] = order[two], order[one]
        self.counts["out_of_order"] += int((moved != other).sum())
        return order

    def _spoil(self, table: pa.Table, kind: NDArray[np.int64]) -> pa.Table:
        """Put the faults in; one pass a column, since a pass over texts is what costs time."""
        for column, faults in FAULTS.items():
            numbers = np.array([KINDS.index(name) for name in faults])
            spoiled = np.isin(kind, numbers)
            chosen = self.rng.random(int(spoiled.sum()))
            options = [faults[KINDS[number]] for number in kind[spoiled]]
            values = [among[int(chance * len(among))] for among, chance in zip(options, chosen, strict=True)]
            table = _replace(table, column, spoiled, pa.array(values, table.schema.field(column).type))
        return table


def _replace(table: pa.Table, column: str, mask: NDArray[np.bool_], values: pa.Array | pa.ChunkedArray) -> pa.Table:
    """Put ``values`` where ``mask`` holds."""
    place = table.schema.get_field_index(column)
    flat = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
    whole = table[column].combine_chunks()
    return table.set_column(place, column, pc.replace_with_mask(whole, pa.array(mask), flat))

"""What differs between two records of the same kind, such as the resolved recipes of two runs, key by key."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

MISSING = "not there"


def changes(ours: dict[str, Any], theirs: dict[str, Any]) -> list[dict[str, Any]]:  # Any: JSON
    """Name what differs, in the second's order; what one of the two lacks is ``not there``."""
    keys = [*theirs, *(key for key in ours if key not in theirs)]
    both = [(key, ours.get(key, MISSING), theirs.get(key, MISSING)) for key in keys]
    return [{"key": key, "a": one, "b": other} for key, one, other in both if one != other]


def flat(content: Any, place: str = "") -> Iterator[tuple[str, Any]]:  # Any: JSON
    """Spell nested tables as dotted keys; tables in a list go by their name, and by number where names repeat."""
    if isinstance(content, list) and content and all(isinstance(one, dict) for one in content):
        names = [str(one.get("name", "")) for one in content]
        content = {
            name if name and names.count(name) == 1 else f"{name}[{number}]": one
            for number, (name, one) in enumerate(zip(names, content, strict=True), 1)
        }
    if not isinstance(content, dict):
        yield place, content
        return
    for key, value in content.items():
        yield from flat(value, f"{place}.{key}" if place else key)


def plain(value: Any) -> str:  # Any: JSON
    """Spell a value for people, without brackets."""
    if isinstance(value, dict):
        return "; ".join(f"{key} {plain(part)}" for key, part in value.items()) or MISSING
    return ", ".join(map(plain, value)) if isinstance(value, list) else str(value)

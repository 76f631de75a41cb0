"""A small language for conditions on one row, as in ``rating >= 3.5 and country = 'France'``.

It compiles to SQL in which every value is a bound parameter and every column one that the table is known to have, so a
recipe cannot smuggle SQL in.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

TERM = re.compile(
    r"\s*(?P<column>[A-Za-z_][A-Za-z0-9_]*)\s*"
    r"(?:(?P<null>is\s+not\s+null|is\s+null)\b|"
    r"(?P<op>>=|<=|!=|=|>|<|starts\s+with)\s*(?P<value>'(?:[^']|'')*'|-?[0-9]+(?:\.[0-9]+)?(?![\w.])))\s*",
    re.IGNORECASE,
)
AND = re.compile(r"and\b", re.IGNORECASE)
GRAMMAR = 'write terms like "rating >= 3.5", "code starts with \'C\'", "user_id is not null", joined by "and"'


@dataclass(frozen=True)
class Term:
    """One comparison: a column, an operator, and a value (None for the null tests)."""

    column: str
    operator: str
    value: str | float | None = None


@dataclass(frozen=True)
class Condition:
    """Terms that must all hold; ``text`` is how the recipe spells them."""

    text: str
    terms: tuple[Term, ...]

    @classmethod
    def parse(cls, text: str) -> Condition:
        """Read a condition. Raises ValueError, which names the place and the grammar."""
        terms, place = [], 0
        while True:
            match = TERM.match(text, place)
            if match is None:
                raise ValueError(f"cannot read the condition {text!r} at {text[place:]!r}; {GRAMMAR}")
            terms.append(_term(match))
            place = match.end()
            if place == len(text):
                return cls(text, tuple(terms))
            joint = AND.match(text, place)
            if joint is None:
                raise ValueError(f"cannot read the condition {text!r} at {text[place:]!r}; {GRAMMAR}")
            place = joint.end()

    @property
    def columns(self) -> list[str]:
        """The columns that the condition reads."""
        return [term.column for term in self.terms]

    def sql(self, prefix: str) -> tuple[str, dict[str, str | float]]:
        """Return a DuckDB predicate that is never null, and its parameters, named from ``prefix`` on.

        The caller must have checked that the table has the condition's columns. A number is compared with the column
        read as a number, a text with the column read as text; what cannot be read, or is not a number, does not hold.
        """
        parts: list[str] = []
        values: dict[str, str | float] = {}
        for place, term in enumerate(self.terms):
            column, name = f'"{term.column}"', f"{prefix}_{place}"
            if term.value is None:
                parts.append(f"({column} {term.operator})")
                continue
            values[name] = term.value
            if term.operator == "starts with":
                parts.append(f"coalesce(starts_with({column}::varchar, ${name}), false)")
            elif isinstance(term.value, float):
                read = f"try_cast({column} as double)"  # DuckDB sorts NaN above every number
                parts.append(f"coalesce({read} {term.operator} ${name} and not isnan({read}), false)")
            else:
                parts.append(f"coalesce({column}::varchar {term.operator} ${name}, false)")
        return " and ".join(parts), values


def _term(match: re.Match[str]) -> Term:
    column = match["column"]
    if match["null"]:
        return Term(column, " ".join(match["null"].lower().split()))
    operator, value = " ".join(match["op"].lower().split()), match["value"]
    if value.startswith("'"):
        return Term(column, operator, value[1:-1].replace("''", "'"))
    if operator == "starts with":
        raise ValueError(f"'starts with' needs a text in quotes, got {value}")
    number = float(value)
    if not math.isfinite(number):
        raise ValueError(f"the number {value[:20]}... is too large")
    return Term(column, operator, number)

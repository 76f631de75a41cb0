"""What the command line shows a person; on stderr, so that stdout stays for what another program reads."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from bowerbird.store.published import Publish

STYLES = {
    "published": "bold green",
    "unchanged": "green",
    "ingested": "green",
    "backtested": "green",
    "held": "bold yellow",
    "rejected": "bold red",
    "stopped": "bold red",
    "failed": "bold red",
    "interrupted": "red",
}


def _console() -> Console:
    return Console(stderr=True, highlight=False)


def _table(title: str, *columns: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim")
    for column in columns:
        table.add_column(column.removeprefix(">"), justify="right" if column.startswith(">") else "left", overflow="fold")
    return table


def print_outcome(outcome: dict[str, Any], *, home: Path) -> None:  # Any: JSON
    """Show what a run did: rows, figures with intervals, the gate's sentence, seconds, and what to try next."""
    console = _console()
    if outcome["rows"]:
        console.print(_rows(outcome["rows"]))
    if outcome["metrics"] or outcome["rivals"]:
        console.print(_figures(outcome))
    if outcome["seconds"]:
        steps = ", ".join(f"{step} {seconds:.1f}" for step, seconds in outcome["seconds"].items())
        console.print(Text(f"Seconds by step: {steps}", "dim"))
    console.print()
    headline = Text(outcome["outcome"].capitalize(), STYLES[outcome["outcome"]])
    console.print(headline + Text(f". {outcome.get('sentence') or ''}", "default"))
    for meaning in findings(outcome):
        console.print(Text(meaning))
    if outcome.get("note"):
        console.print(Text(outcome["note"], "dim"))
    for command, meaning in next_steps(outcome, home):
        console.print(Text(f"  {command}", "cyan") + Text(f"   {meaning}", "dim"))


def findings(outcome: dict[str, Any]) -> list[str]:  # Any: JSON
    """Return a line for the worst slice and one for each broken check, where they were measured."""
    worst = outcome.get("worst_slice")
    return [*([f"Worst slice: {worst}"] if worst else []), *(f"Broken check: {one}" for one in outcome.get("broken_checks", ()))]


def next_steps(outcome: dict[str, Any], home: Path) -> list[tuple[str, str]]:  # Any: JSON
    """Return the commands to try after a run, each with its meaning."""
    at = "" if home == Path(".bowerbird").absolute() else f" --home {_quoted(home)}"
    found = []
    if outcome.get("example_user"):
        found.append((f"bowerbird recommend {_quoted(outcome['example_user'])} -k 10{at}", "a user's list, with why"))
    if outcome["outcome"] == "held":
        found.append(
            (f"bowerbird approve {outcome['run_id']} --by NAME --reason TEXT{at}", "publish it, or close it with --reject")
        )
    if outcome["report"]:
        found.append((f"bowerbird report {outcome['run_id']}{at}", "where the report lies; open it in a browser"))
    if outcome["version"] is not None:
        found.append((f"bowerbird history{at}", "all publishes; 'bowerbird rollback' goes back"))
    found.append((f"bowerbird ui{at}", "the Prefect UI with schedules and the reports"))
    return found


def _quoted(value: object) -> str:
    import shlex

    return shlex.quote(str(value))


def _rows(rows: dict[str, Any]) -> Table:  # Any: JSON
    table = _table("What came in", "rows", ">count")
    table.add_row("read", f"{rows['read']:,}")
    table.add_row("accepted", f"{rows['accepted']:,}")
    for reason, count in rows["quarantined"].items():
        table.add_row(f"quarantined: {reason}", f"{count:,}")
    table.add_row("duplicates", f"{rows['duplicates']:,}")
    return table


def _figures(outcome: dict[str, Any]) -> Table:  # Any: JSON
    title = f"What the models reach ({outcome['metric']}, {100 * outcome.get('confidence', 0.95):g} % interval)"
    table = _table(title, "model", "part", ">value", ">low", ">high")
    shown = [
        (label, "candidate" if label == outcome["nominee"] else "champion", one) for label, one in outcome["metrics"].items()
    ]
    shown += [(label, "rival", one) for label, one in outcome["rivals"].items() if label not in outcome["metrics"]]
    for label, part, one in sorted(shown, key=lambda row: -row[2]["value"]):
        style = "bold" if label == outcome["nominee"] else ""
        table.add_row(label, part, f"{one['value']:.4f}", f"{one['low']:.4f}", f"{one['high']:.4f}", style=style)
    return table


def print_status(present: Publish | None, outcomes: Sequence[dict[str, Any]]) -> None:  # Any: JSON
    """Show what is published and how the newest runs ended."""
    console = _console()
    if present is None:
        console.print("Nothing is published yet.")
    else:
        console.print(
            f"Published: version {present.version}, run {present.run_id}, {present.kind}, {present.at:%Y-%m-%d %H:%M} UTC"
        )
    table = _table("Newest runs", "run", "recipe", "outcome", "why")
    for one in outcomes:
        style = STYLES.get(one["outcome"], "default")
        table.add_row(one["run_id"], one.get("recipe", ""), Text(one["outcome"], style), Text(one.get("sentence") or ""))
    console.print(table)


def print_list(found: dict[str, Any]) -> None:  # Any: JSON
    """Show a user's list."""
    console = _console()
    if not found["is_known"]:
        console.print(Text(f"There is no user {found['user_id']!r} in the published set; this is what is popular.", "yellow"))
    table = _table(f"For {found['user_id']}, version {found['version']}", ">", "title", "item", ">score", "why")
    for one in found["items"]:
        table.add_row(
            str(one["rank"]), Text(one["title"]), Text(one["item_id"], "dim"), f"{one['score']:.4g}", Text(one["why"], "italic")
        )
    console.print(table)
    if len(found["items"]) >= found["k_published"]:
        console.print(Text(f"Published lists hold {found['k_published']} items: recommend.k in the recipe.", "dim"))


def print_similar(found: dict[str, Any]) -> None:  # Any: JSON
    """Show the items most like one."""
    table = _table(f"Like {found['title']}, version {found['version']}", ">", "title", "item", ">score")
    for one in found["items"]:
        table.add_row(str(one["rank"]), Text(one["title"]), Text(one["item_id"], "dim"), f"{one['score']:.4g}")
    _console().print(table)
    if not found["items"]:
        _console().print(
            Text(f"The published run found nothing like the item {found['item_id']!r}, or compared no items.", "yellow")
        )


def print_history(publishes: Sequence[Publish]) -> None:
    """Show all publishes, newest first."""
    table = _table("Publishes, newest first", ">version", "run", "kind", "at (UTC)", "lists of", "by", "reason")
    for one in publishes:
        back = "" if one.rolled_back_to is None else f"version {one.rolled_back_to}"
        table.add_row(str(one.version), one.run_id, one.kind, f"{one.at:%Y-%m-%d %H:%M:%S}", back, Text(one.by), Text(one.reason))
    _console().print(table)

"""The gate on the command line: what it has asked and found, and a person's answer to a held run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from bowerbird.cli_options import ByOption, HomeOption, JsonOption, ReasonOption, WaitOption, open_home, print_json, say

app = typer.Typer()


@app.command()
def gate(
    explain: Annotated[
        str, typer.Option("--explain", metavar="RUN", help="A run, or 'latest': the newest that was decided.")
    ] = "latest",
    check: Annotated[
        Path | None,
        typer.Option("--check", metavar="FILE", help="Say whether a policy file reads, instead.", show_default=False),
    ] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell for each rule what the gate asked of a run, what it found, and what would have to change."""
    from bowerbird.pipeline.explain import explanation
    from bowerbird.recipe import load_policy

    if check is not None:
        policy = load_policy(check).model_dump(mode="json", exclude_none=True)
        print_json(policy) if as_json else say(f"The policy {check} reads: " + ", ".join(f"{k} = {v}" for k, v in policy.items()))
        return
    found = explanation(open_home(home), explain)
    if as_json:
        print_json(found)
    else:
        _print_explanation(found)


@app.command()
def approve(
    run_id: Annotated[str, typer.Argument(metavar="RUN", help="A held run; 'bowerbird status' shows them.")],
    reject: Annotated[bool, typer.Option("--reject", help="Close the run without publishing it.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Publish a rejected run too; recorded as forced.")] = False,
    by: ByOption = "",
    reason: ReasonOption = "",
    home: HomeOption = None,
    wait: WaitOption = 600,
    as_json: JsonOption = False,
) -> None:
    """Publish a held run from its folder, or close it with --reject. The answer stands in its manifest."""
    from bowerbird.pipeline.approval import approve as answer
    from bowerbird.store.lock import writer_lock

    opened = open_home(home)
    with writer_lock(opened.lock, wait_seconds=wait):
        closed = answer(opened, run_id, accept=not reject, by=by, reason=reason, force=force)
    if as_json:
        print_json(closed)
    elif reject:
        say(f"Run {run_id} is closed, nothing was published.")
    else:
        say(f"Run {run_id} is published as version {closed['version']}.")


def _print_explanation(found: dict[str, Any]) -> None:  # Any: JSON
    """Show the sentence, then each rule: what was asked, what was found, and what would have to change."""
    from rich.console import Console
    from rich.padding import Padding
    from rich.table import Table
    from rich.text import Text

    console = Console(stderr=True, highlight=False)
    console.print(Text(f"Run {found['run_id']}: {found['sentence']}", "bold"))
    marks = {True: Text("passed", "green"), False: Text("not passed", "bold red"), None: Text("not asked", "dim")}
    for rule in found["rules"]:
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_row("asked", Text(rule["asked"]))
        grid.add_row("found", Text(rule["found"]))
        if rule["to_pass"]:
            grid.add_row("change", Text(rule["to_pass"], "yellow"))
        console.print(Text(f"\n{rule['rule']}  {rule['name']}: ") + marks[rule["passed"]])
        console.print(Padding(grid, (0, 0, 0, 3)))
    if found["answer"]:
        word = "published" if found["answer"]["accepted"] else "closed"
        console.print(Text(f"\nAnswered by {found['answer']['by'] or 'somebody'}: {word}. {found['answer']['reason']}"))

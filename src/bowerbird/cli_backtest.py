"""Models and runs side by side on the command line: a backtest, and two runs or versions."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from bowerbird.cli_options import (
    HomeOption,
    JsonOption,
    RecipeOption,
    WaitOption,
    check_exists,
    check_recipe,
    open_home,
    print_json,
    run_outcome,
)

if TYPE_CHECKING:
    from rich.table import Table

app = typer.Typer()


@app.command()
def backtest(
    recipe: RecipeOption = "sample",
    source: Annotated[
        Path | None,
        typer.Option(
            "--source",
            help="The folder, file or zip to read from. Absent: what the home holds, or the recipe's simulated data.",
            show_default=False,
        ),
    ] = None,
    home: HomeOption = None,
    cut_offs: Annotated[int, typer.Option("--cut-offs", min=1, max=100, help="How many moments of the past.")] = 4,
    step: Annotated[
        str, typer.Option("--step", help="From one cut-off to the one before, as in 7d; the recipe's horizon if absent.")
    ] = "",
    models: Annotated[
        str, typer.Option("--models", help="Names with commas between them; the recipe's models and the rivals if absent.")
    ] = "",
    seed: Annotated[int | None, typer.Option("--seed", min=0, help="Overrides the recipe's seed.", show_default=False)] = None,
    at_once: Annotated[int, typer.Option("--at-once", min=1, max=100, help="Models side by side; each takes memory.")] = 2,
    wait: WaitOption = 600,
    as_json: JsonOption = False,
) -> None:
    """Fit models at several moments of the past and score what came after; tell how fast they age. Publishes nothing.

    One that was stopped goes on with what it has when it is started again.
    """
    from bowerbird.application import flow_module, recipe_path
    from bowerbird.pipeline.backtest import contestants, read_step
    from bowerbird.server import start_run_server
    from bowerbird.store.runs import BACKTEST, read_json

    names = tuple(name.strip() for name in models.split(",") if name.strip())
    contestants(check_recipe(recipe, seed=seed), names)
    read_step(step)
    check_exists(source)
    opened = open_home(home)
    server = start_run_server(opened)
    flow = flow_module("backtest", opened)
    if server is not None:
        server.await_healthy()
    run_id = flow.backtest(
        recipe_file=str(recipe_path(recipe).absolute()),
        source=str(source.absolute()) if source else "",
        home=str(opened.path),
        cut_offs=cut_offs,
        step=step,
        models=names,
        seed=seed,
        at_once=at_once,
        wait_seconds=wait,
    )
    outcome = run_outcome(opened, run_id)
    content = read_json(opened.runs / run_id / BACKTEST)
    if as_json:
        print_json(outcome | {"backtest": content})
    else:
        _print_backtest(outcome, content)


@app.command()
def compare(
    a: Annotated[str, typer.Argument(metavar="A", help="A run, a published version as in v3, or latest.")],
    b: Annotated[str, typer.Argument(metavar="B", help="The other one; differences are B minus A.")] = "latest",
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Compare two runs or published versions: the same users, how lists differ, and what changed in between."""
    from bowerbird.pipeline.compare import compare as compare_runs

    content = compare_runs(open_home(home), a, b)
    if as_json:
        print_json(content)
    else:
        _print_comparison(content)


def _print_backtest(outcome: dict[str, Any], content: dict[str, Any]) -> None:  # Any: JSON
    from rich.console import Console
    from rich.text import Text

    from bowerbird.report.tables import age_rows, board_rows

    console = Console(stderr=True, highlight=False)
    console.print(_table("Leaderboard, with intervals", board_rows(content)))
    if any(content["ages"].values()):
        console.print(_table("By age, beside a fresh model on the same windows", age_rows(content)))
    console.print(Text(f"\n{content['sentence']}", "bold"))
    for sentence in content["advice"].values():
        console.print(Text(f"  {sentence}"))
    console.print(Text(f"  {outcome['report']}", "cyan"))


def _print_comparison(content: dict[str, Any]) -> None:  # Any: JSON
    from rich.console import Console
    from rich.text import Text

    from bowerbird.report.tables import comparison_rows

    console = Console(stderr=True, highlight=False)
    console.print(_table(f"B minus A, user by user, with {100 * content['confidence']:g} % intervals", comparison_rows(content)))
    console.print(Text(f"\n{content['sentence']}", "bold"))
    for line in (*content["notes"], *content["told"]["lists"]):
        console.print(Text(f"  {line}"))
    console.print(Text("What changed from A to B:" if content["told"]["changes"] else "Nothing changed from A to B.", "dim"))
    for line in content["told"]["changes"]:
        console.print(Text(f"  {line}"))


def _table(title: str, rows: list[dict[str, Any]]) -> Table:  # Any: cells
    """Make a table of rows that have the same keys."""
    from rich.table import Table
    from rich.text import Text

    table = Table(title=title, title_justify="left", title_style="bold", header_style="dim")
    for name in rows[0]:
        table.add_column(name, overflow="fold")
    for row in rows:
        table.add_row(*(Text(str(cell)) for cell in row.values()))
    return table

"""The command line. What can be checked without Prefect is checked before it is imported."""

from __future__ import annotations

import atexit
import os
import sys
import traceback
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal, NoReturn

import typer
from typer.exceptions import TyperException

from bowerbird import cli_backtest, cli_gate, cli_lists
from bowerbird.cli_options import (
    ByOption,
    HomeOption,
    JsonOption,
    ReasonOption,
    RecipeOption,
    SourceOption,
    WaitOption,
    check_exists,
    check_recipe,
    open_home,
    print_json,
    run_outcome,
    say,
    to_json,
)
from bowerbird.errors import BowerbirdError, UserError, is_interruption

if TYPE_CHECKING:
    from bowerbird.recipe import Recipe

EXIT_CODES = {"published": 0, "unchanged": 0, "ingested": 0, "rejected": 3, "held": 4}
INTERRUPTED = 130
STOPPED_BY_HAND = "stopped by Ctrl-C; nothing half-done remains"

app = typer.Typer(
    name="bowerbird",
    help="Turns an event log into recommendations that have earned their place.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    add_completion=False,
    rich_markup_mode="rich",
)
data_app = typer.Typer(help="Get real data sets, and ingest without training.", no_args_is_help=True)
app.add_typer(data_app, name="data")
app.add_typer(cli_gate.app)
app.add_typer(cli_backtest.app)
app.add_typer(cli_lists.app)


@app.command()
def run(
    recipe: RecipeOption = "sample",
    source: SourceOption = None,
    home: HomeOption = None,
    seed: Annotated[int | None, typer.Option(min=0, help="Overrides the recipe's seed.", show_default=False)] = None,
    candidate: Annotated[
        str | None,
        typer.Option(
            help="Put this one known model up instead of the recipe's nominee; no rival takes its place.", show_default=False
        ),
    ] = None,
    wait: WaitOption = 600,
    as_json: JsonOption = False,
) -> None:
    """Run the nightly flow: ingest, validate, train, prove, and publish what has earned it.

    Exit codes: published, unchanged, ingested 0; failed 1; your mistake 2; rejected 3; held 4; stopped, too many rejected
    rows 5; the home folder is locked 6; Ctrl-C 130.
    """
    from bowerbird.application import flow_module, recipe_path
    from bowerbird.server import start_run_server
    from bowerbird.store.lock import writer_lock

    checked = check_recipe(recipe, seed=seed, candidate=candidate)
    _check_source(checked, source)
    opened = open_home(home)
    with writer_lock(opened.lock, wait_seconds=wait):
        pass  # told here, before seconds go into imports; the flow takes it again
    _check_models(checked)
    server = start_run_server(opened)
    flow = flow_module("nightly", opened)
    import_module("great_expectations")  # takes seconds, and so does the server: side by side
    if server is not None:
        server.await_healthy()
    run_id = flow.nightly(
        recipe_file=str(recipe_path(recipe).absolute()),
        source=str(source.absolute()) if source else "",
        home=str(opened.path),
        seed=seed,
        candidate=candidate or "nominee",
        wait_seconds=wait,
    )
    outcome = run_outcome(opened, run_id)
    if as_json:
        print_json(outcome)
    else:
        from bowerbird.report.terminal import print_outcome

        print_outcome(outcome, home=opened.path)
    raise typer.Exit(EXIT_CODES[outcome["outcome"]])


@app.command()
def status(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """Show what is published, what is held for a decision, and how the newest runs ended."""
    from bowerbird.pipeline.approval import waiting
    from bowerbird.report import terminal
    from bowerbird.store.published import current
    from bowerbird.store.runs import list_runs

    opened = open_home(home)
    outcomes = [run_outcome(opened, run_id) for run_id in reversed(list_runs(opened.runs)[-10:])]
    present, held = current(opened), waiting(opened)
    if as_json:
        print_json({"published": to_json(present), "runs": outcomes, "waiting": [to_json(one) for one in held]})
        return
    terminal.print_status(present, outcomes)
    for one in held:
        say(one.sentence(present))


@app.command()
def history(home: HomeOption = None, as_json: JsonOption = False) -> None:
    """List all publishes, newest first: version, run, kind, by whom and why."""
    from bowerbird.report.terminal import print_history
    from bowerbird.store.published import history as publishes

    found = publishes(open_home(home))
    if as_json:
        print_json({"publishes": [to_json(one) for one in found]})
    else:
        print_history(found)


@app.command()
def rollback(
    version: Annotated[int | None, typer.Argument(help="A version of 'bowerbird history'; the publish before if absent.")] = None,
    by: ByOption = "",
    reason: ReasonOption = "",
    home: HomeOption = None,
    wait: WaitOption = 600,
    as_json: JsonOption = False,
) -> None:
    """Bring an earlier published set back, as a new version."""
    from bowerbird.settings import Settings
    from bowerbird.store.lock import writer_lock
    from bowerbird.store.published import rollback as roll_back

    opened = open_home(home)
    with writer_lock(opened.lock, wait_seconds=wait):
        made = roll_back(opened, version, retention_days=Settings().retention_days, by=by, reason=reason)
    if as_json:
        print_json(to_json(made))
    else:
        say(f"Version {made.version} shows the lists of version {made.rolled_back_to} (run {made.run_id}) again.")


@app.command()
def sample(
    out: Annotated[Path, typer.Option("--out", help="Folder to write to.")],
    kind: Annotated[Literal["shop", "feed"], typer.Option(help="A shop, or a feed of posts that live a day or two.")] = "shop",
    users: Annotated[int, typer.Option(min=1, help="Customers of the simulated shop, readers of the feed.")] = 2000,
    items: Annotated[int, typer.Option(min=1, help="Products, or posts over all days.")] = 1500,
    days: Annotated[int, typer.Option(min=1, help="Days of the log.")] = 60,
    seed: Annotated[int, typer.Option(min=0, help="The same seed writes the same data.")] = 1,
    as_json: JsonOption = False,
) -> None:
    """Write the log, catalogue and users of a simulated shop or feed, of any size."""
    from bowerbird.recipe_source import SampleSource
    from bowerbird.sources.samples import write_sample

    written = write_sample(SampleSource(kind=kind, users=users, items=items, days=days, seed=seed), out)
    if as_json:
        print_json(to_json(written))
    else:
        nouns = "readers, {} posts" if kind == "feed" else "customers, {} products"
        say(f"Wrote a simulated {kind} to {out}: {users} {nouns.format(items)}, {days} days, seed {seed}.")


@app.command()
def report(
    run_id: Annotated[str | None, typer.Argument(metavar="[RUN]", help="A run; the newest if absent.")] = None,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Print where a run's report lies; open the file in any browser."""
    from bowerbird.store.runs import list_runs, run_folder

    opened = open_home(home)
    known = list_runs(opened.runs)
    if run_id is None and not known:
        raise UserError("there is no run yet", next_step="start one with 'bowerbird run'")
    folder = run_folder(opened.runs, run_id or known[-1])
    path = next((folder / name for name in ("report.html", "backtest.html") if (folder / name).exists()), None)
    if path is None:
        raise UserError(f"run {folder.name} has no report", next_step="it ended before one could be written; run again")
    if as_json:
        print_json({"report": str(path)})
    else:
        print(path)


@app.command()
def ui(
    home: HomeOption = None,
    port: Annotated[int | None, typer.Option(min=1, max=65535, help="Prefect's port; BOWERBIRD_UI_PORT, else 4200.")] = None,
    report_port: Annotated[int | None, typer.Option(min=1, max=65535, help="The reports' port; else 4280.")] = None,
) -> None:
    """Start the Prefect server, register the deployments, start a worker and serve the reports; Ctrl-C ends all."""
    from bowerbird.server import serve_ui
    from bowerbird.settings import Settings

    settings = Settings()
    serve_ui(open_home(home), port=port or settings.ui_port, report_port=report_port or settings.report_port)


@data_app.command("get")
def data_get(
    name: Annotated[str, typer.Argument(help="Which data set: movielens-small.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to put it in.")] = Path("data"),
    as_json: JsonOption = False,
) -> None:
    """Download a data set from its official address, or take it from BOWERBIRD_DATA_MIRROR."""
    from bowerbird.settings import Settings
    from bowerbird.sources.download import download

    folder = download(name, out, mirror=Settings().data_mirror)
    if as_json:
        print_json({"folder": str(folder)})
    else:
        say(f"{name} lies in {folder}. Try: bowerbird run --recipe movielens --source {folder}")


@data_app.command("ingest")
def data_ingest(
    recipe: RecipeOption = "sample",
    source: SourceOption = None,
    home: HomeOption = None,
    wait: WaitOption = 600,
    as_json: JsonOption = False,
) -> None:
    """Read a source into the home's tables without training anything."""
    from bowerbird.pipeline.session import ingest_only
    from bowerbird.report.terminal import print_outcome

    checked = check_recipe(recipe)
    _check_source(checked, source)
    opened = open_home(home)
    outcome = ingest_only(opened, checked, source, wait_seconds=wait)
    if as_json:
        print_json(outcome)
    else:
        print_outcome(outcome, home=opened.path)


def main() -> None:
    """Run the command line and end the process with the exit code that the outcome has."""
    as_json = "--json" in sys.argv
    os.environ.setdefault("OMP_WAIT_POLICY", "passive")  # before torch: threads that spin cost tenfold on a busy machine
    atexit.register(_hush)  # first in, so last out: after Prefect has ended its server
    try:
        code = app(standalone_mode=False) or 0
        if code == INTERRUPTED:  # typer has caught Ctrl-C
            raise KeyboardInterrupt
        sys.exit(code)
    except (KeyboardInterrupt, typer.Abort):
        _fail("Interrupted", STOPPED_BY_HAND, "run again", INTERRUPTED, as_json)
    except TyperException as error:
        _fail(type(error).__name__, error.format_message(), "see --help", error.exit_code, as_json)
    except BowerbirdError as error:
        _fail(type(error).__name__, error.message, error.next_step, error.exit_code, as_json, getattr(error, "outcome", None))
    except OSError as error:
        message = f"{error.strerror or error}" + (f": {error.filename}" if error.filename else "")
        _fail(type(error).__name__, message, "free space or give permission, then run again: nothing was published", 1, as_json)
    except Exception as error:  # noqa: BLE001 - a mistake of ours: told in full, and as JSON where that was asked for
        if is_interruption(error):
            _fail("Interrupted", STOPPED_BY_HAND, "run again", INTERRUPTED, as_json)
        traceback.print_exc()
        _fail(type(error).__name__, str(error), "this is a mistake of Bowerbird's; please report the lines above", 1, as_json)


def _hush() -> None:
    """Close stderr to what DuckDB's binding says of its own objects while the interpreter is torn down."""
    sys.stderr.flush()
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)


def _fail(
    kind: str,
    message: str,
    next_step: str,
    code: int,
    as_json: bool,
    outcome: dict[str, Any] | None = None,  # Any: JSON
) -> NoReturn:
    if as_json:
        print_json((outcome or {}) | {"error": {"kind": kind, "message": message, "next": next_step}})
    else:
        from rich.console import Console
        from rich.text import Text

        console = Console(stderr=True)
        console.print(Text("Error: ", "bold red") + Text(message, "default"))
        if next_step:
            console.print(Text("Next:  ", "bold") + Text(next_step, "default"))
    sys.exit(code)


def _check_models(recipe: Recipe) -> None:
    """Check the models' names and keys; last of all checks, for it imports pandas."""
    from bowerbird.models import check_config, check_search, known_models

    wanted = [(model.name, model.config) for model in recipe.models]
    wanted += [(recipe.candidate, {})] if recipe.candidate is not None else []
    for name, config in sorted(wanted, key=lambda pair: pair[0] in known_models()):  # an unknown name is told at once
        check_config(name, config)
    for model in recipe.models:
        if model.search is not None:
            check_search(model.name, model.search)


def _check_source(recipe: Recipe, source: Path | None) -> None:
    if source is None and recipe.source.sample is None:
        raise UserError(f"the recipe {recipe.name!r} reads real data", next_step="name its folder with --source")
    check_exists(source)


if __name__ == "__main__":
    main()

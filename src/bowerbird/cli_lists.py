"""The published set on the command line: a user's list, and the items most like one."""

from __future__ import annotations

from typing import Annotated

import typer

from bowerbird.cli_options import HomeOption, JsonOption, open_home, print_json

app = typer.Typer()

KOption = Annotated[int, typer.Option("-k", "--k", min=1, help="How many items.")]


@app.command()
def recommend(
    user: Annotated[str, typer.Argument(help="The user's id.")],
    k: KOption = 10,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show a user's published list: titles, scores, and why each item is there."""
    from bowerbird.pipeline.show import user_list
    from bowerbird.report.terminal import print_list

    found = user_list(open_home(home), user, k=k)
    if as_json:
        print_json(found)
    else:
        print_list(found)


@app.command()
def similar(
    item: Annotated[str, typer.Argument(help="The item's id.")],
    k: KOption = 10,
    home: HomeOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the items that the published run found most like one: titles and scores."""
    from bowerbird.pipeline.show import similar_list
    from bowerbird.report.terminal import print_similar

    found = similar_list(open_home(home), item, k=k)
    if as_json:
        print_json(found)
    else:
        print_similar(found)

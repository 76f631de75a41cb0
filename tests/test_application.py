"""How the library reaches the application: recipes by name, and whose Prefect server a run talks to."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from bowerbird import application, server
from bowerbird.application import SERVER_FILE, checkout, prefect_environment, recipe_path, running_server
from bowerbird.errors import RecipeError, UserError
from bowerbird.store.home import Home

RECIPES = Path(__file__).parents[1] / "deployments" / "recipes"


@pytest.fixture(autouse=True)
def _no_server_of_a_team(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)


@pytest.fixture
def address() -> Iterator[str]:
    """The address of a port on which somebody listens."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"


def tell(home: Home, content: object) -> None:
    """Write what ``bowerbird ui`` leaves for the runs of a home."""
    (home.path / "prefect").mkdir()
    (home.path / "prefect" / SERVER_FILE).write_text(json.dumps(content), encoding="utf-8")


def ended_process() -> int:
    """The number of a process that has ended."""
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return process.pid


def test_checkout_is_this_repository() -> None:
    assert checkout() == RECIPES.parents[1]


def test_bare_wheel_says_that_it_wants_the_application(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(application, "find_spec", lambda _: None)
    with pytest.raises(UserError, match="only the library is installed") as caught:
        checkout()
    assert "clone the repository" in caught.value.next_step


# ---- recipes


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_recipe_is_found_by_name(path: Path) -> None:
    assert recipe_path(path.stem) == path


def test_unknown_recipe_is_refused_with_the_closest_one() -> None:
    with pytest.raises(RecipeError, match=r"no recipe 'movielns'; known: .*did you mean 'movielens'"):
        recipe_path("movielns")


@pytest.mark.parametrize("name", ["..", "", "../recipes/movielens", "*"])
def test_name_cannot_leave_the_folder_of_recipes(name: str) -> None:
    with pytest.raises(RecipeError, match="there is no recipe"):
        recipe_path(name)


def test_path_is_taken_as_it_is_even_where_nothing_lies_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert recipe_path(str(tmp_path / "mine.toml")) == tmp_path / "mine.toml"
    (tmp_path / "mine").write_text("", encoding="utf-8")
    assert recipe_path(str(tmp_path / "mine")) == tmp_path / "mine"
    monkeypatch.chdir(tmp_path)
    assert recipe_path("mine") == Path("mine")


def test_folder_that_is_called_like_a_recipe_does_not_hide_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "movielens").mkdir()
    monkeypatch.chdir(tmp_path)
    assert recipe_path("movielens") == RECIPES / "movielens.toml"


# ---- Prefect


def test_server_of_a_team_wins_over_ours(home: Home, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    tell(home, {"address": address, "pid": os.getpid()})
    monkeypatch.setenv("PREFECT_API_URL", "http://prefect.example/api")
    found = prefect_environment(home)
    assert "PREFECT_API_URL" not in found and "PREFECT_HOME" not in found and "PREFECT_PROFILES_PATH" not in found
    assert found["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false" and found["DO_NOT_TRACK"] == "1"


def test_running_server_of_the_home_is_used(home: Home, address: str) -> None:
    tell(home, {"address": address, "pid": os.getpid()})
    assert prefect_environment(home)["PREFECT_API_URL"] == f"{address}/api"


@pytest.mark.parametrize("set_empty", [False, True])
def test_run_without_any_server_brings_its_own_and_keeps_all_in_the_home(
    home: Home, monkeypatch: pytest.MonkeyPatch, set_empty: bool
) -> None:
    if set_empty:
        monkeypatch.setenv("PREFECT_API_URL", "")
    found = prefect_environment(home)
    assert "PREFECT_API_URL" not in found and found["PREFECT_SERVER_ALLOW_EPHEMERAL_MODE"] == "true"
    folders = [found[name] for name in ("PREFECT_HOME", "PREFECT_PROFILES_PATH", "PREFECT_LOCAL_STORAGE_PATH")]
    assert all(Path(folder).is_relative_to(home.path) for folder in folders)
    assert int(found["PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS"]) >= 60
    assert not (home.path / "prefect").exists()  # looking leaves no trace


def test_nobody_is_called(home: Home) -> None:
    found = prefect_environment(home)
    assert found["PREFECT_SERVER_ANALYTICS_ENABLED"] == "false" and found["GX_ANALYTICS_ENABLED"] == "False"
    assert found["PREFECT_CLOUD_ENABLE_ORCHESTRATION_TELEMETRY"] == "false"


def test_file_of_a_server_that_has_ended_is_ignored(home: Home, address: str) -> None:
    tell(home, {"address": address, "pid": ended_process()})
    assert running_server(home) is None and "PREFECT_API_URL" not in prefect_environment(home)


def test_file_of_a_server_whose_number_another_process_has_is_ignored(home: Home) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    tell(home, {"address": f"http://127.0.0.1:{port}", "pid": os.getpid()})
    assert running_server(home) is None


@pytest.mark.parametrize(
    "content",
    [[], None, {}, {"pid": 1}, {"pid": None, "address": "x"}, {"pid": "me", "address": "x"}, {"pid": 2**70, "address": "x"}],
    ids=str,
)
def test_damaged_file_of_a_server_is_ignored(home: Home, content: object) -> None:
    tell(home, content)
    assert running_server(home) is None


@pytest.mark.parametrize("address", ["", "nonsense", "http://127.0.0.1", "http://127.0.0.1:99999", "http://127.0.0.1:x"])
def test_address_that_is_none_is_ignored(home: Home, address: str) -> None:
    tell(home, {"address": address, "pid": os.getpid()})
    assert running_server(home) is None


def test_taken_port_is_told_before_anything_starts(home: Home, address: str) -> None:
    port = int(address.rsplit(":", 1)[1])
    with pytest.raises(UserError, match=f"port {port} on 127.0.0.1 is taken"):
        server.serve_ui(home, port=port, report_port=port)
    assert not (home.path / "prefect").exists()


def test_a_run_starts_no_server_beside_the_one_of_a_team(home: Home, address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", f"{address}/api")
    assert server.start_run_server(home) is None


def test_a_server_that_ends_by_itself_is_told(home: Home) -> None:
    process = subprocess.Popen([sys.executable, "-c", "raise SystemExit(3)"])
    process.wait()
    with pytest.raises(UserError, match="ended by itself with code 3"):
        server.RunServer("http://127.0.0.1:9", process).await_healthy()

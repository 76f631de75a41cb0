"""The image is made of files that exist, by the verbs of the Makefile, and keeps its home on a volume.

Nothing is built here: that needs Docker and the network.
"""

from __future__ import annotations

import json
import re
import subprocess
import tomllib
from pathlib import Path

import yaml
from typer.main import get_command

from bowerbird.cli import app

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "deployments" / "docker"
KNOWN = {"ARG", "CMD", "COPY", "ENTRYPOINT", "ENV", "FROM", "RUN", "USER", "VOLUME", "WORKDIR"}
HOME = "/var/lib/bowerbird"


def instructions() -> list[tuple[str, str]]:
    """Read the Dockerfile: instruction and arguments, comments left out, continued lines joined."""
    lines = [line for line in (FOLDER / "Dockerfile").read_text().splitlines() if line and not line.startswith("#")]
    joined = re.sub(r"\\\n\s*", "", "\n".join(lines))
    return [(line.split(" ", 1)[0], line.split(" ", 1)[1]) for line in joined.splitlines()]


def arguments(name: str) -> list[str]:
    return [given for instruction, given in instructions() if instruction == name]


def service() -> dict[str, object]:
    compose = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    assert list(compose["services"]) == ["bowerbird"] and list(compose["volumes"]) == ["home"]
    found: dict[str, object] = compose["services"]["bowerbird"]
    return found


def test_every_instruction_is_one_that_docker_knows_and_the_first_is_from() -> None:
    names = [name for name, _ in instructions()]
    assert names[0] == "FROM" and set(names) <= KNOWN


def test_every_path_that_is_copied_is_in_the_repository_and_all_of_the_application_is() -> None:
    copied = [source for given in arguments("COPY") for source in given.split()[:-1]]
    tracked = subprocess.run(["git", "ls-files"], cwd=ROOT, capture_output=True, text=True, check=True).stdout.splitlines()
    tops = {path.split("/")[0] for path in tracked}
    assert set(copied) <= tops
    assert {"src", "flows", "tasks", "data_contracts", "deployments", "requirements.lock", "pyproject.toml"} <= set(copied)


def test_packages_are_installed_by_make_setup_before_the_code_is_copied() -> None:
    names = [f"{name} {given}" for name, given in instructions()]
    setup = names.index("RUN make setup PYTHON=python3.11")
    lock = next(place for place, text in enumerate(names) if text.startswith("COPY") and "requirements.lock" in text)
    assert lock < setup < names.index("COPY src ./src")
    asked = subprocess.run(
        ["make", "-n", "-W", "requirements.lock", "setup"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    needed = re.findall(r"-r ([\w.]+)", asked.stdout)
    assert "requirements.lock" in needed and all(name in names[lock] for name in ("Makefile", "pyproject.toml", *needed))


def test_files_that_the_package_names_are_there_when_it_is_installed() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    first = arguments("COPY")[0].split()
    assert {project["readme"], *project["license-files"]} <= set(first)
    assert arguments("FROM")[0].startswith(f"python:{project['requires-python'].split(',')[0].removeprefix('>=')}-")
    assert project["scripts"].keys() >= set(json.loads(arguments("ENTRYPOINT")[0]))


def test_image_and_service_start_commands_that_exist() -> None:
    commands = get_command(app).commands  # type: ignore[attr-defined] # a group
    assert json.loads(arguments("CMD")[0])[0] in commands
    assert service()["command"] == ["ui"] and "ui" in commands


def test_home_is_on_a_volume_that_the_user_of_the_image_may_write() -> None:
    assert f"BOWERBIRD_HOME={HOME}" in arguments("ENV")[0] and arguments("VOLUME") == [HOME]
    assert any("--owner=bowerbird" in given and given.endswith(HOME) for given in arguments("RUN"))
    assert arguments("USER") == ["bowerbird"]
    assert f"home:{HOME}" in service()["volumes"]  # type: ignore[operator] # a list


def test_service_is_built_from_that_dockerfile() -> None:
    build = service()["build"]
    assert isinstance(build, dict)
    assert (FOLDER / build["context"]).resolve() == ROOT and (ROOT / build["dockerfile"]).is_file()

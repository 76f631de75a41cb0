"""The wheel holds the library and its SQL, and works where only the base dependencies are."""

from __future__ import annotations

import subprocess
import sys
import venv
import zipfile
from importlib.metadata import Distribution, distribution
from pathlib import Path

import pytest
from packaging.requirements import Requirement

ROOT = Path(__file__).parents[2]
IMPORT_ALL = """
import importlib, pkgutil, sys, bowerbird
assert bowerbird.__file__.startswith(sys.prefix), bowerbird.__file__
from bowerbird.errors import MissingExtraError
refused = []  # the suite for one's own models needs pytest, and says so
for module in pkgutil.walk_packages(bowerbird.__path__, "bowerbird.", onerror=refused.append):
    if module.name != "bowerbird.testing":
        importlib.import_module(module.name)
assert refused == ["bowerbird.testing"], refused
try:
    importlib.import_module("bowerbird.testing")
except MissingExtraError as error:
    assert "bowerbird[dev]" in error.next_step
else:
    raise AssertionError("bowerbird.testing imports without pytest")
for name in bowerbird.__all__:
    getattr(bowerbird, name)
for name in ("flows", "tasks", "data_contracts", "prefect", "great_expectations"):
    assert importlib.util.find_spec(name) is None, f"{name} can be imported"
"""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(folder), str(ROOT)]
    subprocess.run(command, check=True, capture_output=True)
    return next(folder.glob("bowerbird-*.whl"))


def base_closure() -> list[Distribution]:
    """Find the base dependencies and all that they need, as installed here."""
    found: dict[str, Distribution] = {}
    waiting = [Requirement(text) for text in distribution("bowerbird").requires or [] if "extra ==" not in text]
    while waiting:
        requirement = waiting.pop()
        if requirement.name in found or (requirement.marker and not requirement.marker.evaluate({"extra": ""})):
            continue
        found[requirement.name] = distribution(requirement.name)
        waiting += [Requirement(text) for text in found[requirement.name].requires or []]
    return list(found.values())


def link_packages(distributions: list[Distribution], site_packages: Path) -> None:
    """Make the top-level files and folders of each distribution stand in a fresh environment too."""
    for package in distributions:
        for top in {file.parts[0] for file in package.files or []} - {"..", "__pycache__"}:
            link = site_packages / top
            if not link.exists():
                link.symlink_to(Path(str(package.locate_file(top))))


def test_wheel_holds_the_library_alone_and_every_sql_file(wheel: Path) -> None:
    names = zipfile.ZipFile(wheel).namelist()
    sources = ROOT / "src"
    assert {name.split("/")[0] for name in names} == {"bowerbird", f"bowerbird-{wheel.name.split('-')[1]}.dist-info"}
    assert {path.relative_to(sources).as_posix() for path in sources.rglob("*.sql")} <= set(names)
    assert "bowerbird/py.typed" in names
    assert "bowerbird/report/page.html" in names


def test_wheel_imports_in_a_fresh_environment_with_the_base_dependencies(wheel: Path, tmp_path: Path) -> None:
    home = tmp_path / "fresh"
    venv.create(home, with_pip=False)
    site_packages = next(home.glob("lib/python3*/site-packages"))
    link_packages(base_closure(), site_packages)
    install = ["uv", "pip", "install", "--offline", "--no-deps", "--python", str(home / "bin" / "python"), str(wheel)]
    subprocess.run([str(Path(sys.executable).with_name(install[0])), *install[1:]], check=True, capture_output=True)
    result = subprocess.run(
        [home / "bin" / "python", "-c", IMPORT_ALL], capture_output=True, text=True, check=False, cwd=tmp_path
    )
    assert result.returncode == 0, result.stderr

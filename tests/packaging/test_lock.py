"""The lock file stays in step with pyproject.toml."""

from __future__ import annotations

import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
NOT_LOCKED = {"torch"}  # installed first, through pip


def locked() -> dict[str, str]:
    lines = (ROOT / "requirements.lock").read_text(encoding="utf-8").splitlines()
    pins = [line.split(";")[0].strip().split("==") for line in lines if line and not line.startswith("#")]
    return {canonicalize_name(name): version for name, version in pins}


def asked() -> list[Requirement]:
    extras = PROJECT["optional-dependencies"]
    texts = PROJECT["dependencies"] + [text for extra in extras if extra != "distributed" for text in extras[extra]]
    return [Requirement(text) for text in texts]


def test_lock_file_satisfies_every_requirement() -> None:
    pins = locked()
    missing = [str(r) for r in asked() if r.name not in NOT_LOCKED and canonicalize_name(r.name) not in pins]
    wrong = [
        f"{requirement}, locked is {pins[canonicalize_name(requirement.name)]}"
        for requirement in asked()
        if canonicalize_name(requirement.name) in pins and pins[canonicalize_name(requirement.name)] not in requirement.specifier
    ]
    assert not missing + wrong, f"requirements.lock is out of step ({missing + wrong}); run `make lock`"


def test_lock_file_leaves_torch_and_its_cuda_packages_out() -> None:
    assert not [name for name in locked() if name in {"torch", "triton"} or name.startswith(("nvidia-", "cuda-"))]


def test_torch_is_pinned_exactly_for_the_makefile_reads_it() -> None:
    assert next(str(r.specifier) for r in asked() if r.name == "torch").startswith("==")

"""A fit in two processes gives the loss curve of one; a worker that is killed goes on from the checkpoint."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import sysconfig
import venv
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from bowerbird.errors import HomeError, MissingExtraError, RecipeError, SourceError
from bowerbird.fit import main
from bowerbird.models import load_model

ROOT = Path(__file__).parents[1]
SETTINGS = {"num_epochs": 3, "embedding_size": 16, "num_blocks": 1, "dropout": 0.2, "batch_tokens": 64, "num_negatives": 20}
KILLED = """
import os, signal, sys
from pathlib import Path
from bowerbird.training import checkpoint
write, marker = checkpoint.Checkpoint.write, Path(sys.argv.pop(1))
checkpoint.Checkpoint.is_due = property(lambda self: True)
def written(self, progress, *rest):
    write(self, progress, *rest)
    if progress.step == 7 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
checkpoint.Checkpoint.write = written
from bowerbird.fit import main
main()
"""
KILLED_WHILE_IT_WRITES = """
import os, signal, sys
from pathlib import Path
import safetensors.torch
from bowerbird.training import checkpoint
save_file, marker, writes = safetensors.torch.save_file, Path(sys.argv.pop(1)), []
checkpoint.Checkpoint.is_due = property(lambda self: True)
def saved(tensors, unfinished, **more):
    save_file(tensors, unfinished, **more)
    writes.append(unfinished)
    if len(writes) == 7 and not marker.exists():
        os.truncate(unfinished, unfinished.stat().st_size // 2)
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
safetensors.torch.save_file = saved
from bowerbird.fit import main
main()
"""


@pytest.fixture
def events(tmp_path: Path) -> Path:
    rng = np.random.default_rng(5)
    rows = [
        (f"u{user}", f"i{(start + step) % 60}", pd.Timestamp("2026-01-01", tz="UTC") + pd.Timedelta(hours=step))
        for user, (start, length) in enumerate(zip(rng.integers(60, size=60), rng.integers(2, 40, size=60), strict=True))
        for step in range(length)
    ]
    path = tmp_path / "events.parquet"
    pd.DataFrame(rows, columns=["user_id", "item_id", "timestamp"]).to_parquet(path)
    return path


def arguments(events: Path, out: Path, **more: object) -> list[str]:
    settings = [part for key, value in SETTINGS.items() for part in ("--set", f"{key}={value}")]
    options = [part for key, value in more.items() for part in (f"--{key}", str(value))]
    return ["--model", "sasrec", "--events", str(events), "--out", str(out), *settings, *options]


def torchrun(*command: str) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "BOWERBIRD_"))}
    done = subprocess.run(
        [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "--max-restarts=1", *command],
        env=environment | {"OMP_NUM_THREADS": "1"}, capture_output=True, text=True, timeout=240, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]


def curve(model: Path) -> list[float]:
    return [point["loss"] for point in json.loads((model / "model.json").read_text(encoding="utf-8"))["curve"]]


def assert_alike(model: Path, other: Path) -> None:
    """Check that two fits differ by rounding alone, in the loss and in what they recommend.

    Weights are not compared: where a gradient is 0 but for rounding (the keys' biases), Adam follows the rounding.
    """
    assert curve(model) == pytest.approx(curve(other), rel=1e-5)
    mine, theirs = (load_model(folder).recommend([f"u{user}" for user in range(60)], k=10) for folder in (model, other))
    both = mine.merge(theirs, on=["user_id", "item_id"])
    assert len(both) >= 0.99 * len(mine) > 0
    assert both["score_x"].to_numpy() == pytest.approx(both["score_y"].to_numpy(), abs=0.01)


def test_one_process_fits_a_file(tmp_path: Path, events: Path) -> None:
    main(arguments(events, tmp_path / "model", checkpoints=tmp_path / "kept"))
    model = load_model(tmp_path / "model")
    assert len(model.curve) == 3 and model.curve[-1].loss < model.curve[0].loss
    assert (tmp_path / "kept" / "training.safetensors").is_file()


def test_items_may_be_described(tmp_path: Path, events: Path) -> None:
    items = tmp_path / "items.parquet"
    pd.DataFrame(
        {"item_id": [f"i{code}" for code in range(61)], "categories": [[f"c{code % 3}"] for code in range(61)]}
    ).to_parquet(items)
    main(arguments(events, tmp_path / "model", items=items))
    assert len(load_model(tmp_path / "model").data.item_ids) == 61, "one that nobody has met"
    with pytest.raises(SourceError, match=r"there is no file.*with --items"):
        main(arguments(events, tmp_path / "model", items=tmp_path / "absent.csv"))


def test_items_and_users_are_read_from_files_too(tmp_path: Path, events: Path) -> None:
    pd.DataFrame({"item_id": ["i0", "i1", "new"], "title": ["tea", "bolt", "green tea"]}).to_csv(
        tmp_path / "items.csv", index=False
    )
    told = ["--items", str(tmp_path / "items.csv"), "--set", "num_neighbors=0", "--out", str(tmp_path / "model")]
    main(["--model", "content", "--events", str(events), *told])
    history = pd.DataFrame({"user_id": ["stranger"], "item_id": ["i0"]})
    lists = load_model(tmp_path / "model").recommend(["stranger"], k=1, history=history, candidates=["i1", "new"])
    assert lists[["item_id", "source"]].to_numpy().tolist() == [["new", "content"]]
    countries = pd.DataFrame({"user_id": [f"u{user}" for user in range(60)], "segment": ["north", "south"] * 30})
    countries.to_parquet(tmp_path / "users.parquet")
    told = ["--users", str(tmp_path / "users.parquet"), "--out", str(tmp_path / "by segment")]
    main(["--model", "popularity_by_segment", "--events", str(events), *told])
    assert set(load_model(tmp_path / "by segment").recommend(["u1"], k=1)["source"]) == {"popularity_by_segment"}


def test_mistakes_are_told_with_the_next_step(tmp_path: Path, events: Path) -> None:
    with pytest.raises(SourceError, match="there is no file"):
        main(arguments(tmp_path / "absent.parquet", tmp_path / "model"))
    with pytest.raises(RecipeError, match="did you mean 'dropout'"):
        main([*arguments(events, tmp_path / "model"), "--set", "drop_out=0.1"])
    with pytest.raises(SystemExit):
        main([])


def test_without_ray_the_error_names_the_extra(tmp_path: Path, events: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(MissingExtraError, match=r"bowerbird\[distributed\]"):
        main(arguments(events, tmp_path / "model", ray=2))


@pytest.mark.slow
def test_two_processes_give_the_curve_of_one_and_a_killed_worker_goes_on(tmp_path: Path, events: Path) -> None:
    main(arguments(events, tmp_path / "one"))
    script = tmp_path / "killed.py"
    script.write_text(KILLED, encoding="utf-8")

    torchrun("-m", "bowerbird.fit", *arguments(events, tmp_path / "two"))
    marker = tmp_path / "was killed"
    torchrun(str(script), str(marker), *arguments(events, tmp_path / "killed", checkpoints=tmp_path / "kept"))

    assert_alike(tmp_path / "two", tmp_path / "one")
    assert marker.exists()
    assert curve(tmp_path / "killed") == curve(tmp_path / "two"), "to the last bit"


@pytest.mark.slow
def test_a_worker_that_is_killed_while_it_writes_goes_on_from_the_file_before(tmp_path: Path, events: Path) -> None:
    script, marker, kept = tmp_path / "killed.py", tmp_path / "was killed", tmp_path / "kept"
    script.write_text(KILLED_WHILE_IT_WRITES, encoding="utf-8")
    main(arguments(events, tmp_path / "one"))
    torchrun(str(script), str(marker), *arguments(events, tmp_path / "killed", checkpoints=kept))
    assert marker.exists()
    assert_alike(tmp_path / "killed", tmp_path / "one")
    assert [path.name for path in kept.iterdir()] == ["training.safetensors"], "what was unfinished is cleared away"
    kept.joinpath("training.safetensors").write_bytes(kept.joinpath("training.safetensors").read_bytes()[:1000])
    with pytest.raises(HomeError, match=r"cannot be read.*Next: delete the file"):
        main(arguments(events, tmp_path / "damaged", checkpoints=kept))


@pytest.fixture(scope="module")
def python_with_ray(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An environment of its own over this one, with Ray: 240 MB that nothing else here needs."""
    folder = tmp_path_factory.mktemp("ray") / "venv"
    venv.create(folder, with_pip=True)
    line = f"import site; site.addsitedir({sysconfig.get_paths()['purelib']!r})"  # with the .pth files there, ours among them
    (folder / "lib" / "python3.11" / "site-packages" / "shared.pth").write_text(line)
    python = str(folder / "bin" / "python")
    pin = re.search(r'"ray\[[a-z,]+\](==[0-9.]+)"', (ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    assert pin is not None
    wanted = (f"ray{pin[1]}", "msgpack", "tensorboardX")
    subprocess.run([python, "-m", "pip", "install", "--quiet", "--no-deps", *wanted], check=True, timeout=200)
    return python


@pytest.mark.slow
def test_workers_of_ray_give_the_curve_of_one_and_a_killed_one_goes_on(
    tmp_path: Path, events: Path, python_with_ray: str
) -> None:
    main(arguments(events, tmp_path / "one"))
    marker, script = tmp_path / "was killed", tmp_path / "on_ray.py"
    script.write_text(ON_RAY, encoding="utf-8")
    done = subprocess.run(
        [python_with_ray, str(script), str(marker), *arguments(events, tmp_path / "two", checkpoints=tmp_path / "kept", ray=2)],
        env=os.environ | {"OMP_NUM_THREADS": "1", "RAY_USAGE_STATS_ENABLED": "0"}, capture_output=True, text=True, timeout=300,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-4000:]
    assert marker.exists()
    assert_alike(tmp_path / "two", tmp_path / "one")


ON_RAY = """
import sys
from bowerbird import fit
marker = sys.argv.pop(1)
as_worker = fit._fit_as_worker
def killed(content):
    import os, signal
    from pathlib import Path
    from bowerbird.fit import Asked, fit_here
    from bowerbird.training.checkpoint import Checkpoint
    write = Checkpoint.write
    Checkpoint.is_due = property(lambda self: True)
    def written(self, progress, *rest):
        write(self, progress, *rest)
        if progress.step == 7 and not Path(marker).exists():
            Path(marker).touch()
            os.kill(os.getpid(), signal.SIGKILL)
    Checkpoint.write = written
    fit_here(Asked.model_validate(content))
fit._fit_as_worker = killed
fit.main()
"""

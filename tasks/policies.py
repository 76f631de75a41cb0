"""What Prefect does around a task: retries for what can fail for a moment, caching for what has been computed."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ParamSpec, TypeVar

from prefect import task as prefect_task
from prefect.client.schemas.objects import State, TaskRun
from prefect.context import TaskRunContext
from prefect.tasks import Task, exponential_backoff

from bowerbird.pipeline import prove
from bowerbird.pipeline.prepare import Cut
from bowerbird.pipeline.prove import Spec
from bowerbird.pipeline.run import Run, digest

P = ParamSpec("P")
R = TypeVar("R")


def is_momentary(task: Task[..., Any], task_run: TaskRun, state: State[Any]) -> bool:  # Any: Prefect's generics
    """Tell whether a failure may pass by itself: the disk or an object store. Our own errors and bad data do not."""
    error = state.result(raise_on_failure=False)
    return isinstance(error, OSError)


def retried(name: str) -> Callable[[Callable[P, R]], Task[P, R]]:
    """Make a task that reads or writes files: three more tries, a second, two and four apart, if the failure may pass."""
    return prefect_task(
        name=name,
        retries=3,
        retry_delay_seconds=exponential_backoff(backoff_factor=1),
        retry_jitter_factor=0.5,
        retry_condition_fn=is_momentary,
    )


def fit_cache_key(context: TaskRunContext, parameters: dict[str, Any]) -> str:  # Any: a task's arguments
    """Key a fit by all that it depends on, and by whether its model still lies where it was put."""
    run, spec, cut = parameters["run"], parameters["spec"], parameters["cut"]
    assert isinstance(run, Run) and isinstance(spec, Spec) and isinstance(cut, Cut)
    folder = prove.model_folder(run, spec, cut)
    key = f"fit-{folder.name}-{digest(spec.model_dump())}"
    return key if folder.exists() else f"{key}-{run.run_id}"

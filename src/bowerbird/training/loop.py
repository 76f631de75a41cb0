"""The train loop on one page: batch, forward, loss, backward, step, log."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import TypeVar

import torch
from torch import Tensor, nn

from bowerbird.errors import TrainingError
from bowerbird.training.checkpoint import Checkpoint, Epoch, Progress
from bowerbird.training.device import Device, device_of
from bowerbird.training.plan import STEP_FACTOR, Plan
from bowerbird.training.workers import AnyBatch, Workers

Network = TypeVar("Network", bound=nn.Module)

SOON, AVERAGE_EVERY = 100, 4
"""The running average moves at every step up to 100, then at every fourth, so much farther: a way through all weights less."""

__all__ = ["Epoch", "best_epoch", "train", "validations_since_best"]

ALONE = Workers()

logger = logging.getLogger(__name__)


def train(
    network: Network,
    batches: Callable[[], Iterable[AnyBatch]],
    batch_loss: Callable[[Network, AnyBatch], tuple[Tensor, int]],
    plan: Plan,
    *,
    validate: Callable[[Network], float] | None = None,
    report: Callable[[int, float], None] | None = None,
    checkpoint: Checkpoint | None = None,
    workers: Workers = ALONE,
    device: Device = "cpu",
) -> tuple[Network, list[Epoch]]:
    """Train ``network`` in place; return the running average of its weights, on the CPU, and one entry an epoch.

    Parameters
    ----------
    batches
        Gives the batches of one epoch, drawn anew each time.
    batch_loss
        Gives the mean loss of a batch, and of how many targets.
    validate
        Measures an average; larger is better.
    report
        Is told epoch and value of each validation; what it raises ends the training.
    checkpoint
        Keeps the training while it goes on; one that was killed goes on from there.
    workers
        The processes that train together.
    device
        To which network and batches are moved: see ``device_of``.

    Raises
    ------
    TrainingError
        For a loss that is not finite, with the number of the step.
    """
    place = device_of(device, rank=workers.rank)
    average = copy.deepcopy(network.to(place)).eval()
    optimizer = plan.optimizer_of(network)
    logger.info(
        "training %d parameters for up to %d epochs of %d steps, device %s, %s",
        sum(parameter.numel() for parameter in network.parameters()),
        plan.num_epochs,
        plan.steps_an_epoch,
        place,
        plan,
    )
    done = Progress() if checkpoint is None else checkpoint.read(network, average, optimizer)
    if done.step:
        logger.info("going on after step %d, epoch %d", done.step, len(done.curve) + 1)
    while not done.is_done:
        epoch = len(done.curve) + 1
        drop = STEP_FACTOR ** len(plan.drops([point.validation for point in done.curve]))
        network.train()
        for batch in _left(batches(), done.batch, checkpoint):
            done.step, done.batch = done.step + 1, done.batch + 1
            share, counts = workers.share(batch.to(place), network)
            loss, value, num = workers.combine(*batch_loss(network, share), counts=counts)
            _require_finite(value, done.step, epoch)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            workers.add_gradients(network)
            nn.utils.clip_grad_norm_(network.parameters(), plan.max_gradient_norm)
            for group in optimizer.param_groups:
                group["lr"] = plan.learning_rate_at(done.step) * drop
            optimizer.step()
            if done.step <= SOON or done.step % AVERAGE_EVERY == 0:
                _move_average(average, network, plan.average_decay_at(done.step), done.step)
            done.sum_loss += value * num
            done.num_targets += num
            if checkpoint is not None and workers.rank == 0 and checkpoint.is_due:
                checkpoint.write(done, network, average, optimizer)
        is_measured = validate is not None and epoch % plan.validate_every == 0
        validation = validate(average) if validate and is_measured else None
        done.curve.append(Epoch(epoch, done.sum_loss / done.num_targets, validation))
        logger.info("epoch %d of %d: loss %.4f, validation %s", epoch, plan.num_epochs, done.curve[-1].loss, validation)
        done.batch, done.sum_loss, done.num_targets = 0, 0.0, 0
        done.is_done = epoch >= plan.num_epochs or (is_measured and validations_since_best(done.curve) >= plan.patience)
        if checkpoint is not None and workers.rank == 0 and done.is_done:
            checkpoint.write(done, network, average, optimizer)
        if report is not None and validation is not None:
            report(epoch, validation)
    return average.cpu(), done.curve


def _left(batches: Iterable[AnyBatch], num_made: int, checkpoint: Checkpoint | None) -> Iterator[AnyBatch]:
    """Yield the batches of an epoch that are still to be made."""
    if checkpoint is not None:
        checkpoint.begin_epoch()
    left = iter(batches)
    for _ in islice(left, num_made):
        pass
    if checkpoint is not None:
        checkpoint.skipped()
    yield from left


def best_epoch(curve: list[Epoch]) -> int:
    """Return the epoch with the best validation, the first of equals; the last epoch where there was none."""
    measured = [(point.validation, -point.epoch) for point in curve if point.validation is not None]
    return -max(measured)[1] if measured else curve[-1].epoch


def validations_since_best(curve: list[Epoch]) -> int:
    """Count the validations after the best one."""
    best = best_epoch(curve)
    return sum(point.validation is not None and point.epoch > best for point in curve)


def _require_finite(value: float, step: int, epoch: int) -> None:
    if not math.isfinite(value):
        raise TrainingError(
            f"the loss is {value} in step {step}, epoch {epoch}", next_step="lower learning_rate, or look for the cause"
        )


@torch.no_grad()
def _move_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Go towards the network, as far as in the steps since the last time."""
    decay **= 1 if step <= SOON else AVERAGE_EVERY
    for kept, new in zip(average.parameters(), network.parameters(), strict=True):
        kept.lerp_(new, 1 - decay)

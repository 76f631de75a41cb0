"""The train loop on one page: batch, forward, loss, backward, step, log."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor, nn

from bowerbird.errors import TrainingError
from bowerbird.training.plan import Plan

Network = TypeVar("Network", bound=nn.Module)
AnyBatch = TypeVar("AnyBatch")

SOON, AVERAGE_EVERY = 100, 4
"""The running average moves at every step up to 100, then at every fourth, so much farther: a way through all weights less."""

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Epoch:
    """The mean loss of an epoch, and the validation after it where there was one."""

    epoch: int
    loss: float
    validation: float | None = None


def train(
    network: Network,
    batches: Callable[[], Iterable[AnyBatch]],
    batch_loss: Callable[[Network, AnyBatch], tuple[Tensor, int]],
    plan: Plan,
    *,
    validate: Callable[[Network], float] | None = None,
    report: Callable[[int, float], None] | None = None,
) -> tuple[Network, list[Epoch]]:
    """Train ``network`` in place, and return the running average of its weights and one entry an epoch.

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

    Raises
    ------
    TrainingError
        For a loss that is not finite, with the number of the step.
    """
    average = copy.deepcopy(network).eval()
    optimizer = plan.optimizer_of(network)
    logger.info(
        "training %d parameters for up to %d epochs of %d steps, device %s, %s",
        sum(parameter.numel() for parameter in network.parameters()),
        plan.num_epochs,
        plan.steps_an_epoch,
        next(network.parameters()).device,
        plan,
    )
    curve: list[Epoch] = []
    step = 0
    for epoch in range(1, plan.num_epochs + 1):
        sum_loss, num_targets = 0.0, 0
        network.train()
        for batch in batches():
            step += 1
            loss, num = batch_loss(network, batch)
            value = _finite(loss, step, epoch)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(network.parameters(), plan.max_gradient_norm)
            for group in optimizer.param_groups:
                group["lr"] = plan.learning_rate_at(step)
            optimizer.step()
            if step <= SOON or step % AVERAGE_EVERY == 0:
                _move_average(average, network, plan.average_decay, step)
            sum_loss += value * num
            num_targets += num
        is_measured = validate is not None and epoch % plan.validate_every == 0
        curve.append(Epoch(epoch, sum_loss / num_targets, validate(average) if validate and is_measured else None))
        logger.info("epoch %d of %d: loss %.4f, validation %s", epoch, plan.num_epochs, curve[-1].loss, curve[-1].validation)
        if report is not None and (measured := curve[-1].validation) is not None:
            report(epoch, measured)
        if is_measured and validations_since_best(curve) >= plan.patience:
            break
    return average, curve


def best_epoch(curve: list[Epoch]) -> int:
    """Return the epoch with the best validation, the first of equals; the last epoch where there was none."""
    measured = [(point.validation, -point.epoch) for point in curve if point.validation is not None]
    return -max(measured)[1] if measured else curve[-1].epoch


def validations_since_best(curve: list[Epoch]) -> int:
    """Count the validations after the best one."""
    best = best_epoch(curve)
    return sum(point.validation is not None and point.epoch > best for point in curve)


def _finite(loss: Tensor, step: int, epoch: int) -> float:
    value = float(loss.detach())
    if not math.isfinite(value):
        raise TrainingError(
            f"the loss is {value} in step {step}, epoch {epoch}", next_step="lower learning_rate, or look for the cause"
        )
    return value


@torch.no_grad()
def _move_average(average: nn.Module, network: nn.Module, decay: float, step: int) -> None:
    """Go towards the network; an average soon forgets the beginning."""
    decay = min(decay, (1 + step) / (10 + step)) ** (1 if step <= SOON else AVERAGE_EVERY)
    for kept, new in zip(average.parameters(), network.parameters(), strict=True):
        kept.lerp_(new, 1 - decay)

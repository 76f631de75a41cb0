"""The train loop on one page: batch, forward, loss, backward, step, log.

Shapes: B windows, L targets of the longest window, T targets of all, D width, K negatives, V items.
"""

from __future__ import annotations

import copy
import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from bowerbird.data.sequences import Sequences, cut_windows
from bowerbird.errors import TrainingError
from bowerbird.training.batches import Batch, epoch_batches, num_batches
from bowerbird.training.losses import full_softmax, sampled_softmax

BETAS = (0.9, 0.98)
MAX_GRADIENT_NORM = 1.0
MAX_WARM_UP_STEPS = 100
AVERAGE_DECAY = 0.998
"""What is kept is a running average of the weights over some 500 steps, so that one unlucky step does not decide."""

logger = logging.getLogger(__name__)


class SequenceNetwork(nn.Module, ABC):
    """What the loop trains: item vectors and biases, and a way from the vectors read to one that is near the next item's."""

    items: nn.Embedding
    """[V, D]; read, and scored against."""
    biases: nn.Parameter
    """[V]; added to the scores."""

    @abstractmethod
    def encode(self, x_BLD: Tensor) -> Tensor:
        """Turn the vectors of the items read into what is expected next at each place [B, L, D], reading no later place."""

    def score(self, states_TD: Tensor) -> Tensor:
        """Score all items after each state; [T, V]."""
        return torch.addmm(self.biases, states_TD, self.items.weight.T)


@dataclass(frozen=True)
class Plan:
    """How to train: each number that the loop needs."""

    num_epochs: int
    learning_rate: float
    weight_decay: float
    batch_tokens: int
    max_length: int
    num_negatives: int
    """Shared by the targets of a batch; 0 takes all items, which is full cross-entropy."""
    patience: int
    """Validations without a better one before training stops; without a validation it never does."""
    validate_every: int = 1
    """Epochs from one validation to the next."""


@dataclass(frozen=True)
class Epoch:
    """The mean loss of an epoch, and the validation after it where there was one."""

    epoch: int
    loss: float
    validation: float | None = None


def train(
    network: SequenceNetwork,
    sequences: Sequences,
    plan: Plan,
    *,
    generator: torch.Generator,
    validate: Callable[[SequenceNetwork], float] | None = None,
) -> tuple[SequenceNetwork, list[Epoch]]:
    """Train ``network`` in place, and return the running average of its weights and one entry an epoch.

    ``validate`` measures an average; larger is better.

    Raises
    ------
    TrainingError
        For a loss that is not finite, with the number of the step.
    """
    average = copy.deepcopy(network).eval()
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=plan.learning_rate, betas=BETAS, weight_decay=plan.weight_decay, fused=True
    )
    steps_an_epoch = num_batches(cut_windows(sequences, plan.max_length), plan.batch_tokens)
    _log_start(network, sequences, plan, steps_an_epoch)
    curve: list[Epoch] = []
    step = 0
    for epoch in range(1, plan.num_epochs + 1):
        sum_loss, num_targets = 0.0, 0
        network.train()
        for batch in epoch_batches(sequences, max_length=plan.max_length, batch_tokens=plan.batch_tokens, generator=generator):
            step += 1
            loss = batch_loss(network, batch, num_negatives=plan.num_negatives, generator=generator)
            value = _finite(loss, step, epoch)
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            nn.utils.clip_grad_norm_(network.parameters(), MAX_GRADIENT_NORM)
            for group in optimizer.param_groups:  # warm-up, then constant
                group["lr"] = plan.learning_rate * min(1.0, step / min(MAX_WARM_UP_STEPS, steps_an_epoch))
            optimizer.step()
            _move_average(average, network, step)
            sum_loss += value * len(batch.places)
            num_targets += len(batch.places)
        is_measured = validate is not None and epoch % plan.validate_every == 0
        curve.append(Epoch(epoch, sum_loss / num_targets, validate(average) if validate and is_measured else None))
        logger.info("epoch %d of %d: loss %.4f, validation %s", epoch, plan.num_epochs, curve[-1].loss, curve[-1].validation)
        if is_measured and validations_since_best(curve) >= plan.patience:
            break
    return average, curve


def batch_loss(network: SequenceNetwork, batch: Batch, *, num_negatives: int, generator: torch.Generator) -> Tensor:
    """Return the mean loss of a batch's targets; padding is dropped before it is scored."""
    targets_T = batch.tokens[:, 1:].flatten()[batch.places]
    if num_negatives == 0:
        states_TD = network.encode(network.items(batch.tokens[:, :-1])).flatten(0, 1)[batch.places]
        return full_softmax(network.score(states_TD), targets_T)
    num_items, (rows, width) = network.items.num_embeddings, batch.tokens.shape
    negatives_K = torch.randint(num_items, (num_negatives,), generator=generator)
    # One look-up for what is read, the targets and the negatives: its gradient is as large as the catalogue.
    vectors_ID = functional.embedding(torch.cat([batch.tokens.flatten(), negatives_K]), network.items.weight)
    vectors_BSD, negatives_KD = vectors_ID[: rows * width].view(rows, width, -1), vectors_ID[rows * width :]
    states_TD = network.encode(vectors_BSD[:, :-1]).flatten(0, 1)[batch.places]
    vectors_TD = vectors_BSD[:, 1:].flatten(0, 1)[batch.places]
    return sampled_softmax(
        (states_TD * vectors_TD).sum(dim=1) + network.biases[targets_T],
        torch.addmm(network.biases[negatives_K], states_TD, negatives_KD.T),
        targets_T[:, None] == negatives_K,
        num_items=num_items,
    )


def best_epoch(curve: list[Epoch]) -> int:
    """Return the epoch with the best validation, the first of equals; the last epoch where there was none."""
    measured = [point for point in curve if point.validation is not None]
    return max(measured, key=lambda point: point.validation or 0.0).epoch if measured else curve[-1].epoch


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
def _move_average(average: nn.Module, network: nn.Module, step: int) -> None:
    decay = min(AVERAGE_DECAY, (1 + step) / (10 + step))  # shorter at first, so that the beginning is soon forgotten
    for kept, new in zip(average.parameters(), network.parameters(), strict=True):
        kept.lerp_(new, 1 - decay)


def _log_start(network: SequenceNetwork, sequences: Sequences, plan: Plan, steps_an_epoch: int) -> None:
    logger.info(
        "training %d parameters for up to %d epochs of %d steps: %d users, %d items, %d targets an epoch, device %s, %s",
        sum(parameter.numel() for parameter in network.parameters()),
        plan.num_epochs,
        steps_an_epoch,
        len(sequences),
        network.items.num_embeddings,
        sequences.num_targets,
        network.items.weight.device,
        plan,
    )

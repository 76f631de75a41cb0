"""How to train: the numbers that the loop needs, the optimizer, and the learning rate at each step."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

import torch
from torch import nn

Optimizer = Literal["adamw", "adam", "sgd"]
Schedule = Literal["constant", "linear", "cosine", "step", "plateau"]
STEP_FACTOR, NUM_STEPS = 0.5, 4


@dataclass(frozen=True)
class Plan:
    """Each number that the loop needs; the defaults are what is known to work for sequences."""

    num_epochs: int
    steps_an_epoch: int
    learning_rate: float
    weight_decay: float = 0.0
    optimizer: Optimizer = "adamw"
    betas: tuple[float, float] = (0.9, 0.98)
    """Of AdamW and Adam."""
    schedule: Schedule = "constant"
    """What follows the warm-up, until the last of ``num_epochs``: see ``learning_rate_at``."""
    drop_epochs: tuple[int, ...] | None = None
    """Of ``plateau``: after which epochs the rate is halved; None: after each validation that is no better than one before."""
    warm_up_steps: int = 100
    """At most; never more than an epoch."""
    max_gradient_norm: float = 1.0
    average_decay: float = 0.998
    """What is kept is a running average of the weights over some 500 steps, so that one unlucky step does not decide; 0: none."""
    forgets_beginning: bool = True
    """Whether the average is short at first, for the weights at the beginning are worth nothing; not where they are trained."""
    patience: int = 3
    """Validations without a better one before training stops; without a validation it never does."""
    validate_every: int = 1
    """Epochs from one validation to the next."""

    def optimizer_of(self, network: nn.Module) -> torch.optim.Optimizer:
        """Make the optimizer. AdamW takes the decay off the weights; with the others it is an L2 penalty in the gradient."""
        parameters, rate, decay = network.parameters(), self.learning_rate, self.weight_decay
        match self.optimizer:
            case "adamw":
                return torch.optim.AdamW(parameters, lr=rate, betas=self.betas, weight_decay=decay, fused=True)
            case "adam":
                return torch.optim.Adam(parameters, lr=rate, betas=self.betas, weight_decay=decay, fused=True)
            case "sgd":
                return torch.optim.SGD(parameters, lr=rate, weight_decay=decay)
            case other:
                assert_never(other)

    def learning_rate_at(self, step: int) -> float:
        """Return the rate of a step, from 1 on: a straight rise, then the schedule.

        ``constant`` stays; ``linear`` falls to 0 and ``cosine`` on half a wave, at the end of the last epoch; ``step`` halves
        the rate after each quarter of the steps. What ``plateau`` takes off depends on validations: see ``drops``.
        """
        warm_up = min(self.warm_up_steps, self.steps_an_epoch)
        if step < warm_up:
            return self.learning_rate * step / warm_up
        done = min(1.0, (step - 1) / (self.num_epochs * self.steps_an_epoch))
        match self.schedule:
            case "constant" | "plateau":
                return self.learning_rate
            case "linear":
                return self.learning_rate * (1 - done)
            case "cosine":
                return self.learning_rate * (1 + math.cos(math.pi * done)) / 2
            case "step":
                return self.learning_rate * STEP_FACTOR ** int(done * NUM_STEPS)
            case other:
                assert_never(other)

    def average_decay_at(self, step: int) -> float:
        """Return what the running average keeps at a step, from 1 on; it soon forgets a beginning that was drawn."""
        return min(self.average_decay, (1 + step) / (10 + step)) if self.forgets_beginning else self.average_decay

    def drops(self, validations: Sequence[float | None]) -> list[int]:
        """Return the epochs after which ``plateau`` halves the rate, of those that are done, whose validations are given."""
        if self.schedule != "plateau":
            return []
        if self.drop_epochs is not None:
            return [epoch for epoch in self.drop_epochs if epoch <= len(validations)]
        found, best = [], -math.inf
        for epoch, value in enumerate(validations, start=1):
            if value is not None and value <= best:
                found.append(epoch)
            best = best if value is None else max(best, value)
        return found

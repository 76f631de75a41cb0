"""Settings of ``neural_cf``, apart from the model: a recipe is checked without the seconds that torch takes to import."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from bowerbird.models.base import ModelConfig
from bowerbird.training.device import Device

Activation = Literal["relu", "tanh", "sigmoid", "gelu"]
Initialization = Literal["normal", "uniform", "xavier"]


class NeuralCfConfig(ModelConfig):
    """The network, how it begins, and how it is trained."""

    embedding_size: int = Field(default=64, ge=1, le=1024)
    """Width of a user's and of an item's vector."""
    hidden_sizes: tuple[Annotated[int, Field(ge=1, le=4096)], ...] = Field(default=(64,), max_length=8)
    """Width of each hidden layer; with none, the list is the same for everybody."""
    activation: Activation = "relu"
    """After each hidden layer."""
    initialization: Initialization = "normal"
    """How vectors and matrices are drawn; biases begin at 0."""
    initial_scale: float = Field(default=0.1, gt=0, le=10)
    """Standard deviation of the vectors at the start, unless ``xavier``, which goes by their number."""
    loss: Literal["bce", "mse"] = "bce"
    """Cross-entropy with the logit, or the squared error of the probability."""
    optimizer: Literal["adam", "sgd"] = "adam"
    """Plain, without momentum: SGD wants a learning rate that is higher by far."""
    learning_rate: float = Field(default=1e-2, gt=0, le=1000)
    """At the start."""
    schedule: Literal["constant", "linear", "cosine", "step"] = "constant"
    """How the rate falls until the last epoch: not, to 0, to 0 on half a wave, or by half after each quarter."""
    weight_decay: float = Field(default=0.0, ge=0, le=1)
    """L2 penalty, in the gradient of all weights at each step."""
    dropout: float = Field(default=0.0, ge=0, le=0.9)
    """Share of the numbers that enter each layer that is zeroed in training."""
    batch_size: int = Field(default=1024, ge=1)
    """Events of a step; each brings its negatives."""
    num_negatives: int = Field(default=4, ge=1, le=1000)
    """Items drawn for each event, where there is no ``label``."""
    augmentation: float = Field(default=0.5, ge=0, le=1)
    """Share of the events, drawn anew each epoch, whose item is replaced by one that is near it; not where there are labels."""
    num_neighbors: int = Field(default=20, ge=1, le=1000)
    """Of ``augmentation``: the nearest items by cosine, of which one is drawn by cosine."""
    device: Device = "auto"
    """What it is trained on: ``auto`` takes CUDA where torch finds it. Lists are made on the CPU."""
    num_epochs: int | None = Field(default=None, ge=1)
    """Passes over the data. None: found on a hold-out, then all data is trained on anew for as long."""
    max_epochs: int = Field(default=20, ge=1)
    """The most passes that are tried when their number is to be found."""
    patience: int = Field(default=5, ge=1)
    """Epochs without a better validation before the search for the number ends."""

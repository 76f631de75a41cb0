"""A device that is not the CPU, by pretence: numbers are computed here, but what lies there and what lies here must not meet.

There is no GPU where these tests run. Torch is told that a tensor lies on ``meta``; each operation checks, as CUDA would, that
all of its tensors lie on one device (but single numbers), and that no generator of the CPU draws into a tensor there.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_map

THERE = torch.device("meta")
aten = torch.ops.aten
CROSSING = {aten._to_copy.default, aten.copy_.default}


class TensorThere(Tensor):
    """Lies there; ``numbers`` are here."""

    numbers: Tensor

    @staticmethod
    def __new__(cls, numbers: Tensor) -> TensorThere:
        where = {"strides": numbers.stride(), "storage_offset": numbers.storage_offset(), "dtype": numbers.dtype, "device": THERE}
        made = Tensor._make_wrapper_subclass(cls, numbers.shape, **where)
        made.numbers = numbers
        return made

    __torch_function__ = torch._C._disabled_torch_function_impl

    @classmethod
    def __torch_dispatch__(cls, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        return run(operation, args, kwargs or {})


class Elsewhere(TorchDispatchMode):
    """While it is on, ``meta`` is a device that can be computed on; it counts the operations there."""

    num_operations = 0

    def __torch_dispatch__(self, operation: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        self.num_operations += any(isinstance(value, TensorThere) for value in tree_flatten((args, kwargs))[0])
        return run(operation, args, kwargs or {})


def run(operation: Any, args: Any, kwargs: dict[str, Any]) -> Any:
    """Compute here, and let the results lie where torch would put them."""
    given = tree_flatten((args, kwargs))[0]
    there = [value for value in given if isinstance(value, TensorThere)]
    if there and operation not in CROSSING:
        here = [value for value in given if isinstance(value, Tensor) and not isinstance(value, TensorThere) and value.dim()]
        if here:
            raise RuntimeError(f"{operation}: tensors of {here[0].shape} here and of {there[0].shape} there")
        if any(isinstance(value, torch.Generator) for value in given):
            raise RuntimeError(f"{operation}: a generator of the CPU and a tensor there")
    device = kwargs.get("device")
    goes_there = bool(there) if device is None else torch.device(device) == THERE
    if operation is aten.copy_.default:
        goes_there = isinstance(args[0], TensorThere)
    numbers, named = tree_map(lambda value: value.numbers if isinstance(value, TensorThere) else value, (args, kwargs))
    if device is not None:
        named["device"] = torch.device("cpu")
    found = operation(*numbers, **named)
    if not goes_there:
        return found
    known = {id(value.numbers): value for value in there}
    return tree_map(lambda value: _lying_there(value, known), found)


def _lying_there(value: Any, known: dict[int, TensorThere]) -> Any:
    if not isinstance(value, Tensor):
        return value
    return known[id(value)] if id(value) in known else TensorThere(value)

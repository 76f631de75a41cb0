"""Where a network is trained: on the CPU, or on a CUDA device where there is one.

Chance is drawn on the CPU wherever the network is, so a seed means the same masks and negatives everywhere; what was trained
comes back to the CPU, where it is kept, read and asked for lists.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from bowerbird.errors import CapabilityError

if TYPE_CHECKING:
    import torch

Device = Literal["auto", "cpu", "cuda"]


def device_of(asked: Device, *, rank: int = 0) -> torch.device:
    """Return the device of a process, given its place among those that train together: they take turns on the devices.

    ``auto`` is CUDA where torch finds it. Raises CapabilityError where ``cuda`` is asked for and there is none.
    """
    import torch

    has_cuda = torch.cuda.is_available()
    if asked == "cuda" and not has_cuda:
        raise CapabilityError(
            "device is 'cuda', but torch finds no CUDA device here",
            next_step="set device to 'auto' or 'cpu', or install torch's CUDA build on a machine with a GPU",
        )
    return torch.device("cuda", rank % torch.cuda.device_count()) if has_cuda and asked != "cpu" else torch.device("cpu")

"""What training computes with, whatever the application has set for its own work."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch

from .threads import one_thread


@contextmanager
def training(device_type: str = "cpu", *, bf16: bool = False) -> Iterator[None]:
    """Compute with gradients, in fp32 or bf16, in the calling thread: also inside `torch.no_grad`,
    `torch.inference_mode` or `torch.autocast`. (The default dtype and device are left as they are:
    modules name their dtype, and what makes a tensor names its device. A device as a context would
    slow down each call of PyTorch.)

    device_type: Where the network is.
    bf16: Whether it computes in bfloat16 where that costs little.
    """
    with (
        one_thread(),
        torch.inference_mode(False),
        torch.enable_grad(),
        torch.autocast(device_type, torch.bfloat16, enabled=bf16),
    ):
        yield

"""Vectors in, the same with some values dropped out."""

import torch
from torch import Tensor

BITS = 16  # that decide over a value


def drop(vectors: Tensor, rate: float) -> Tensor:
    """Set values to zero at random, and make up for it in the others (Srivastava et al. 2014).

    On a CPU, PyTorch draws a random number of 32 bits for each value, one by one, which takes a
    tenth of a training step. Here four values share one of 64 bits.

    vectors (Tensor): Of any shape.
    rate (float): How often a value is dropped, to a precision of 1 / 65,536.
    RETURNS (Tensor): Of the same shape and type.
    RAISES: ValueError if the rate is not from 0 to 1.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"dropout = {rate} must be from 0 to 1.")
    if not rate:
        return vectors
    n_draws = -(-vectors.numel() * BITS // 64)
    draws = torch.empty(n_draws, dtype=torch.int64, device=vectors.device).random_(-(2**63), None)
    bits = draws.view(torch.int16)[: vectors.numel()].view_as(vectors)
    n_dropped = max(1, round(rate * 2**BITS))  # of all values that the bits can have
    kept = bits > n_dropped - 1 - 2 ** (BITS - 1)
    return vectors * (kept.to(vectors.dtype) / max(1 - rate, 2**-BITS))

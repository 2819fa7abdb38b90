"""Where bfloat16 can help."""

import warnings
from functools import cache

import torch


@cache
def runs_bf16() -> bool:
    """Return whether a bfloat16 LSTM runs on the processor, with its instructions or emulated.
    oneDNN refuses it where there is no AVX-512, or where it was told not to use it.
    """
    rows, state, weights, biases = (
        torch.zeros(shape, dtype=torch.float32, device="cpu")
        for shape in ((1, 1, 1), (1, 1, 1), (4, 1), 4)
    )
    parameters = [weights, weights, biases, biases]
    try:
        with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16):
            torch.lstm(rows, (state, state), parameters, True, 1, 0.0, False, False, False)
    except RuntimeError:
        return False
    return True


@cache
def computes_bf16(device_type: str) -> bool:
    """Return whether a device has instructions for bfloat16, and its library uses them for LSTMs;
    if not, warn once.
    """
    if device_type == "cuda":
        supported = torch.cuda.is_bf16_supported(including_emulation=False)
    else:
        supported = any(
            getattr(torch.cpu, name, bool)()
            for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
        )
        supported = supported and runs_bf16()
    if not supported:
        warnings.warn(
            'precision = "bf16" can\'t help here: the processor has no instructions for bfloat16 '
            "(AVX512-BF16 or AMX), or PyTorch doesn't use them. The model computes in fp32.",
            stacklevel=2,
        )
    return supported

"""Packing of weights: each array in the smallest type that holds it exactly.

After training that is single precision. `compaction` rounds most weights to half precision, and the
rows of embeddings to whole numbers times a scale, a byte for each value.
"""

from collections.abc import Mapping
from typing import Any

import numpy

from .types import Floats2d

Packed = dict[str, Any]

SCALE = ".scale"  # ends the name of the scales of rows
LARGEST = 127  # of the whole numbers
PRECISION = 2048  # so few different scales that their products with whole numbers are exact


def round_rows(values: Floats2d) -> Floats2d:
    """Return (rows, width) values whose rows are whole numbers times a scale."""
    whole, scale = _split(values)
    return whole * scale


def round_half(values: Floats2d) -> Floats2d:
    """Return values that half precision holds exactly; those beyond its range unchanged."""
    with numpy.errstate(over="ignore"):
        rounded = values.astype("float16").astype("float32")
    return numpy.where(numpy.isfinite(rounded), rounded, values)


def pack(weights: Mapping[str, Floats2d]) -> Packed:
    """Return arrays that hold the weights exactly, in as few bytes as possible."""
    packed: Packed = {}
    for name, values in weights.items():
        packed[name] = values
        with numpy.errstate(over="ignore"):
            half = values.astype("float16")
        if numpy.array_equal(half, values):
            packed[name] = half
        if values.ndim == 2 and values.size:
            whole, scale = _split(values)
            if numpy.array_equal(whole * scale, values):
                packed[name], packed[name + SCALE] = whole, scale
    return packed


def unpack(packed: Packed) -> dict[str, Floats2d]:
    """Return the weights of what `pack` returned, in single precision.

    RAISES: ValueError if they are not finite, or of another type.
    """
    weights: dict[str, Floats2d] = {}
    for name, values in packed.items():
        if name.endswith(SCALE):
            continue
        if values.dtype == "int8" and values.ndim == 2:
            scale = packed[name + SCALE]
            if scale.dtype != "float32" or scale.shape != (len(values), 1):
                raise ValueError(f"its weights are damaged: {name}{SCALE}")
            values = values * scale
        if values.dtype not in ("float32", "float16") or not numpy.isfinite(values).all():
            raise ValueError(f"its weights must be finite, and in fp32, fp16 or int8: {name}")
        weights[name] = values.astype("float32", copy=False)
    return weights


def _split(values: Floats2d) -> tuple[Any, Any]:
    """Return (rows, width) whole numbers and (rows, 1) scales whose products are close to values,
    and equal if they are such products already.
    """
    mantissa, exponent = numpy.frexp(numpy.abs(values).max(axis=1, keepdims=True) / LARGEST)
    scale = numpy.ldexp(numpy.rint(mantissa * PRECISION) / PRECISION, exponent).astype("float32")
    whole = numpy.rint(values / numpy.where(scale > 0, scale, 1))
    return whole.clip(-LARGEST, LARGEST).astype("int8"), scale

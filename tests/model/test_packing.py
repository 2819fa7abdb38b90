"""Tests of `packing.py`: what is packed comes back exactly, and rounded values take less space."""

from typing import Any

import numpy
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from spacy_lstm_tagger.model.packing import SCALE, pack, round_half, round_rows, unpack

RANDOM = numpy.random.default_rng(0)


def rows(n: int = 500, width: int = 7) -> Any:
    """Rows of very different sizes, some of them zeros."""
    sizes = 10.0 ** RANDOM.uniform(-12, 8, (n, 1))
    values = (RANDOM.standard_normal((n, width)) * sizes).astype("float32")
    values[::50] = 0
    return values


def test_any_weights_come_back() -> None:
    weights = {
        "a": rows(),
        "b": RANDOM.standard_normal(5).astype("float32"),
        "c": numpy.ones((2, 3), "float32"),
        "d": numpy.asarray([1e-30, 1e30, 7e4], "float32"),
        "e": numpy.zeros((0, 3), "float32"),
    }
    found = unpack(pack(weights))
    assert found.keys() == weights.keys()
    for name, values in weights.items():
        assert found[name].dtype == "float32"
        assert_array_equal(found[name], values)


def test_rounded_rows_take_a_byte_for_each_value() -> None:
    values = rows()
    rounded = round_rows(values)
    packed = pack({"a": rounded})
    assert packed["a"].dtype == "int8" and packed["a" + SCALE].shape == (500, 1)
    assert_array_equal(unpack(packed)["a"], rounded)
    assert_array_equal(round_rows(rounded), rounded)
    largest = numpy.abs(values).max(axis=1, keepdims=True)
    assert (numpy.abs(rounded - values) <= largest / 127 * 0.501).all()


def test_half_precision() -> None:
    values = numpy.asarray([1 / 3, 1e-9, 70_000, -2], dtype="float32")
    assert_array_equal(
        round_half(values), numpy.asarray([numpy.float16(1 / 3), 0, 70_000, -2], "f")
    )
    assert pack({"a": round_half(values[:2])})["a"].dtype == "float16"
    assert pack({"a": values})["a"].dtype == "float32"
    assert_allclose(unpack(pack({"a": round_half(values[:2])}))["a"], values[:2], atol=1e-3)


@pytest.mark.parametrize(
    "packed",
    [
        {"a": numpy.asarray([numpy.nan], "f")},
        {"a": numpy.asarray([numpy.inf], "float16")},
        {"a": numpy.ones(3, "float64")},
        {"a": numpy.ones(3, "int8")},
        {"a": numpy.ones((3, 2), "int8"), "a" + SCALE: numpy.ones((2, 1), "f")},
        {"a": numpy.ones((3, 2), "int8"), "a" + SCALE: numpy.full((3, 1), numpy.nan, "f")},
    ],
)
def test_damaged_weights_are_refused(packed: Any) -> None:
    with pytest.raises(ValueError, match="its weights"):
        unpack(packed)

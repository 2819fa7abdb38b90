"""Counts of right labels per sentence in; intervals and p-values out."""

from collections.abc import Iterator
from typing import Any

import numpy

from .evaluation import Ints

BLOCK = 2**23  # numbers that are drawn at a time


def bootstrap_interval(
    right: Ints, total: Ints, *, n_samples: int = 2_000, level: float = 0.95, seed: int = 0
) -> tuple[float, float]:
    """Return an interval for an accuracy: between these values it lies in most samples of as many
    sentences, drawn with replacement (Efron 1979).

    right, total (Ints): (sentences,) how many tokens are right, and how many there are.
    n_samples (int): How many samples to draw.
    level (float): The part of the samples that lies in the interval.
    seed (int): Seed of the random numbers.
    RETURNS (tuple[float, float]): The lower and the upper bound.
    """
    n = len(total)
    random = numpy.random.default_rng(seed)
    accuracies = []
    for size in _blocks(n_samples, n):
        drawn = random.integers(0, n, (size, n), dtype="int32")
        accuracies.append(right[drawn].sum(axis=1) / total[drawn].sum(axis=1))
    tail = (1 - level) / 2
    low, high = numpy.quantile(numpy.concatenate(accuracies), [tail, 1 - tail])
    return float(low), float(high)


def permutation_p(
    first: Ints, second: Ints, *, n_permutations: int = 10_000, seed: int = 0
) -> float:
    """Test whether two taggers differ: how likely is so large a difference of right labels, if for
    each sentence it is chance which tagger has which of the two counts (Yeh 2000)?

    first, second (Ints): (sentences,) how many labels of each are right.
    n_permutations (int): How many to draw.
    seed (int): Seed of the random numbers.
    RETURNS (float): The p-value.
    """
    differences = (first - second).astype("float32")
    differences = differences[differences != 0]
    random = numpy.random.default_rng(seed)
    n_extreme = 0
    for size in _blocks(n_permutations, len(differences)):
        signs = random.integers(0, 2, (size, len(differences)), dtype="int8").astype("float32")
        sums = (2 * signs - 1) @ differences
        n_extreme += int((numpy.abs(sums) >= abs(float(differences.sum()))).sum())
    return (n_extreme + 1) / (n_permutations + 1)


def per_sentence(values: Any, sentence: Ints, n_sentences: int) -> Ints:
    """Add up values of tokens for each sentence."""
    return numpy.bincount(sentence, weights=values, minlength=n_sentences).astype("int64")


def _blocks(n_rows: int, n_columns: int) -> Iterator[int]:
    """Divide rows into blocks that memory holds."""
    size = max(1, BLOCK // max(1, n_columns))
    for begin in range(0, n_rows, size):
        yield min(size, n_rows - begin)

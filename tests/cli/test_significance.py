"""Tests of `significance.py`: against enumeration, and against the normal distribution."""

from itertools import product

import numpy
import pytest

from spacy_lstm_tagger.cli import significance
from spacy_lstm_tagger.cli.significance import bootstrap_interval, per_sentence, permutation_p


@pytest.mark.parametrize("seed", range(4))
def test_p_is_that_of_all_permutations(seed: int) -> None:
    random = numpy.random.default_rng(seed)
    first, second = random.integers(0, 6, (2, 9))
    differences = first - second
    sums = [abs(numpy.dot(signs, differences)) for signs in product([-1, 1], repeat=9)]
    exact = numpy.mean([s >= abs(differences.sum()) for s in sums])
    assert permutation_p(first, second) == pytest.approx(exact, abs=0.02)
    assert permutation_p(second, first) == permutation_p(first, second)


def test_equal_taggers_do_not_differ() -> None:
    right = numpy.asarray([3, 4, 0])
    assert permutation_p(right, right) == 1


def test_the_interval_is_that_of_the_normal_distribution() -> None:
    right = numpy.asarray([1] * 800 + [0] * 200)
    low, high = bootstrap_interval(right, numpy.ones(1000, dtype="int64"))
    deviation = 1.96 * (0.8 * 0.2 / 1000) ** 0.5
    assert (low, high) == pytest.approx((0.8 - deviation, 0.8 + deviation), abs=0.003)


def test_sentences_are_drawn_not_tokens() -> None:
    right, total = numpy.asarray([100, 0]), numpy.asarray([100, 100])
    assert bootstrap_interval(right, total) == (0, 1)


def test_blocks_change_no_distribution(monkeypatch: pytest.MonkeyPatch) -> None:
    random = numpy.random.default_rng(0)
    right = random.integers(0, 10, 300)
    whole = bootstrap_interval(right, right + 2), permutation_p(right, right[::-1])
    monkeypatch.setattr(significance, "BLOCK", 1000)
    parts = bootstrap_interval(right, right + 2), permutation_p(right, right[::-1])
    assert parts[0] == pytest.approx(whole[0], abs=0.005)
    assert parts[1] == pytest.approx(whole[1], abs=0.02)


def test_values_are_added_up_per_sentence() -> None:
    sums = per_sentence(numpy.asarray([True, True, False]), numpy.asarray([0, 2, 2]), 4)
    assert sums.tolist() == [1, 0, 1, 0]

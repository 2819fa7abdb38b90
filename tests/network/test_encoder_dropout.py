"""Tests of dropout, in `encoder.py`."""

import pytest
import torch

from spacy_lstm_tagger.network.encoder import drop


@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_values_are_dropped_at_the_rate_and_others_are_scaled_up(
    rate: float, dtype: torch.dtype
) -> None:
    torch.manual_seed(0)
    dropped = drop(torch.ones(317, 317, dtype=dtype), rate)
    assert dropped.dtype == dtype
    assert (dropped == 0).float().mean().item() == pytest.approx(rate, abs=0.01)
    kept = dropped[dropped != 0]
    assert torch.equal(kept, torch.full_like(kept, 1 / (1 - rate)))


def test_each_value_is_dropped_independently() -> None:
    torch.manual_seed(0)
    dropped = (drop(torch.ones(40_000, 8), 0.5) == 0).float()
    correlations = torch.corrcoef(dropped.T) - torch.eye(8)
    assert correlations.abs().max() < 0.03


def test_dropout_is_random_and_repeatable() -> None:
    ones = torch.ones(9, 7)
    torch.manual_seed(1)
    first, second = drop(ones, 0.5), drop(ones, 0.5)
    torch.manual_seed(1)
    assert torch.equal(drop(ones, 0.5), first)
    assert not torch.equal(first, second)


def test_only_kept_values_have_gradients() -> None:
    vectors = torch.ones(5, 3, requires_grad=True)
    dropped = drop(vectors, 0.5)
    dropped.sum().backward()
    assert vectors.grad is not None
    assert torch.equal(vectors.grad, dropped.detach())


def test_rate_zero_changes_nothing() -> None:
    vectors = torch.ones(2, 3)
    assert drop(vectors, 0.0) is vectors


def test_rate_one_drops_everything() -> None:
    assert not drop(torch.ones(300, 300), 1.0).any()


def test_an_empty_tensor_stays_empty() -> None:
    assert drop(torch.ones(0, 3), 0.5).shape == (0, 3)


@pytest.mark.parametrize("rate", [-0.1, 1.1])
def test_impossible_rates_are_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        drop(torch.ones(2), rate)

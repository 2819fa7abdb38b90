"""Tests of `crf.py`: marginals equal those of prediction, gradients finite differences."""

import pytest
import torch
from torch import Tensor
from torch.testing import assert_close

from spacy_lstm_tagger.network.crf import log_marginals
from spacy_lstm_tagger.prediction import crf as prediction

LENGTHS = [[1], [4], [3, 1, 2], [5, 5, 5], [2, 4, 3, 1, 5, 2]]


def random_chain(lengths: list[int], n_labels: int) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    emissions = 3 * torch.randn(sum(lengths), n_labels, generator=generator).double()
    transitions = 2 * torch.randn(n_labels, n_labels, generator=generator).double()
    return emissions, torch.tensor(lengths), transitions


@pytest.mark.parametrize("n_labels", [1, 2, 4])
@pytest.mark.parametrize("constant", [0.0, 200.0])
@pytest.mark.parametrize("lengths", LENGTHS)
def test_training_and_prediction_have_the_same_marginals(
    lengths: list[int], n_labels: int, constant: float
) -> None:
    emissions, sizes, transitions = random_chain(lengths, n_labels)
    marginals = log_marginals(emissions, sizes, transitions + constant).softmax(1)
    expected = prediction.log_marginals(emissions.numpy(), sizes.numpy(), transitions.numpy())
    assert_close(marginals, torch.from_numpy(expected).softmax(1))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("scale", [30.0, 90.0, 200.0])
def test_transitions_can_be_far_apart(scale: float, dtype: torch.dtype) -> None:
    emissions, sizes, transitions = random_chain([6, 1, 3], 3)
    transitions = (scale * transitions).to(dtype).requires_grad_()
    marginals = log_marginals(emissions.to(dtype), sizes, transitions).softmax(1)
    expected = prediction.log_marginals(
        emissions.numpy(), sizes.numpy(), transitions.detach().double().numpy()
    )
    assert_close(marginals.double(), torch.from_numpy(expected).softmax(1), atol=1e-4, rtol=1e-3)
    marginals[:, 0].sum().backward()
    assert transitions.grad is not None and transitions.grad.isfinite().all()


@pytest.mark.parametrize("scale", [1.0, 500.0])
@pytest.mark.parametrize("excluded", [[(0, 1)], [(0, 2), (1, 2), (2, 2)], [(2, 0), (2, 1), (0, 0)]])
def test_excluded_transitions_get_no_gradient(
    excluded: list[tuple[int, int]], scale: float
) -> None:
    emissions, sizes, transitions = random_chain([4, 1, 3], 3)
    mask = torch.zeros(3, 3, dtype=torch.bool)
    for pair in excluded:
        mask[pair] = True
    transitions = (scale * transitions).masked_fill(mask, -torch.inf).requires_grad_()
    emissions.requires_grad_()
    marginals = log_marginals(emissions, sizes, transitions).softmax(1)
    expected = prediction.log_marginals(
        emissions.detach().numpy(), sizes.numpy(), transitions.detach().numpy()
    )
    assert_close(marginals, torch.from_numpy(expected).softmax(1))
    (marginals * torch.arange(3.0)).sum().backward()
    assert emissions.grad is not None and emissions.grad.isfinite().all()
    assert transitions.grad is not None and transitions.grad.isfinite().all()
    assert not transitions.grad[mask].any()


@pytest.mark.parametrize("scale", [1.0, 500.0])
@pytest.mark.parametrize("lengths", LENGTHS[:3])
def test_gradients_equal_finite_differences(lengths: list[int], scale: float) -> None:
    emissions, sizes, transitions = random_chain(lengths, 3)
    emissions, transitions = scale * emissions, scale * transitions

    def probabilities(emissions: Tensor, transitions: Tensor) -> Tensor:
        return log_marginals(emissions, sizes, transitions).softmax(1)

    inputs = emissions.requires_grad_(), transitions.requires_grad_()
    assert torch.autograd.gradcheck(probabilities, inputs)

"""Tests of `growing.py`: rows that are added while a layer is trained."""

import numpy
import pytest
import torch
from thinc.api import Adam
from torch import Tensor
from torch.testing import assert_close

from spacy_lstm_tagger.network.growing import SMALLEST_BLOCK, GrowingEmbedding, GrowingLinear

IDS = torch.tensor([[0, 3], [2, 3]])


@pytest.fixture(autouse=True)
def seed() -> None:
    torch.manual_seed(0)


@pytest.mark.parametrize("differences", [False, True])
def test_new_rows_equal_the_row_of_unknown(differences: bool) -> None:
    embedding = GrowingEmbedding(4, 5, differences=differences)
    before, unknown = embedding(IDS), embedding.weight[0]
    embedding.grow(6)
    assert torch.equal(embedding(IDS), before)
    expected = torch.zeros(5) if differences else unknown
    assert torch.equal(embedding(torch.tensor([4, 5])), expected.expand(2, 5))


@pytest.mark.parametrize("n_rows", [5, 6, SMALLEST_BLOCK + 4, SMALLEST_BLOCK + 5, 10_000])
def test_rows_are_looked_up_in_all_blocks(n_rows: int) -> None:
    embedding = GrowingEmbedding(4, 3)
    for n in sorted({5, 7, n_rows}):
        embedding.grow(n)
    for parameter in embedding.parameters():
        torch.nn.init.normal_(parameter)
    embedding.grow(n_rows)
    ids = torch.randperm(n_rows)
    assert torch.equal(embedding(ids), embedding.joined()[ids])
    assert embedding.joined().shape == (n_rows, 3)


def test_a_new_row_learns_its_difference_from_unknown() -> None:
    embedding = GrowingEmbedding(2, 3)
    embedding.grow(4)
    embedding(torch.tensor([3])).sum().backward()
    first, added = embedding.parameters()
    assert first.grad is not None and first.grad.tolist() == [[1, 1, 1], [0, 0, 0]]
    assert added.grad is not None and added.grad[:2].tolist() == [[0, 0, 0], [1, 1, 1]]


def test_blocks_stay_few() -> None:
    embedding = GrowingEmbedding(1, 1)
    for n in range(1, 100_000, 100):
        embedding.grow(n)
    assert 8 < len(list(embedding.parameters())) < 16


@pytest.mark.parametrize("layer", [GrowingEmbedding(3, 2), GrowingLinear(2, 3)], ids=type)
def test_a_saved_state_has_all_rows_in_one_array(layer: GrowingEmbedding) -> None:
    names = set(layer.state_dict())
    layer.grow(5)
    state = layer.state_dict()
    assert set(state) == names and state["weight"].shape == (5, 2)
    restored = type(layer)(*state["weight"].shape[:: 1 if "bias" not in state else -1])
    restored.load_state_dict(state)
    inputs = torch.tensor([4, 0]) if "bias" not in state else torch.ones(1, 2)
    assert torch.equal(restored(inputs), layer(inputs))


@pytest.mark.parametrize("n_new", [1, 3])
def test_new_outputs_are_never_the_highest(n_new: int) -> None:
    linear = GrowingLinear(6, 4)
    inputs = torch.randn(100, 6)
    before = linear(inputs)
    linear.grow(4 + n_new)
    after = linear(inputs)
    torch.testing.assert_close(after[:, :4], before)
    assert torch.equal(after.argmax(dim=1), before.argmax(dim=1))
    torch.testing.assert_close(after[:, 4:], before.mean(dim=1, keepdim=True).expand(-1, n_new))


def test_growing_to_the_same_size_changes_nothing() -> None:
    linear, embedding = GrowingLinear(2, 3), GrowingEmbedding(3, 2)
    linear.grow(3)
    embedding.grow(3)
    assert len(list(linear.parameters())) == 2 and len(list(embedding.parameters())) == 1


def step(layer: GrowingLinear, optimizer: Adam, inputs: Tensor) -> None:
    layer.zero_grad()
    layer(inputs).square().sum().backward()
    for name, parameter in layer.named_parameters():
        assert parameter.grad is not None
        new, _ = optimizer((1, name), parameter.detach().numpy(), parameter.grad.numpy())
        parameter.data.copy_(torch.from_numpy(new))


def test_new_rows_change_nothing_in_the_optimization_of_old_rows() -> None:
    inputs = torch.randn(8, 2)
    alone, grown = GrowingLinear(2, 3), GrowingLinear(2, 3)
    grown.load_state_dict(alone.state_dict())
    optimizers = Adam(0.01), Adam(0.01)
    for i in range(6):
        if i == 3:
            grown.grow(5)
        for layer, optimizer in zip((alone, grown), optimizers, strict=True):
            step(layer, optimizer, inputs)
    numpy.testing.assert_allclose(
        grown.joined("weight")[:3].detach(), alone.weight.detach(), rtol=1e-5
    )


def test_new_outputs_can_be_the_mean_of_some() -> None:
    layer = GrowingLinear(3, 4)
    inputs = torch.randn(5, 3)
    before = layer(inputs)
    layer.grow(6, [[0, 1], [2, 3]])
    after = layer(inputs)
    assert_close(after[:, :4], before)
    assert_close(after[:, 4], before[:, :2].mean(dim=1))
    assert_close(after[:, 5], before[:, 2:].mean(dim=1))

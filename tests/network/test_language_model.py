"""Tests of `language_model.py`: the loss of predicting neighbours."""

import pytest
import torch

from spacy_lstm_tagger.network import language_model
from spacy_lstm_tagger.network.language_model import NeighbourPredictor

WIDTH = 16


@pytest.mark.parametrize("directions", [1, 2])
@pytest.mark.parametrize("cutoffs", [(1000,), (2, 4)])
def test_loss_is_summed_over_all_neighbours_in_the_same_text(
    directions: int, cutoffs: tuple[int, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(language_model, "CUTOFFS", cutoffs)
    torch.manual_seed(0)
    network = NeighbourPredictor(7, WIDTH, directions)
    vectors, words = torch.randn(5, 3 * WIDTH), torch.tensor([3, 0, 6, 1, 1])
    is_followed = torch.tensor([True, True, False, True, False])
    pairs = [(0, 0, 1), (0, 1, 2), (0, 3, 4), (1, 1, 0), (1, 2, 1), (1, 4, 3)]
    expected = 0.0
    for direction, known, target in pairs:
        if direction < directions:
            hidden = vectors[known, direction * WIDTH : (direction + 1) * WIDTH]
            log_p = network.outputs[direction].log_prob(hidden[None])[0].detach()
            expected -= float(log_p[words[target]])
    assert network(vectors, words, is_followed).item() == pytest.approx(expected, rel=1e-5)


@pytest.mark.parametrize("n_tokens", [0, 1, 3])
def test_texts_of_one_word_have_no_loss(n_tokens: int) -> None:
    vectors = torch.ones(n_tokens, 3 * WIDTH, requires_grad=True)
    words, is_followed = torch.zeros(n_tokens, dtype=torch.int64), torch.zeros(n_tokens) > 0
    loss = NeighbourPredictor(7, WIDTH, 2)(vectors, words, is_followed)
    loss.backward()
    assert loss.tolist() == [0]
    assert vectors.grad is not None and not vectors.grad.any()

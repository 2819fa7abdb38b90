"""Tests of `shim.py`: gradients, optimizers, averages, copies."""

import copy
import pickle
from collections.abc import Callable
from typing import Any

import numpy
import pytest
import torch
from spacy.tokens import Doc
from thinc.api import SGD, Adam, Linear, Model, set_dropout_rate
from torch import Tensor, nn

from spacy_lstm_tagger.model.architectures import LSTMTagger, LSTMTok2Vec
from spacy_lstm_tagger.model.shim import NetworkShim, has_network, is_tagger, network_of
from spacy_lstm_tagger.model.types import DocModel
from spacy_lstm_tagger.prediction.config import TaggerConfig

MakeModel = Callable[..., DocModel]
Function = Callable[..., Any]

COPIES: list[Callable[[Model], Model]] = [
    lambda model: model.copy(),
    copy.deepcopy,
    lambda model: pickle.loads(pickle.dumps(model)),
]


def parameters_of(model: Model) -> dict[str, nn.Parameter]:
    return dict(network_of(model).network.named_parameters())


def gradients_of(model: Model) -> dict[str, Tensor]:
    return {name: parameter.grad.clone() for name, parameter in parameters_of(model).items()}


def moved(model: Model, steps: dict[str, Tensor], by: float) -> Model:
    """Move the parameters of a model some steps on."""
    for name, parameter in parameters_of(model).items():
        parameter.data += by * steps[name]
    return model


@pytest.mark.parametrize("architecture", [LSTMTagger, LSTMTok2Vec])
@pytest.mark.parametrize("dropout", [0.0, 0.5])
def test_gradients_equal_finite_differences(
    make_model: MakeModel,
    train_step: Function,
    docs: list[Doc],
    architecture: Callable,
    dropout: float,
    variant: dict[str, Any],
) -> None:
    model = make_model(architecture, **{"window_length": 3, **variant})
    set_dropout_rate(model, dropout)
    network = network_of(model).network.double()
    for layer in network.modules():
        if isinstance(layer, nn.Linear):
            layer.register_forward_pre_hook(lambda _, inputs: (inputs[0].double(),))
    train_step(model, docs)
    gradients = gradients_of(model)
    for _ in range(3):
        steps = {name: 1e-6 * torch.randn_like(value) for name, value in gradients.items()}
        below, above = (train_step(moved(model, steps, by), docs)[0] for by in (-1, 2))
        moved(model, steps, -1)
        expected = sum(float((gradients[name] * step).sum()) for name, step in steps.items())
        assert (above - below) / 2 == pytest.approx(expected, rel=1e-5)


def test_gradients_of_batches_add_up(
    make_model: MakeModel, train_step: Function, docs: list[Doc]
) -> None:
    model = make_model(window_length=3)
    parts = []
    for batch in (docs[:2], docs[2:]):
        train_step(model, batch)
        parts.append(gradients_of(model))
        network_of(model).network.zero_grad()
    for batch in (docs[:2], docs[2:]):
        train_step(model, batch)
    for name, gradient in gradients_of(model).items():
        torch.testing.assert_close(gradient, parts[0][name] + parts[1][name])


def test_prediction_between_forward_and_backward_changes_no_gradient(
    make_model: MakeModel, train_step: Function, docs: list[Doc]
) -> None:
    model = make_model()
    train_step(model, docs)
    expected = gradients_of(model)
    network_of(model).network.zero_grad()
    torch.manual_seed(0)
    _, backprop = model.begin_update(docs)
    _, dY = train_step(model.copy(), docs)
    model.predict(docs[::-1])
    backprop(dY)
    found = gradients_of(model)
    assert all(torch.equal(found[name], gradient) for name, gradient in expected.items())


@pytest.mark.parametrize("learn_rate", [0.1, 0.5])
def test_finish_update_takes_one_step_of_the_optimizer(
    make_model: MakeModel, train_step: Function, docs: list[Doc], learn_rate: float
) -> None:
    model = make_model()
    train_step(model, docs)
    before = {name: value.detach().clone() for name, value in parameters_of(model).items()}
    expected = {name: before[name] - learn_rate * g for name, g in gradients_of(model).items()}
    model.finish_update(SGD(learn_rate, grad_clip=0.0))
    found = {name: value.detach() for name, value in parameters_of(model).items()}
    assert not any(torch.equal(value, before[name]) for name, value in found.items())
    torch.testing.assert_close(found, expected)


def test_finish_update_clears_gradients(
    make_model: MakeModel, update: Function, weight_lists: Function, docs: list[Doc]
) -> None:
    model, optimizer = make_model(), SGD(0.1)
    update(model, docs, optimizer)
    once = weight_lists(model)
    model.finish_update(optimizer)
    assert weight_lists(model) == once
    assert all(value.grad is None for value in parameters_of(model).values())


def test_finish_update_changes_parameters_in_place(
    make_model: MakeModel, update: Function, docs: list[Doc]
) -> None:
    model = make_model()
    before = {name: (id(v), v.data_ptr()) for name, v in parameters_of(model).items()}
    update(model, docs, Adam(0.1))
    assert {name: (id(v), v.data_ptr()) for name, v in parameters_of(model).items()} == before


def test_a_batch_without_tokens_trains_nothing(
    make_model: MakeModel, update: Function, weight_lists: Function, docs: list[Doc]
) -> None:
    model = make_model()
    before = weight_lists(model)
    update(model, [docs[1], docs[1]], Adam(0.1, L2=0.1))
    assert weight_lists(model) == before


def test_averages_replace_the_weights_for_a_while(
    make_model: MakeModel, update: Function, weight_lists: Function, docs: list[Doc]
) -> None:
    model, optimizer = make_model(), Adam(0.1, use_averages=True)
    update(model, docs, optimizer, 5)
    trained, scores = weight_lists(model), model.predict(docs)[0]
    with model.use_params(optimizer.averages):
        for name, values in weight_lists(model).items():
            assert values == optimizer.averages[model.shims[0].id, name].tolist()
            assert values != trained[name]
        assert (model.predict(docs)[0] != scores).any()
    assert weight_lists(model) == trained
    assert model.predict(docs)[0].tolist() == scores.tolist()


def test_averages_are_those_of_all_weights_so_far(
    make_model: MakeModel, update: Function, docs: list[Doc]
) -> None:
    model, optimizer = make_model(), Adam(0.1, use_averages=True)
    averages: dict[str, Tensor] = {}
    for t in range(1, 6):
        update(model, docs, optimizer)
        decay = (1 + t) / (10 + t)  # as Thinc's optimizer weighs the first of them
        for name, value in parameters_of(model).items():
            old = averages.get(name, torch.zeros_like(value))
            averages[name] = decay * old + (1 - decay) * value.detach()
    with model.use_params(optimizer.averages):
        found = {name: value.detach() for name, value in parameters_of(model).items()}
        torch.testing.assert_close(found, averages)


def test_the_weights_return_after_an_exception(
    make_model: MakeModel, update: Function, weight_lists: Function, docs: list[Doc]
) -> None:
    model, optimizer = make_model(), Adam(0.1, use_averages=True)
    update(model, docs, optimizer, 3)
    trained = weight_lists(model)
    with pytest.raises(KeyError), model.use_params(optimizer.averages):
        raise KeyError
    assert weight_lists(model) == trained


def test_the_weights_return_after_averages_that_do_not_fit(
    make_model: MakeModel, weight_lists: Function
) -> None:
    model = make_model()
    trained, shim_id = weight_lists(model), model.shims[0].id
    averages = {(shim_id, name): numpy.zeros_like(values) for name, values in trained.items()}
    averages[shim_id, "output.weight"] = numpy.zeros((99, 99))
    with pytest.raises(RuntimeError), model.use_params(averages):
        pass
    assert weight_lists(model) == trained


def test_averages_of_another_model_change_nothing(
    make_model: MakeModel, update: Function, weight_lists: Function, docs: list[Doc]
) -> None:
    model, other, optimizer = make_model(), make_model(), Adam(0.1, use_averages=True)
    update(other, docs, optimizer, 3)
    before = weight_lists(model)
    with model.use_params(optimizer.averages):
        assert weight_lists(model) == before


def test_only_the_given_parameters_are_replaced(
    make_model: MakeModel, weight_lists: Function
) -> None:
    model = make_model()
    before, shim_id = weight_lists(model), model.shims[0].id
    with model.use_params({(shim_id, "output.bias"): numpy.ones(3, "float32")}):
        assert weight_lists(model) == {**before, "output.bias": [1.0] * 3}
    assert weight_lists(model) == before


def test_parameters_can_be_replaced_before_there_is_a_network(widths: dict[str, int]) -> None:
    shim = NetworkShim(TaggerConfig(**widths))
    with shim.use_params({(shim.id, "output.bias"): numpy.ones(3)}):
        assert shim.is_empty


@pytest.mark.parametrize("duplicate", COPIES)
def test_a_copy_has_the_same_weights_and_its_own_id(
    make_model: MakeModel,
    weight_lists: Function,
    docs: list[Doc],
    duplicate: Callable[[Model], Model],
) -> None:
    model = make_model()
    copies = [duplicate(model), duplicate(model), duplicate(duplicate(model))]
    assert len({one.shims[0].id for one in [model, *copies]}) == 4
    assert all(weight_lists(one) == weight_lists(model) for one in copies)
    assert all(one.predict(docs)[0].tolist() == model.predict(docs)[0].tolist() for one in copies)


@pytest.mark.parametrize("duplicate", COPIES)
def test_a_copy_is_optimized_separately(
    make_model: MakeModel,
    update: Function,
    weight_lists: Function,
    docs: list[Doc],
    duplicate: Callable[[Model], Model],
) -> None:
    model, optimizer = make_model(), Adam(0.1, use_averages=True)
    update(model, docs, optimizer, 3)
    trained = weight_lists(model)
    one, other = duplicate(model), duplicate(model)
    update(one, docs, optimizer, 2)
    update(other, docs, Adam(0.1, use_averages=True), 2)
    assert weight_lists(model) == trained
    assert weight_lists(one) == weight_lists(other)
    assert weight_lists(one) != trained


@pytest.mark.parametrize("crf", [False, True])
def test_a_model_that_is_initialized_again_is_optimized_afresh(
    make_model: MakeModel, make_docs: Function, docs: list[Doc], crf: bool
) -> None:
    """Also by the optimizer that trained a network of other sizes."""
    model, optimizer = make_model(crf=crf), Adam(0.1, use_averages=True)
    for some in (make_docs("a wug"), docs):
        model.initialize(X=some, Y=[numpy.zeros((len(doc), 3), "float32") for doc in some])
        for _ in range(2):
            probabilities, backprop = model.begin_update(some)
            backprop(probabilities)
            model.finish_update(optimizer)
        with model.use_params(optimizer.averages):
            assert numpy.isfinite(numpy.concatenate(model.predict(some))).all()


@pytest.mark.parametrize("architecture", [LSTMTagger, LSTMTok2Vec])
def test_without_a_network_nothing_runs(
    docs: list[Doc], widths: dict[str, int], architecture: Callable
) -> None:
    model = architecture(**widths)
    for run in (model.predict, model.begin_update):
        with pytest.raises(ValueError, match="initialize"):
            run(docs)


@pytest.mark.parametrize("docs_at", [slice(0, 1), slice(0, 4)])
def test_dropout_is_used_in_training_only(
    make_model: MakeModel, docs: list[Doc], docs_at: slice
) -> None:
    model, batch = make_model(), docs[docs_at]
    expected = model.predict(batch)[0]
    set_dropout_rate(model, 0.5)
    first, second = (model.begin_update(batch)[0][0] for _ in range(2))
    assert (first != second).any()
    assert model.predict(batch)[0].tolist() == expected.tolist()


def test_models_are_told_apart_by_their_networks(make_model: MakeModel) -> None:
    tagger, encoder, crf, other = LSTMTagger(), LSTMTok2Vec(), LSTMTagger(crf=True), Linear()
    assert list(map(has_network, (tagger, encoder, crf, other))) == [True, True, False, False]
    assert list(map(is_tagger, (tagger, encoder, crf, other))) == [True, False, False, False]
    assert network_of(encoder) is encoder.shims[0]
    with pytest.raises(ValueError, match="'linear' is no LSTM encoder or tagger"):
        network_of(other)

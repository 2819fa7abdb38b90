"""The CRF as a Thinc layer over a model that scores each label by itself.

Of any model, with a CRF or without, some sequences of labels can be excluded: see `constrain`.
"""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy
from spacy.tokens import Doc
from thinc.api import Model, to_categorical, to_numpy, torch2xp, xp2torch
from thinc.util import get_torch_default_device

from ..prediction.crf import k_best, log_marginals, viterbi
from .compat import crf, require_torch, runtime
from .shim import resizing
from .types import Bools1d, Bools2d, DocModel, Floats2d, Ints1d
from .windows import cut, lengths_of
from .word_types import WordTypes

IS_CRF = "is_crf"  # an attribute of the model; `Model.copy` would lose a reference
PAIRS = "allowed_pairs"  # an attribute, too: what `constrain` was given
TRAINING_WINDOW = 32  # tokens that are one sequence in training; many side by side are fast


def with_crf(emitter: DocModel) -> DocModel:
    """Build a linear-chain CRF over the scores of another model.

    In training it returns marginal probabilities, and takes the gradient of the loss with respect
    to their logarithms. So its objective is the product of the gold labels' marginals instead of
    the likelihood of their sequence. Both were equally accurate (UD English EWT, XPOS, 94.79 and
    94.79; French Sequoia, UPOS, 98.00 and 97.97; means of three seeds), and labels that are
    missing, denied or smoothed mean the same as without a CRF. In prediction it returns 1 for the
    labels of the best sequence (Viterbi), and 0 for the others.

    emitter (Model[list[Doc], list[Floats2d]]): Returns scores, in training as in prediction.
    RETURNS (Model[list[Doc], list[Floats2d]]): The model.
    """
    return Model(
        "crf",
        forward,
        init=init,
        layers=[emitter],
        dims={"nO": emitter.maybe_get_dim("nO")},
        params={"transitions": None},
        attrs={"resize_output": resize_output, IS_CRF: True},
    )


def is_crf(model: DocModel) -> bool:
    """Return whether a model is a CRF over an emitter."""
    return IS_CRF in model.attrs


def emitter_of(model: DocModel) -> DocModel:
    """Return the model that scores each label by itself: the emitter of a CRF, or the model."""
    return model.layers[0] if is_crf(model) else model


def constrain(model: DocModel, pairs: Bools2d | None) -> None:
    """Exclude sequences of labels: their probability is zero, in training (if the model is a CRF)
    and in prediction.

    model (Model[list[Doc], list[Floats2d]]): The model, a CRF or another one.
    pairs (NDArray[bool] | None): (labels + 1, labels + 1) whether label j - 1 can follow label
        i - 1; index 0 is the boundary of a Doc. It can have labels that the model is yet to get.
        None to exclude nothing.
    """
    if pairs is not None or PAIRS in model.attrs:
        model.attrs[PAIRS] = pairs


def pairs_of(model: DocModel) -> Bools2d | None:
    """Return the pairs of labels that `constrain` was given."""
    return model.attrs.get(PAIRS)


def joins_labels(model: DocModel) -> bool:
    """Return whether the labels of a Doc depend on each other, so one needs the best sequence."""
    return is_crf(model) or pairs_of(model) is not None


def forward(
    model: DocModel, docs: list[Doc], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Doc]]]:
    """Score the labels of each word, given its neighbours; whitespace is left out."""
    ops = model.ops
    Y, backprop_emitter = emitter_of(model)(docs, is_train)
    is_word = WordTypes(docs).is_word if docs else numpy.zeros(0, dtype=bool)
    if not is_train:
        return _one_hot(model, Y, is_word), lambda dY: []
    lengths = lengths_of(docs, is_word)
    if not lengths.any():
        return Y, backprop_emitter
    torch, device_type = require_torch(), get_torch_default_device().type
    with runtime.training(device_type):
        emissions = xp2torch(ops.flatten(Y), requires_grad=True)
        transitions = xp2torch(transitions_of(model), requires_grad=True)
        words = torch.from_numpy(numpy.flatnonzero(is_word)).to(emissions.device)
        windows = torch.from_numpy(cut(lengths, TRAINING_WINDOW)[1]).to(emissions.device)
        allowed, between, pairs = emissions[words], transitions, pairs_of(model)
        if pairs is not None:
            exclusions = map(torch.from_numpy, _exclusions(pairs, lengths, model.get_dim("nO")))
            at_words, at_pairs = (scores.to(emissions.device) for scores in exclusions)
            allowed, between = allowed + at_words, between + at_pairs
        marginals = crf.log_marginals(allowed, windows, between)
        of_words = marginals.detach().softmax(dim=1)
        probabilities = torch.zeros_like(emissions)
        probabilities[words] = of_words

    def backprop(dY: list[Floats2d]) -> list[Doc]:
        with runtime.training(device_type):
            gradient = xp2torch(ops.flatten(dY))[words]
            # What label smoothing or a teacher expects of excluded labels is left out.
            excluded = marginals.detach() == -torch.inf
            left_out = gradient.masked_fill(~excluded, 0.0).sum(dim=1, keepdim=True)
            gradient = (gradient + of_words * left_out).masked_fill(excluded, 0.0)
            marginals.backward(gradient)
        if transitions.grad is not None:  # None if all sequences have length 1
            _add_gradient(model, torch2xp(transitions.grad))
        return backprop_emitter(_unflatten(model, torch2xp(emissions.grad), _lengths(Y)))

    return _unflatten(model, torch2xp(probabilities), _lengths(Y)), backprop


def _one_hot(model: DocModel, emissions: list[Floats2d], is_word: Bools1d) -> list[Floats2d]:
    """Return (tokens, labels) for each Doc: 1 for the labels of the best sequence of its words."""
    ops, lengths = model.ops, _lengths(emissions)
    by_doc = [ops.asarray(words) for words in numpy.split(is_word, lengths.cumsum())[:-1]]
    paths = best_path(model, [Y[words] for Y, words in zip(emissions, by_doc, strict=True)])
    one_hot = [ops.alloc2f(*scores.shape) for scores in emissions]
    for rows, words, path in zip(one_hot, by_doc, paths, strict=True):
        rows[words] = ops.asarray2f(to_categorical(path, rows.shape[1]))
    return one_hot


def init(model: DocModel, X: list[Doc] | None = None, Y: list[Floats2d] | None = None) -> None:
    """Initialize the emitter, and all transitions with zero."""
    emitter_of(model).initialize(X=X, Y=Y)
    if Y is not None:
        model.set_dim("nO", Y[0].shape[1])
    if model.has_dim("nO"):
        n_labels = model.get_dim("nO")
        for name, _ in list(_blocks(model)):
            model.set_param(name, None)
        model.id = Model("", forward).id  # optimizers must not know it, if it was trained before
        _set_blocks(model, {"transitions": model.ops.alloc2f(n_labels, n_labels)})


def best_path(model: DocModel, emissions: list[Floats2d]) -> list[Ints1d]:
    """Find the best sequence of labels of each Doc, read as a whole (Viterbi).

    model (Model[list[Doc], list[Floats2d]]): The model. Without a CRF, all transitions that are
        not excluded have the score zero.
    emissions (list[Floats2d]): (tokens, labels) the emitter's scores for each Doc; -inf for a label
        that is excluded.
    RETURNS (list[Ints1d]): (tokens,) the labels of each Doc.
    """
    lengths = _lengths(emissions)
    if not lengths.any():
        return [numpy.zeros(0, dtype="int64") for _ in emissions]
    labels = viterbi(*_chain(model, emissions))
    return numpy.split(labels, lengths.cumsum()[:-1])


def marginal_scores(model: DocModel, emissions: list[Floats2d]) -> list[Floats2d]:
    """Score each label by the sum over all sequences of labels that have it.

    Arguments as for `best_path`.
    RETURNS (list[Floats2d]): (tokens, labels) for each Doc; their softmax is the marginal
        probability.
    """
    lengths = _lengths(emissions)
    if not lengths.any():
        return emissions
    return _unflatten(model, log_marginals(*_chain(model, emissions)), lengths)


def best_paths(model: DocModel, emissions: Floats2d, k: int) -> list[tuple[list[int], float]]:
    """Find the k best sequences of labels of one Doc, read as a whole.

    model (Model[list[Doc], list[Floats2d]]): As for `best_path`.
    emissions (Floats2d): (tokens, labels) the emitter's scores, for at least one token.
    k (int): Number of sequences, at most as many as there are.
    RETURNS (list[tuple[list[int], float]]): The label of each token, and the logarithm of the
        sequence's probability; the best first.
    """
    scores, _, transitions = _chain(model, [emissions])
    sequences, logs = k_best(scores.astype("float64"), transitions.astype("float64"), k)
    return list(zip(sequences.tolist(), logs.tolist(), strict=True))


def resize_output(
    model: DocModel, n_labels: int, peers: Sequence[Sequence[int]] | None = None
) -> DocModel:
    """Add labels at the end. Their scores are the mean of the other labels' scores, and so are
    their transitions; so the best sequence stays the best.

    model (Model[list[Doc], list[Floats2d]]): What `with_crf` returned.
    n_labels (int): Number of labels, with the new ones.
    peers (Sequence[Sequence[int]] | None): (new labels, peers) the labels whose mean each new label
        is, if it isn't that of all labels: where sequences are excluded, those that can be where
        it can be. The first peers of all new labels belong together, and so do the second ones.

    The new transitions are a separate parameter, so optimizers have nothing to resize.
    """
    with resizing():
        emitter = emitter_of(model)
        emitter.attrs["resize_output"](emitter, n_labels, peers)
        old = to_numpy(transitions_of(model))
        n_new = n_labels - len(old)
        if n_new and peers is not None:
            ids = numpy.asarray(peers)
            there, back = old[:, ids].mean(axis=2), old[ids].mean(axis=1)
            between = old[ids[:, None], ids].mean(axis=2)
        elif n_new:
            there = numpy.repeat(old.mean(axis=1, keepdims=True), n_new, axis=1)
            back = numpy.repeat(old.mean(axis=0, keepdims=True), n_new, axis=0)
            between = numpy.full((n_new, n_new), old.mean(), dtype="float32")
        if n_new:
            added: Any = numpy.block([[numpy.zeros_like(old), there], [back, between]])
            blocks = {f"transitions{n_labels}": model.ops.asarray2f(added)}
            _set_blocks(model, {**dict(_blocks(model)), **blocks})
    return model


def join_transitions(model: DocModel) -> None:
    """Make one parameter of all transitions of a CRF, which must not be in training."""
    _set_blocks(model, {"transitions": transitions_of(model)})


def transitions_of(model: DocModel) -> Floats2d:
    """Return (labels, labels) the score of going from one label to another."""
    with resizing():
        n_labels = model.get_dim("nO")
        transitions = model.ops.alloc2f(n_labels, n_labels)
        for _, block in _blocks(model):
            transitions[: len(block), : len(block)] += block
        return transitions


def _blocks(model: DocModel) -> Iterator[tuple[str, Floats2d]]:
    """Yield the parameters that are added up to the transitions. The first has those between the
    first labels. Each other one belongs to a resize: it has the transitions from and to the labels
    that were added, and zeros elsewhere.
    """
    return ((name, model.get_param(name)) for name in model.param_names if model.has_param(name))


def _set_blocks(model: DocModel, blocks: dict[str, Floats2d]) -> None:
    """Replace the parameters. Those that stay the same keep their gradients."""
    with resizing():
        old = dict(_blocks(model))
        for name in old:
            model.set_param(name, None)  # without parameters, the number of labels can change
        model.set_dim("nO", max(map(len, blocks.values())), force=True)
        for name, values in blocks.items():
            model.set_param(name, values)
            if values is not old.get(name) and model.has_grad(name):
                model.set_grad(name, model.ops.xp.zeros_like(values))


def _add_gradient(model: DocModel, gradient: Floats2d) -> None:
    n_before = 0
    for name, block in list(_blocks(model)):
        n_labels = len(block)
        of_block = gradient[:n_labels, :n_labels].copy()
        of_block[:n_before, :n_before] = 0
        if of_block.shape == block.shape:  # not added after the forward pass
            model.inc_grad(name, of_block)
        n_before = n_labels


def _lengths(emissions: list[Floats2d]) -> Ints1d:
    return numpy.asarray([len(scores) for scores in emissions], dtype="int64")


def _chain(model: DocModel, emissions: list[Floats2d]) -> tuple[Floats2d, Ints1d, Floats2d]:
    """Return emissions, lengths and transitions, as `prediction/crf.py` reads them."""
    flat, lengths = to_numpy(model.ops.flatten(emissions)), _lengths(emissions)
    n_labels = flat.shape[1]  # fewer than now, if labels were added meanwhile
    transitions = numpy.zeros((n_labels, n_labels), dtype="float32")
    if is_crf(model):
        transitions += to_numpy(transitions_of(model))[:n_labels, :n_labels]
    pairs = pairs_of(model)
    if pairs is not None:
        at_tokens, between = _exclusions(pairs, lengths, n_labels)
        flat, transitions = flat + at_tokens, transitions + between
    return flat, lengths[lengths > 0], transitions


def _exclusions(pairs: Bools2d, lengths: Ints1d, n_labels: int) -> tuple[Floats2d, Floats2d]:
    """Return what excludes pairs of labels: (tokens, labels) and (labels, labels) scores to be
    added, 0 or -inf. Excluded at the boundaries of a Doc are labels of its first and last token.
    """
    scores = numpy.where(pairs[: n_labels + 1, : n_labels + 1], 0, -numpy.inf).astype("float32")
    at_tokens = numpy.zeros((int(lengths.sum()), n_labels), dtype="float32")
    ends = lengths.cumsum()[lengths > 0]
    at_tokens[ends - lengths[lengths > 0]] += scores[0, 1:]
    at_tokens[ends - 1] += scores[1:, 0]
    return at_tokens, scores[1:, 1:]


def _unflatten(model: DocModel, values: Any, lengths: Ints1d) -> list[Floats2d]:
    ops = model.ops
    return ops.unflatten(ops.asarray2f(values), ops.asarray1i(lengths.tolist()))

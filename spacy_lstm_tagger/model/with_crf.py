"""Scores in, scores that know their neighbours out: the CRF as a layer around a Thinc model."""

from collections.abc import Callable
from typing import Any, cast

import numpy
from spacy.tokens import Doc
from thinc.api import Model, to_numpy, torch2xp, xp2torch
from thinc.types import Floats2d

from ..prediction.crf import k_best, log_marginals, max_marginals
from ..prediction.inputs import Ints1d, Windows
from .windows import cut, split

DocModel = Model[list[Doc], list[Floats2d]]

TRAINING_WINDOW = 32  # tokens that are one sequence in training; many side by side are fast
WINDOW, CONTEXT = 256, 32  # the same in prediction, where longer Docs are cut
MAX_WINDOWS = 128  # that prediction reads side by side


def with_crf(emitter: DocModel) -> DocModel:
    """Build a linear-chain CRF over the scores that another model gives each label by itself.

    While it is trained it returns the marginal probabilities, and takes the gradient of the loss
    with respect to their logarithms. So its objective is the product of the marginals of the gold
    labels, not the likelihood of their sequence: both were equally accurate (UD English EWT, XPOS,
    94.79 and 94.79; French Sequoia, UPOS, 98.00 and 97.97; means of three seeds), and labels that
    are missing, denied or smoothed mean here what they mean without a CRF. When it predicts, it
    returns a score for each label, the best of which is that of the best sequence (Viterbi).

    emitter (Model[list[Doc], list[Floats2d]]): Returns scores, in training as in prediction.
    RETURNS (Model[list[Doc], list[Floats2d]]): The model.
    """
    nO = emitter.get_dim("nO") if emitter.has_dim("nO") else None
    return Model(
        "crf", forward, init=init, layers=[emitter], dims={"nO": nO}, params={"transitions": None}
    )


def is_crf(model: DocModel) -> bool:
    """Return whether a model is what `with_crf` returns."""
    return model.has_param("transitions") is not False


def forward(
    model: DocModel, docs: list[Doc], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Doc]]]:
    """Score the labels of each token, given its neighbours."""
    ops = model.ops
    Y, backprop_emitter = model.layers[0](docs, is_train)
    if not is_train:
        return decode(model, Y, best=True), lambda dY: []
    lengths = numpy.asarray([len(doc) for doc in docs], dtype="int64")
    if not lengths.any():
        return Y, backprop_emitter
    import torch

    from ..network import crf
    from ..network.threads import one_thread

    emissions = xp2torch(ops.flatten(Y), requires_grad=True)
    transitions = xp2torch(model.get_param("transitions"), requires_grad=True)
    windows = torch.from_numpy(cut(lengths, TRAINING_WINDOW)[1]).to(emissions.device)
    with one_thread():
        marginals = crf.log_marginals(emissions, windows, transitions)
        probabilities = marginals.detach().softmax(dim=1)

    def backprop(dY: list[Floats2d]) -> list[Doc]:
        with one_thread():
            marginals.backward(xp2torch(ops.flatten(dY)))
        model.inc_grad("transitions", cast(Floats2d, torch2xp(cast(Any, transitions.grad))))
        return backprop_emitter(_unflatten(model, torch2xp(cast(Any, emissions.grad)), lengths))

    return _unflatten(model, torch2xp(probabilities), lengths), backprop


def decode(model: DocModel, emissions: list[Floats2d], *, best: bool) -> list[Floats2d]:
    """Score each label by the sequences that have it.

    model (Model[list[Doc], list[Floats2d]]): What `with_crf` returned.
    emissions (list[Floats2d]): (tokens, labels) the scores of its emitter for each Doc; -inf for
        a label that is excluded.
    best (bool): Whether to take the best of these sequences (Viterbi), or the sum of all.
    RETURNS (list[Floats2d]): (tokens, labels) for each Doc, plus a constant for each token. Of
        the sum of all, the softmax is the marginal probability.
    """
    lengths = numpy.asarray([len(scores) for scores in emissions], dtype="int64")
    if not lengths.any():
        return emissions
    scores = to_numpy(model.ops.flatten(emissions))
    transitions = to_numpy(model.get_param("transitions"))
    decoded = numpy.empty_like(scores)
    score = max_marginals if best else log_marginals
    for tokens, (seen, windows, kept) in split(
        Windows(*cut(lengths, WINDOW, CONTEXT)), MAX_WINDOWS
    ):
        decoded[tokens] = score(scores[seen], windows, transitions)[kept]
    return _unflatten(model, decoded, lengths)


def best_paths(model: DocModel, emissions: Floats2d, k: int) -> list[tuple[list[int], float]]:
    """Find the k best sequences of labels of one Doc, read as a whole.

    model (Model[list[Doc], list[Floats2d]]): What `with_crf` returned.
    emissions (Floats2d): (tokens, labels) the scores of its emitter, for one token at least.
    k (int): How many sequences; no more than there are.
    RETURNS (list[tuple[list[int], float]]): The label of each token, and the logarithm of the
        sequence's probability; the best first.
    """
    transitions = to_numpy(model.get_param("transitions")).astype("float64")
    sequences, scores = k_best(to_numpy(emissions).astype("float64"), transitions, k)
    return list(zip(sequences.tolist(), scores.tolist(), strict=True))


def init(model: DocModel, X: list[Doc] | None = None, Y: list[Floats2d] | None = None) -> None:
    """Initialize the emitter, and the transitions with zeros: at first all are alike."""
    emitter = model.layers[0]
    emitter.initialize(X=X, Y=Y)
    if Y is not None:
        model.set_dim("nO", Y[0].shape[1])
    if model.has_dim("nO"):
        n_labels = model.get_dim("nO")
        model.set_param("transitions", model.ops.alloc2f(n_labels, n_labels))


def _unflatten(model: DocModel, values: Any, lengths: Ints1d) -> list[Floats2d]:
    ops = model.ops
    by_doc = ops.unflatten(ops.asarray2f(values), ops.asarray1i(lengths.tolist()))
    return cast(list[Floats2d], by_doc)

"""Decoding: the best labels, the best sequences of labels, and probabilities.

Emissions are the scores of each label of each token, without those of its neighbours. A CRF scores
sequences of labels; with any other model, each token is decided independently.
"""

from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import accumulate, count, islice
from math import prod
from typing import Any, NamedTuple, cast

import numpy
from spacy.tokens import Doc
from thinc.api import to_numpy
from thinc.types import Floats2d, Ints1d

from ..model.architectures import predict_parts
from ..model.crf import (
    best_path,
    best_paths,
    emitter_of,
    is_crf,
    marginal_scores,
)
from ..model.shim import has_network
from ..model.types import DocModel
from .constraints import Bools2d, Lexicon, labels_of_forms
from .probabilities import check_number

LEAST = 1e-3  # part of a probability that stays where label smoothing explains all of it


class Prediction(NamedTuple):
    """What a component predicts for a batch of Docs.

    labels: The labels of the component.
    label_ids: (tokens,) the index of each token's label, for each Doc.
    probabilities: (tokens, labels) for each Doc; None if they are not stored.
    """

    labels: tuple[str, ...]
    label_ids: list[Ints1d]
    probabilities: list[Floats2d] | None = None


class Labelling(NamedTuple):
    """A label for each token of a Doc.

    labels: The labels.
    log_probability: The logarithm of the probability that all of them are right.
    """

    labels: list[str]
    log_probability: float


def emissions_of(
    model: DocModel, docs: list[Doc], allowed: Bools2d | None = None
) -> list[Floats2d]:
    """Score the labels of each token.

    model (Model[list[Doc], list[Floats2d]]): The model of a tagger.
    docs (list[Doc]): The Docs.
    allowed (NDArray[bool] | None): (tokens, labels) which labels each token of all Docs can have;
        None for any.
    RETURNS (list[Floats2d]): (tokens, labels) for each Doc; their softmax gives probabilities. -inf
        for a label that a token can't have.
    """
    ops = model.ops
    lengths = ops.asarray1i([len(doc) for doc in docs])
    n_labels = model.maybe_get_dim("nO") or 1  # unknown before it is initialized
    emissions = ops.alloc2f(int(lengths.sum()), n_labels, zeros=False)
    for tokens, scores in _emission_parts(model, docs, allowed):
        emissions[ops.asarray(cast(Any, tokens))] = scores
    return ops.unflatten(emissions, lengths)


def _emission_parts(
    model: DocModel, docs: list[Doc], allowed: Bools2d | None
) -> Iterator[tuple[Ints1d, Floats2d]]:
    """Yield emissions in parts, if the model can: the numbers of tokens, counted through all Docs,
    and their emissions. No part is empty.
    """
    n_tokens = sum(map(len, docs))
    if not n_tokens:
        return
    emitter = emitter_of(model)
    ops, xp = model.ops, model.ops.xp
    is_normalized = any(node.attrs.get("softmax_normalize") for node in emitter.walk())
    if has_network(emitter):
        parts = predict_parts(emitter, docs)
    else:
        parts = iter([(numpy.arange(n_tokens), ops.flatten(emitter.predict(docs)))])
    for tokens, scores in parts:
        if is_normalized:
            scores = xp.log(xp.maximum(scores, xp.finfo("float32").tiny))
        if allowed is not None:
            may_be = ops.asarray(cast(Any, allowed[tokens]))
            scores = xp.where(may_be, scores, -xp.inf).astype("float32")
        yield tokens, scores


def predict_labels(
    model: DocModel, docs: list[Doc], allowed: Bools2d | None = None
) -> list[Ints1d]:
    """Find the label of each token, as `best_labels` does. Without a CRF, the scores of all tokens
    are never in memory at once. Arguments: see `emissions_of`.
    """
    if is_crf(model):
        return best_labels(model, emissions_of(model, docs, allowed))
    label_ids: Any = numpy.empty(sum(map(len, docs)), dtype="int64")
    for tokens, scores in _emission_parts(model, docs, allowed):
        label_ids[tokens] = to_numpy(scores.argmax(axis=1))
    ends = accumulate(map(len, docs))
    return [label_ids[end - len(doc) : end] for doc, end in zip(docs, ends, strict=True)]


def best_labels(model: DocModel, emissions: list[Floats2d]) -> list[Ints1d]:
    """Find the label of each token: with a CRF, by the best sequence.

    RETURNS (list[Ints1d]): (tokens,) the indices of the labels for each Doc.
    """
    if is_crf(model):
        return cast(list[Ints1d], best_path(model, emissions))
    return [to_numpy(scores.argmax(axis=1)) for scores in emissions]


def probabilities_of(
    model: DocModel, emissions: list[Floats2d], label_smoothing: float
) -> list[Floats2d]:
    """Find the probability of each label of each token: with a CRF, the marginal.

    A model that was trained with label smoothing (Szegedy et al. 2016) gives each wrong label at
    least label_smoothing / (labels - 1), so its probabilities are too low. This is undone: on UD
    English EWT, it halves the calibration error, better than any temperature.

    RETURNS (list[Floats2d]): (tokens, labels) for each Doc; each row's sum is 1.
    """
    if is_crf(model):
        emissions = marginal_scores(model, emissions)
    probabilities = []
    for scores in emissions:
        raw = model.ops.softmax(scores)
        smoothed = label_smoothing / max(1, raw.shape[1] - 1)
        # Labels that were less probable than that become very improbable, in the same order.
        unsmoothed = model.ops.xp.maximum(raw - smoothed, LEAST * raw)
        probabilities.append(to_numpy(unsmoothed / unsmoothed.sum(axis=1, keepdims=True)))
    return probabilities


def best_sequences(
    model: DocModel, emissions: Floats2d, label_smoothing: float, labels: Sequence[str], k: int
) -> list[Labelling]:
    """Find the k most probable sequences of labels for a Doc, which is one sequence. With a CRF,
    label smoothing can't be undone.

    RETURNS (list[Labelling]): The sequences, the best first.
    RAISES: ValueError if k is not a whole number, less than 1, or more than there are sequences.
    """
    n_sequences = prod((emissions > -float("inf")).sum(axis=1).tolist())
    k = check_number("k", k, n_sequences, "sequences of labels")
    if not len(emissions):
        return [Labelling([], 0.0)]
    if is_crf(model):
        sequences: Iterable[tuple[list[int], float]] = best_paths(model, emissions, k)
    else:
        (probabilities,) = probabilities_of(model, [emissions], label_smoothing)
        sequences = islice(_best_choices(probabilities), k)
    return [Labelling([labels[i] for i in label_ids], score) for label_ids, score in sequences]


def label_words(
    model: DocModel,
    labels: Sequence[str],
    lexicon: Lexicon,
    label_smoothing: float,
    words: Sequence[str],
    scores: Floats2d,
) -> list[tuple[str, float]]:
    """Find the label of each word of a stream, and its probability.

    words (Sequence[str]): The words.
    scores (Floats2d): (words, labels)
    """
    allowed: Any = model.ops.asarray(cast(Any, labels_of_forms(words, lexicon, labels)))
    emissions = [model.ops.xp.where(allowed, model.ops.asarray2f(scores), -numpy.inf)]
    (label_ids,) = best_labels(model, emissions)
    (probabilities,) = probabilities_of(model, emissions, label_smoothing)
    return [
        (labels[i], float(row[i])) for i, row in zip(label_ids.tolist(), probabilities, strict=True)
    ]


class Change(NamedTuple):
    """A token that has another label than its best one, and the other tokens that have.

    loss: How much all these changes lower the logarithm of the probability.
    number: A serial number, so that no two changes are equal.
    place: The token's place in the order of the least loss by a change.
    rank: The rank of its label among its labels, from 1 on.
    before: The changes at lower places.
    """

    loss: float
    number: int
    place: int
    rank: int
    before: "Change | None"


def _best_choices(probabilities: Floats2d) -> Iterator[tuple[list[int], float]]:
    """Yield the sequences of labels of independent tokens, the best first, and the logarithms of
    their probabilities. Each sequence is derived from exactly one better one by one change, so the
    next best is always in the heap.
    """
    with numpy.errstate(divide="ignore"):
        scores = numpy.log(cast(Any, probabilities), dtype="float64")
    ranking = numpy.argsort(-scores, axis=1, kind="stable")
    scores = numpy.take_along_axis(scores, ranking, axis=1)
    losses = scores[:, :1] - scores
    best, log_probability = ranking[:, 0].tolist(), float(scores[:, 0].sum())
    yield best, log_probability
    n_tokens, n_labels = losses.shape
    if n_labels == 1:
        return
    order = numpy.argsort(losses[:, 1], kind="stable").tolist()
    numbers = count()
    heap: list[Change] = []

    def push(place: int, rank: int, before: Change | None) -> None:
        if place < n_tokens and rank < n_labels:
            loss = float(losses[order[place], rank]) + (before.loss if before else 0.0)
            if loss < float("inf"):
                heappush(heap, Change(loss, next(numbers), place, rank, before))

    push(0, 1, None)
    while heap:
        last = heappop(heap)
        label_ids, change = list(best), cast("Change | None", last)
        while change:
            token = order[change.place]
            label_ids[token] = int(ranking[token, change.rank])
            change = change.before
        yield label_ids, log_probability - last.loss
        push(last.place, last.rank + 1, last.before)
        push(last.place + 1, 1, last)
        if last.rank == 1:
            push(last.place + 1, 1, last.before)

"""Decoding: the best labels, the best sequences of labels, and probabilities.

Emissions are the scores of each label of each word, without those of its neighbours. A CRF scores
sequences of labels; with any other model, each word is decided independently. Whitespace tokens are
not words: they are left out of sequences, and none of a model's labels is possible for them.
"""

from collections.abc import Iterable, Iterator, Sequence
from heapq import heappop, heappush
from itertools import accumulate, count, islice
from math import prod
from typing import Any, NamedTuple

import numpy
from spacy.attrs import IS_SPACE
from spacy.tokens import Doc
from thinc.api import to_numpy

from ..model.architectures import predict_parts
from ..model.crf import (
    best_path,
    best_paths,
    emitter_of,
    joins_labels,
    marginal_scores,
    pairs_of,
)
from ..model.shim import has_network
from ..model.types import Bools1d, Bools2d, DocModel, Floats2d, Ints1d
from .constraints import Lexicon, labels_of_forms
from .probabilities import check_number

WHITESPACE = -1  # takes the place of the index of a label
MANY = 1e18  # sequences: more are not counted
LEAST = 1e-3  # part of a probability that stays where label smoothing explains all of it


class Prediction(NamedTuple):
    """What a component predicts for a batch of Docs.

    labels: The labels of the component.
    label_ids: (tokens,) the index of each token's label, for each Doc; -1 for whitespace.
    probabilities: (tokens, labels) for each Doc, zeros for whitespace; None if they are not stored.
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


class Emissions(NamedTuple):
    """The emissions of a batch of Docs.

    scores: (words, labels) for each Doc; their softmax gives probabilities. -inf for a label that a
        word can't have.
    is_word: (tokens,) for each Doc, which tokens are words.
    """

    scores: list[Floats2d]
    is_word: list[Bools1d]


def predict(
    model: DocModel,
    docs: list[Doc],
    labels: tuple[str, ...],
    allowed: Bools2d | None = None,
    *,
    label_smoothing: float | None = None,
) -> Prediction:
    """Find the label of each token: with a CRF, by the best sequence. Without a CRF, and if no
    probabilities are wanted, the scores of all tokens are never in memory at once.

    model (Model[list[Doc], list[Floats2d]]): The model of a tagger.
    docs (list[Doc]): The Docs.
    labels (tuple[str, ...]): The labels. Labels that are added meanwhile are left out.
    allowed (Bools2d | None): (tokens, labels) which labels each token of all Docs can have; None
        for any.
    label_smoothing (float | None): The label smoothing of the training; None if no probabilities
        are wanted.
    RETURNS (Prediction): The labels.
    """
    if joins_labels(model) or label_smoothing is not None:
        emissions = emissions_of(model, docs, labels, allowed)
        label_ids = _to_tokens(_best_labels(model, emissions.scores), emissions, WHITESPACE)
        probabilities = None
        if label_smoothing is not None:
            probabilities = probabilities_of(model, emissions, label_smoothing)
        return Prediction(labels, label_ids, probabilities)
    best = numpy.full(sum(map(len, docs)), WHITESPACE, dtype="int64")
    for tokens, scores in _emission_parts(model, docs, len(labels), allowed):
        best[tokens] = to_numpy(scores.argmax(axis=1))
    return Prediction(labels, _split(best, docs))


def emissions_of(
    model: DocModel, docs: list[Doc], labels: Sequence[str], allowed: Bools2d | None = None
) -> Emissions:
    """Score the labels of each word. Arguments: see `predict`.

    RAISES: ValueError if the labels of a Doc's words can't be a sequence that the model allows.
    """
    ops = model.ops
    n_tokens = sum(map(len, docs))
    scores = ops.alloc2f(n_tokens, len(labels) or 1, zeros=False)
    is_word = numpy.zeros(n_tokens, dtype=bool)
    for tokens, part in _emission_parts(model, docs, len(labels), allowed):
        scores[ops.asarray(tokens)] = part
        is_word[tokens] = True
    by_doc = _split(is_word, docs)
    lengths = [len(doc) for doc in docs]
    if not is_word.all():
        scores = scores[ops.asarray(is_word)]
        lengths = [int(words.sum()) for words in by_doc]
    emissions = Emissions(ops.unflatten(scores, ops.asarray1i(lengths)), by_doc)
    pairs = pairs_of(model)
    if pairs is not None and allowed is not None:
        _check_sequences(model, docs, emissions, pairs)
    return emissions


def probabilities_of(
    model: DocModel, emissions: Emissions, label_smoothing: float
) -> list[Floats2d]:
    """Find the probability of each label of each token: with a CRF, the marginal.

    model (Model[list[Doc], list[Floats2d]]): The model of a tagger.
    emissions (Emissions): What `emissions_of` returned.
    label_smoothing (float): The label smoothing of the training.
    RETURNS (list[Floats2d]): (tokens, labels) for each Doc. The sum of a row is 1; 0 for
        whitespace.
    """
    return _to_tokens(_probabilities(model, emissions.scores, label_smoothing), emissions, 0.0)


def best_sequences(
    model: DocModel,
    emissions: Emissions,
    label_smoothing: float,
    labels: Sequence[str],
    k: int,
    space_label: str,
) -> list[Labelling]:
    """Find the k most probable sequences of labels for a Doc, which is one sequence. With a CRF,
    label smoothing can't be undone.

    emissions (Emissions): What `emissions_of` returned for this Doc.
    space_label (str): The label of whitespace.
    RETURNS (list[Labelling]): The sequences, the best first.
    RAISES: ValueError if k is not a whole number, less than 1, or more than there are sequences.
    """
    (scores,), (is_word,) = emissions
    n_sequences = _count_sequences(scores, pairs_of(model))
    k = check_number("k", k, n_sequences, "sequences of labels")
    sequences: Iterable[tuple[list[int], float]] = [([], 0.0)]
    if len(scores) and joins_labels(model):
        sequences = best_paths(model, scores, k)
    elif len(scores):
        (probabilities,) = _probabilities(model, [scores], label_smoothing)
        sequences = islice(_best_choices(probabilities), k)
    found = []
    for label_ids, log_probability in sequences:
        ids = iter(label_ids)
        of_tokens = [labels[next(ids)] if word else space_label for word in is_word]
        found.append(Labelling(of_tokens, log_probability))
    return found


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
    allowed = model.ops.asarray(labels_of_forms(words, lexicon, labels))
    scores = model.ops.asarray2f(scores[:, : len(labels)])
    emissions = [model.ops.xp.where(allowed, scores, -numpy.inf)]
    (label_ids,) = _best_labels(model, emissions)
    (probabilities,) = _probabilities(model, emissions, label_smoothing)
    return [
        (labels[i], float(row[i])) for i, row in zip(label_ids.tolist(), probabilities, strict=True)
    ]


def _emission_parts(
    model: DocModel, docs: list[Doc], n_labels: int, allowed: Bools2d | None
) -> Iterator[tuple[Ints1d, Floats2d]]:
    """Yield emissions in parts, if the model can: the words, numbered through the tokens of all
    Docs, and their emissions. No part is empty.
    """
    if not any(map(len, docs)):
        return
    emitter = emitter_of(model)
    ops, xp = model.ops, model.ops.xp
    is_normalized = any(node.attrs.get("softmax_normalize") for node in emitter.walk())
    for tokens, scores in _scores_of_words(emitter, docs):
        scores = scores[:, :n_labels]
        if is_normalized:
            scores = xp.log(xp.maximum(scores, xp.finfo("float32").tiny))
        if allowed is not None:
            may_be = ops.asarray(allowed[tokens])
            scores = xp.where(may_be, scores, -xp.inf).astype("float32")
        yield tokens, scores


def _scores_of_words(emitter: DocModel, docs: list[Doc]) -> Iterator[tuple[Ints1d, Floats2d]]:
    if has_network(emitter):
        yield from predict_parts(emitter, docs)
        return
    is_space = numpy.concatenate([doc.to_array(IS_SPACE) for doc in docs])
    words = numpy.flatnonzero(is_space == 0)
    if len(words):
        scores = emitter.ops.flatten(emitter.predict(docs))
        yield words, scores if len(words) == len(scores) else scores[emitter.ops.asarray(words)]


def _best_labels(model: DocModel, emissions: list[Floats2d]) -> list[Ints1d]:
    """Return (words,) the index of each word's label, for each Doc."""
    if joins_labels(model):
        return best_path(model, emissions)
    return [to_numpy(scores.argmax(axis=1)) for scores in emissions]


def _probabilities(
    model: DocModel, emissions: list[Floats2d], label_smoothing: float
) -> list[Floats2d]:
    """Return (words, labels) the probability of each label of each word, for each Doc.

    A model that was trained with label smoothing (Szegedy et al. 2016) gives each wrong label at
    least label_smoothing / (labels - 1), so its probabilities are too low. This is undone: on UD
    English EWT, it halves the calibration error, better than any temperature.
    """
    if joins_labels(model):
        emissions = marginal_scores(model, emissions)
    probabilities = []
    for scores in emissions:
        raw = model.ops.softmax(scores)
        smoothed = label_smoothing / max(1, raw.shape[1] - 1)
        # Labels that were less probable than that become very improbable, in the same order.
        unsmoothed = model.ops.xp.maximum(raw - smoothed, LEAST * raw)
        probabilities.append(to_numpy(unsmoothed / unsmoothed.sum(axis=1, keepdims=True)))
    return probabilities


def _check_sequences(
    model: DocModel, docs: list[Doc], emissions: Emissions, pairs: Bools2d
) -> None:
    """Raise a ValueError if the labels that words can have don't fit the pairs that are allowed."""
    with numpy.errstate(invalid="ignore"):
        best = best_path(model, emissions.scores)
    for doc, scores, labels in zip(docs, emissions.scores, best, strict=True):
        path = numpy.concatenate([[0], labels + 1, [0]])
        is_possible = to_numpy(scores)[numpy.arange(len(labels)), labels] > -numpy.inf
        if not (is_possible.all() and pairs[path[:-1], path[1:]].all()):
            raise ValueError(
                f"no sequence of labels is possible for the Doc {doc.text!r:.80}: the labels that "
                "the lexicon or an extension allows its words break the scheme of the labels"
            )


def _count_sequences(scores: Floats2d, pairs: Bools2d | None) -> int:
    """Return how many sequences of labels are possible; if they must be of allowed pairs, only
    roughly where there are very many.
    """
    possible = to_numpy(scores > -numpy.inf)
    if pairs is None or not len(possible):
        return prod(possible.sum(axis=1).tolist())
    n_labels = possible.shape[1]
    begin, between = pairs[0, 1 : n_labels + 1], pairs[1 : n_labels + 1, 1 : n_labels + 1]
    counts = numpy.where(begin, possible[0], 0.0)
    for row in possible[1:]:
        counts = numpy.minimum(counts @ between, MANY) * row
    return int(counts @ pairs[1 : n_labels + 1, 0])


def _split(values: Any, docs: list[Doc]) -> list[Any]:
    """Split (tokens,) values of all Docs."""
    ends = accumulate(map(len, docs))  # faster than numpy.split, for single sentences
    return [values[end - len(doc) : end] for doc, end in zip(docs, ends, strict=True)]


def _to_tokens(values: list[Any], emissions: Emissions, fill: float) -> list[Any]:
    """Return values of the tokens of each Doc, given values of its words."""
    found = []
    for of_words, is_word in zip(values, emissions.is_word, strict=True):
        of_tokens = of_words
        if len(is_word) > len(of_words):
            of_tokens = numpy.full((len(is_word), *of_words.shape[1:]), fill, of_words.dtype)
            of_tokens[is_word] = of_words
        found.append(of_tokens)
    return found


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
        scores = numpy.log(probabilities, dtype="float64")
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
        label_ids: list[int] = list(best)
        change: Change | None = last
        while change:
            token = order[change.place]
            label_ids[token] = int(ranking[token, change.rank])
            change = change.before
        yield label_ids, log_probability - last.loss
        push(last.place, last.rank + 1, last.before)
        push(last.place + 1, 1, last)
        if last.rank == 1:
            push(last.place + 1, 1, last.before)

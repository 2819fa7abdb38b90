"""Docs in, vectors or scores out: how a Thinc model runs its network, and when it makes one."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial
from typing import Any, cast

import numpy
from spacy.tokens import Doc
from thinc.types import Floats2d

from ..prediction.inputs import Ints1d, TypeIds
from .features import by_vocab, forms_of, number_types, type_ids, with_unknown
from .growth import find_news
from .shim import NetworkShim
from .vectors import check_vectors
from .vocabulary import learn_vocabulary
from .windows import split, windows_of
from .with_crf import DocModel

MAX_WINDOWS = 128  # that prediction reads side by side: more would leave the caches
PREDICTION_WINDOW = 8  # in training windows: the context costs a quarter of the time at most


def has_vectors(shim: NetworkShim, docs: Sequence[Doc]) -> bool:
    """Return whether a network reads static vectors; ValueError if those of the Docs don't fit."""
    if shim.cfg["include_static_vectors"]:
        check_vectors(docs, shim.vector_width)
    return shim.cfg["include_static_vectors"]


def types_of(shim: NetworkShim, docs: Sequence[Doc]) -> tuple[Ints1d, Callable[[], TypeIds]]:
    """Return (tokens,) the word type of each token, and a function that describes the types. If
    they have static vectors, a word in Docs of two vocabs is of two types.
    """
    with_vectors = has_vectors(shim, docs)
    groups = by_vocab(docs) if with_vectors else [(slice(None), docs)]
    types = numpy.zeros(sum(map(len, docs)), dtype="int64")
    describers: list[Callable[..., TypeIds]] = []
    n_types = 0
    for tokens, group in groups:
        distinct, own = numpy.unique(forms_of(group), return_inverse=True)
        types[tokens] = n_types + own
        n_types += len(distinct)
        describe_types = partial(type_ids, group, distinct.tolist())
        describers.append(partial(describe_types, include_static_vectors=with_vectors))

    def describe() -> TypeIds:
        parts = [describe_group(vocabulary=shim.vocabulary) for describe_group in describers]
        return TypeIds(*map(numpy.concatenate, zip(*parts, strict=True)))

    return types, describe


def predict_parts(
    model: DocModel, docs: Sequence[Doc], *, window_length: int, precision: str
) -> Iterator[tuple[Ints1d, Floats2d]]:
    """Run the network over a batch of Docs without training it, a part of the batch at a time; so
    of a long Doc no more than needed is in memory.

    RETURNS (Iterator[tuple[Ints1d, Floats2d]]): The tokens of each part, counted through all
        Docs, and their vectors or scores.
    """
    shim = cast(NetworkShim, model.shims[0])
    # What stands beside a Doc must not decide which vocab's vectors it gets.
    with_vectors = has_vectors(shim, docs)
    groups = by_vocab(docs) if with_vectors else [(slice(None), docs)]
    for tokens, group in groups:
        longest, context = PREDICTION_WINDOW * window_length, window_length
        if not shim.cfg["bidirectional"]:  # whole, as a stream of words is read
            longest, context = max(map(len, group), default=0), 0
        types = forms_of(group)
        describe: Callable[..., TypeIds] = partial(type_ids, group)
        if with_vectors:
            types, describe = number_types(group, types)
        parts = split(windows_of(group, types, longest, context), MAX_WINDOWS)
        for part, predicted in shim.predict(parts, describe, bf16=precision == "bf16"):
            yield part if isinstance(tokens, slice) else tokens[part], predicted


def encode(
    model: DocModel,
    docs: list[Doc],
    is_train: bool,
    *,
    window_length: int,
    precision: str,
    unknown_rate: float,
    min_frequency: int,
    max_words: int,
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Doc]]]:
    """Run the network over a batch of Docs: the forward pass of `LSTMTok2Vec`, and of
    `LSTMTagger` below a CRF."""
    shim = cast(NetworkShim, model.shims[0])
    vocabulary = shim.vocabulary  # or an error, if there is none
    lengths = model.ops.asarray1i([len(doc) for doc in docs])
    if not is_train:
        parts = predict_parts(model, docs, window_length=window_length, precision=precision)
        predicted = model.ops.alloc2f(int(lengths.sum()), model.get_dim("nO"), zeros=False)
        for tokens, vectors in parts:
            predicted[model.ops.asarray(cast(Any, tokens))] = vectors
        return model.ops.unflatten(predicted, lengths), lambda dY: []
    types, describe = types_of(shim, docs)
    ids = describe()
    bounds = {"min_frequency": min_frequency, "max_words": max_words}
    news = find_news(vocabulary, docs, types, ids, **bounds)
    if news is not None:
        shim.learn(news)
        ids = describe()
    ids = with_unknown(ids, vocabulary, unknown_rate)
    windows = windows_of(docs, types, window_length)
    dropout = model.attrs["dropout_rate"]
    Y, backprop_network = shim.begin_update(ids, windows, dropout, bf16=precision == "bf16")

    def backprop(dY: list[Floats2d]) -> list[Doc]:
        backprop_network(model.ops.flatten(dY))
        return []

    return model.ops.unflatten(Y, lengths), backprop


def tag(
    model: DocModel, docs: list[Doc], is_train: bool, **reading: Any
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Doc]]]:
    """Score the labels of each token: the forward pass of `LSTMTagger`."""
    scores, backprop = encode(model, docs, is_train, **reading)
    if is_train:
        scores = [model.ops.softmax(doc_scores) for doc_scores in scores]
    return scores, backprop


def init(
    model: DocModel,
    X: list[Doc] | None = None,
    Y: list[Floats2d] | None = None,
    *,
    min_frequency: int,
    max_words: int,
    has_labels: bool,
) -> None:
    """Learn the vocabulary and build the network for it.

    The component `lstm_tagger` shows its model all training Docs in X, other components no more
    than ten of them. In either case the vocabulary grows when training brings something new.
    """
    if Y is not None:
        check_n_labels(model, Y[0].shape[1])
        model.set_dim("nO", Y[0].shape[1])
    if not X:
        return
    vocabulary = learn_vocabulary(X, min_frequency=min_frequency, max_words=max_words)
    shim = cast(NetworkShim, model.shims[0])
    sizes = {"vector_width": 0}
    if shim.cfg["include_static_vectors"]:
        sizes["vector_width"] = X[0].vocab.vectors_length
        if not sizes["vector_width"]:
            raise ValueError(
                "The model setting include_static_vectors = true needs word vectors, and the "
                "pipeline has none: name some in the config, [initialize] vectors."
            )
    if has_labels:
        sizes["n_labels"] = model.get_dim("nO")
    shim.build(vocabulary, **sizes)


def check_n_labels(model: DocModel, n_labels: int) -> None:
    """Raise a ValueError if the config gives a model that has no network yet another number."""
    if model.maybe_get_dim("nO") not in (None, n_labels):
        raise ValueError(
            f"The model setting nO = {model.get_dim('nO')} is not the number of labels, "
            f"{n_labels}: leave it out, and it is found."
        )

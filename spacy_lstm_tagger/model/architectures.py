"""The registered architectures: LSTM encoder, LSTM tagger, and a listener to an encoder."""

import inspect
from collections.abc import Callable, Iterator, Sequence
from dataclasses import fields
from typing import Any

import numpy
from spacy.pipeline.tok2vec import Tok2VecListener
from spacy.tokens import Doc
from spacy.util import registry
from thinc.api import Model

from ..prediction.config import EncoderConfig, TaggerConfig
from .crf import with_crf
from .shim import NetworkShim, network_of
from .types import DocModel, Floats2d, Ints1d
from .vocabulary import learn_vocabulary
from .windows import split, windows_of
from .word_types import WordTypes, with_unknown

MAX_WINDOWS = 128  # read side by side in prediction: more would leave the processor's caches


def takes(config_class: type[EncoderConfig]) -> Callable[[Callable[..., DocModel]], Callable]:
    """Give an architecture, whose first argument is a config, a keyword for each field of the
    config class. spaCy reads settings and their defaults from the signature.

    config_class (type[EncoderConfig]): The class of the config.
    RETURNS (Callable): A decorator.
    """
    names = [field.name for field in fields(config_class)]
    settings = [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=field.type
        )
        for field in fields(config_class)
    ]

    def decorate(architecture: Callable[..., DocModel]) -> Callable[..., DocModel]:
        def build(**given: Any) -> DocModel:
            config = {name: given.pop(name) for name in names if name in given}
            return architecture(config_class(**config), **given)

        for name in ("__name__", "__qualname__", "__module__", "__doc__"):
            setattr(build, name, getattr(architecture, name))
        signature = inspect.signature(architecture)
        _, *others = signature.parameters.values()
        build.__signature__ = signature.replace(  # type: ignore[attr-defined]
            parameters=[*settings, *others]
        )
        return build

    return decorate


@registry.architectures("spacy-lstm-tagger.LSTMTok2Vec.v1")
@takes(EncoderConfig)
def LSTMTok2Vec(config: EncoderConfig) -> DocModel:
    """Build an LSTM encoder for use as a `tok2vec`. Its output for a word is the output of the
    LSTM, joined to what the LSTM reads of the word and its two neighbours: 2 * lstm_width + 3 *
    (word_width + 2 * character_lstm_width) values, and 3 * word_width more with static vectors.
    Without `bidirectional`, the neighbours are left out.

    RETURNS (Model[list[Doc], list[Floats2d]]): The model.
    RAISES: ValueError if a setting is out of its range.

    The settings: see `EncoderConfig`.
    """
    return Model(
        "lstm_tok2vec",
        encode,
        init=init,
        dims={"nO": config.width},
        attrs={"dropout_rate": 0.0},
        shims=[NetworkShim(config)],
    )


@registry.architectures("spacy-lstm-tagger.LSTMTagger.v1")
@takes(TaggerConfig)
def LSTMTagger(config: TaggerConfig, *, crf: bool = False, nO: int | None = None) -> DocModel:
    """Build an LSTM tagger. Like the model of spaCy's own tagger it returns probabilities in
    training and scores in prediction, and takes the gradient with respect to the scores.

    crf (bool): Whether to score sequences of labels with a linear-chain CRF, instead of each label
        alone.
    nO (int | None): Number of labels; None to infer it from the data.
    RETURNS (Model[list[Doc], list[Floats2d]]): The model.
    RAISES: ValueError if a setting is out of its range.

    The other settings: see `TaggerConfig` and see `EncoderConfig`.
    """
    tagger: DocModel = Model(
        "lstm_tagger",
        encode if crf else tag,
        init=init,
        dims={"nO": nO},
        attrs={"dropout_rate": 0.0, "resize_output": resize_output},
        shims=[NetworkShim(config)],
    )
    return with_crf(tagger) if crf else tagger


@registry.architectures("spacy-lstm-tagger.LSTMListener.v1")
def LSTMListener(*, encoder: DocModel, upstream: str = "*") -> DocModel:
    """Build a layer that reads the output of a `tok2vec`, as `spacy.Tok2VecListener.v1` does. Its
    width follows the encoder: in a config, `encoder = ${components.tok2vec.model}`.

    encoder (Model[list[Doc], list[Floats2d]]): A model with the settings of the one that is
        listened to; only its width is used.
    upstream (str): Name of the component that is listened to; "*" stands for any `tok2vec`.
    RETURNS (Model[list[Doc], list[Floats2d]]): The layer.
    RAISES: ValueError if the width of the encoder is known only when it is initialized.
    """
    width = encoder.maybe_get_dim("nO")
    if width is None:
        raise ValueError(
            f"LSTMListener: the width of the model {encoder.name!r} is known only when it is "
            "initialized. Use spacy.Tok2VecListener.v1, and set its width."
        )
    return Tok2VecListener(upstream_name=upstream, width=width)


def tag(
    model: DocModel, docs: list[Doc], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Doc]]]:
    """Score the labels of each token: the forward pass of `LSTMTagger`."""
    scores, backprop = encode(model, docs, is_train)
    if is_train:
        scores = [model.ops.softmax(doc_scores) for doc_scores in scores]
    return scores, backprop


def encode(
    model: DocModel, docs: list[Doc], is_train: bool
) -> tuple[list[Floats2d], Callable[[list[Floats2d]], list[Doc]]]:
    """Run the network over a batch of Docs: the forward pass of `LSTMTok2Vec`, and of `LSTMTagger`
    below a CRF.
    """
    lengths = model.ops.asarray1i([len(doc) for doc in docs])
    if is_train:
        Y, backprop_network = _begin_update(model, docs)
    else:
        Y, backprop_network = _predict(model, docs), None

    def backprop(dY: list[Floats2d]) -> list[Doc]:
        if backprop_network is not None:
            backprop_network(model.ops.flatten(dY))
        return []

    return model.ops.unflatten(Y, lengths), backprop


def _begin_update(model: DocModel, docs: list[Doc]) -> tuple[Floats2d, Callable[[Floats2d], None]]:
    """Let the vocabulary grow, and run the network for training."""
    shim = network_of(model)
    config, vocabulary = shim.config, shim.vocabulary
    words = WordTypes(docs, shim.vector_width)
    distinct, of_tokens = numpy.unique(words.keys, return_inverse=True)
    ids = words.ids(distinct.tolist(), vocabulary)
    tokens = numpy.flatnonzero(vocabulary.may_be_news(ids)[of_tokens] & words.is_word)
    news = vocabulary.find_news(
        zip(
            words.strings(words.forms[tokens].tolist()),
            words.contexts()[tokens].tolist(),
            strict=True,
        ),
        min_frequency=config.min_frequency,
        max_words=config.max_words,
    )
    if news is not None:
        shim.learn(news)
        ids = words.ids(distinct.tolist(), vocabulary)
    ids = with_unknown(ids, vocabulary, config.unknown_rate)
    windows = windows_of(docs, words.is_word, config.window_length)
    Y, backprop = shim.begin_update(ids, of_tokens, windows, model.attrs["dropout_rate"])
    if len(windows.kept) == len(words.is_word):  # no whitespace
        return Y, backprop
    is_word = model.ops.asarray(words.is_word)
    with_spaces = model.ops.alloc2f(len(is_word), Y.shape[1])
    with_spaces[is_word] = Y
    return with_spaces, lambda dY: backprop(dY[is_word])


def _predict(model: DocModel, docs: list[Doc]) -> Floats2d:
    """Return (tokens, width) the network's output for all Docs; zeros for whitespace."""
    n_tokens = sum(map(len, docs))
    predicted = model.ops.alloc2f(n_tokens, network_of(model).output_width)
    for tokens, outputs in predict_parts(model, docs):
        if predicted.shape[1] != outputs.shape[1]:  # labels were added meanwhile
            predicted = model.ops.alloc2f(n_tokens, outputs.shape[1])
        predicted[model.ops.asarray(tokens)] = outputs
    return predicted


def predict_parts(model: DocModel, docs: Sequence[Doc]) -> Iterator[tuple[Ints1d, Floats2d]]:
    """Run the network over a batch of Docs without training it, a part of the batch at a time. So
    memory is bounded, however long a Doc is.

    model (Model[list[Doc], list[Floats2d]]): An LSTM encoder or tagger.
    docs (Sequence[Doc]): The batch.
    YIELDS (tuple[Ints1d, Floats2d]): (tokens,) the tokens of a part, numbered through all Docs,
        without whitespace; and (tokens, width) the network's output.
    """
    shim = network_of(model)
    words = WordTypes(docs, shim.vector_width)
    lengths = shim.config.prediction_windows(max(map(len, docs), default=0))
    windows = windows_of(docs, words.is_word, *lengths)
    predicted = shim.predict(words.keys, split(windows, MAX_WINDOWS), words.ids)
    if len(windows.kept) == len(words.is_word):  # no whitespace
        yield from predicted
        return
    tokens = numpy.flatnonzero(words.is_word)
    yield from ((tokens[part], outputs) for part, outputs in predicted)


def init(model: DocModel, X: list[Doc] | None = None, Y: list[Floats2d] | None = None) -> None:
    """Learn the vocabulary, and build the network for it.

    The component `lstm_tagger` shows its model all training Docs in X, other components no more
    than ten of them. Either way, the vocabulary grows in training.
    """
    shim = network_of(model)
    config, is_tagger = shim.config, isinstance(shim.config, TaggerConfig)
    if Y is not None:
        check_n_labels(model, Y[0].shape[1])
        model.set_dim("nO", Y[0].shape[1])
    if not X:
        return
    vector_width = 0
    if config.include_static_vectors:
        vector_width = X[0].vocab.vectors_length
        if not vector_width:
            raise ValueError(
                "The model setting include_static_vectors = true needs word vectors, and the "
                "pipeline has none: name some in the config, [initialize] vectors."
            )
    settings = {"min_frequency": config.min_frequency, "max_words": config.max_words}
    shim.build(
        learn_vocabulary(X, **settings),
        vector_width=vector_width,
        n_labels=model.get_dim("nO") if is_tagger else 0,
    )


def resize_output(
    model: DocModel, n_labels: int, peers: Sequence[Sequence[int]] | None = None
) -> DocModel:
    """Add labels at the end; spaCy's name for this attribute of a model. They change no prediction
    until they are trained. Arguments: see `crf.resize_output`.
    """
    shim = network_of(model)
    if shim.is_empty:
        check_n_labels(model, n_labels)
    else:
        shim.grow_output(n_labels, peers)
    model.set_dim("nO", n_labels, force=True)
    return model


def check_n_labels(model: DocModel, n_labels: int) -> None:
    """Raise a ValueError if the config sets another number of labels for a model that has no
    network yet.
    """
    if model.maybe_get_dim("nO") not in (None, n_labels):
        raise ValueError(
            f"The model setting nO = {model.get_dim('nO')} is not the number of labels, "
            f"{n_labels}. Leave it out, and it is inferred."
        )

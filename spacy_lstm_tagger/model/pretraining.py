"""Pretraining: a language-model objective for `spacy pretrain`, and its use by a tagger."""

from collections.abc import Callable, Sequence
from dataclasses import fields
from functools import partial
from pathlib import Path
from typing import Any

import numpy
import srsly
from spacy.tokens import Doc
from spacy.util import registry
from spacy.vocab import Vocab
from thinc.api import Model, Ops, PyTorchShim, torch2xp, xp2torch

from ..prediction.config import EncoderConfig
from .compat import language_model, require_torch, runtime
from .crf import emitter_of
from .shim import NetworkShim, has_network, is_tagger, network_of
from .types import DocModel, Floats1d, Ints1d

OTHER = 0  # the number of all other words


@registry.architectures("spacy-lstm-tagger.PretrainLM.v1")
def PretrainLM(*, n_words: int = 20_000) -> Callable[[Vocab, DocModel], Model]:
    """Build an objective for `spacy pretrain`: the LSTM learns to predict the next word after each
    word and, if it reads in both directions, also the previous word.

    n_words (int): Number of words, lower-cased, that the softmax has: the first ones in the data.
    RETURNS (Callable[[Vocab, Model], Model]): A function that builds it around a `tok2vec`, whose
        architecture must be `spacy-lstm-tagger.LSTMTok2Vec.v1` with depth = 1.
    RAISES: ValueError if a setting is out of its range.
    """
    if n_words < 2:
        raise ValueError(f"The setting n_words = {n_words} must be at least 2.")

    def create(vocab: Vocab, tok2vec: DocModel) -> Model:
        config = _config_of(tok2vec)
        torch = require_torch()
        with torch.device("cpu"):
            network = language_model.NeighbourPredictor(
                n_words, config.lstm_width, config.directions
            )
        return Model(
            "pretrain_lm",
            partial(forward, network=network, numbers={}, n_words=n_words),
            init=init,
            layers=[tok2vec],
            shims=[PyTorchShim(network)],
            refs={"tok2vec": tok2vec},
            attrs={"loss": get_loss},
        )

    return create


def _config_of(tok2vec: DocModel) -> EncoderConfig:
    """Return the settings of an encoder; ValueError if it can't be pretrained so."""
    if not has_network(tok2vec) or is_tagger(tok2vec):
        raise ValueError(
            "The objective spacy-lstm-tagger.PretrainLM.v1 needs a tok2vec with the architecture "
            f"spacy-lstm-tagger.LSTMTok2Vec.v1; this one is {tok2vec.name!r}."
        )
    config = network_of(tok2vec).config
    if config.depth > 1:
        raise ValueError(
            "The objective spacy-lstm-tagger.PretrainLM.v1 needs depth = 1, not "
            f"{config.depth}: the upper LSTM layer would see the words that it predicts. Use "
            "spacy.PretrainCharacters.v1."
        )
    return config


def init(model: Model, X: list[Doc] | None = None, Y: Any = None) -> None:
    """Initialize the encoder."""
    model.get_ref("tok2vec").initialize(X=X)


def forward(
    model: Model,
    docs: list[Doc],
    is_train: bool,
    *,
    network: Any,
    numbers: dict[str, int],
    n_words: int,
) -> tuple[Floats1d, Callable[[Floats1d], list[Doc]]]:
    """Predict the neighbours of each word. Return the loss, and take the gradient with respect to
    it.
    """
    lengths = [len(doc) for doc in docs]
    vectors, backprop_vectors = model.get_ref("tok2vec")(docs, is_train)
    inputs = xp2torch(model.ops.flatten(vectors), requires_grad=True)
    words = number_words(docs, numbers, n_words)
    is_followed = numpy.ones(sum(lengths), dtype=bool)
    ends = numpy.cumsum([length for length in lengths if length], dtype="int64")
    is_followed[ends - 1] = False
    with runtime.training(inputs.device.type):
        arrays = (xp2torch(values, device=inputs.device) for values in (words, is_followed))
        loss = network(inputs, *arrays)

    def backprop(d_loss: Floats1d) -> list[Doc]:
        with runtime.training(inputs.device.type):
            loss.backward(xp2torch(d_loss, device=inputs.device))
        return backprop_vectors(model.ops.unflatten(torch2xp(inputs.grad), lengths))

    return torch2xp(loss.detach()), backprop


def number_words(docs: Sequence[Doc], numbers: dict[str, int], n_words: int) -> Ints1d:
    """Return (tokens,) the number of each word, lower-cased. New words get the next numbers while
    there are any left.
    """
    words = [token.text.lower() for doc in docs for token in doc]
    for word in dict.fromkeys(words):
        if word not in numbers and len(numbers) < n_words - 1:
            numbers[word] = len(numbers) + 1
    return numpy.asarray([numbers.get(word, OTHER) for word in words], dtype="int64")


def get_loss(ops: Ops, docs: Sequence[Doc], loss: Floats1d) -> tuple[float, Floats1d]:
    """Return the loss, and the gradient of its mean over the words with respect to it."""
    return float(loss[0]), ops.asarray1f([1 / max(1, sum(map(len, docs)))])


def take_pretrained(model: DocModel, path: Path) -> None:
    """Give a tagger that was just initialized the words and weights that `spacy pretrain` saved.

    model (Model[list[Doc], list[Floats2d]]): A model of `spacy-lstm-tagger.LSTMTagger.v1`.
    path (Path): The file of a `tok2vec` with the architecture `spacy-lstm-tagger.LSTMTok2Vec.v1`
        and the same settings.
    RAISES: ValueError if the file can't be read, or doesn't fit; the model stays as it was.
    """
    emitter = emitter_of(model)
    if not is_tagger(emitter):
        raise ValueError(
            "pretrained needs the architecture spacy-lstm-tagger.LSTMTagger.v1, and the model is "
            f"{emitter.name!r}. A tok2vec gets its weights by [initialize] init_tok2vec."
        )
    shim = network_of(emitter)
    settings = {field.name: getattr(shim.config, field.name) for field in fields(EncoderConfig)}
    pretrained = NetworkShim(EncoderConfig(**settings))
    try:
        ((data,),) = srsly.msgpack_loads(path.read_bytes())["shims"]
        shim.take_over(pretrained.from_bytes(data))
    except Exception as error:
        raise ValueError(f"pretrained = {str(path)!r} can't be used: {error}") from error

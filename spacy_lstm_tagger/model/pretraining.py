"""Docs without labels in, a loss out: an objective for `spacy pretrain`; and the way from what it
saves to a tagger.
"""

from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any, cast

import numpy
import srsly
from spacy.tokens import Doc
from spacy.util import registry
from spacy.vocab import Vocab
from thinc.api import Model, Ops, PyTorchShim, torch2xp, xp2torch
from thinc.types import Floats1d

from ..prediction.inputs import Ints1d
from .held import require_torch
from .shim import NetworkShim
from .with_crf import DocModel, emitter_of

OTHER = 0  # the number of all words that have none of their own


@registry.architectures("spacy-lstm-tagger.PretrainLM.v1")
def PretrainLM(*, n_words: int = 20_000) -> Callable[[Vocab, DocModel], Model]:
    """Build an objective for `spacy pretrain`: the LSTM learns to guess the next word after each
    word, and the word before it if it reads in both directions, too.

    n_words (int): How many words, lower-cased, it tells apart: those that it meets first.
    RETURNS (Callable[[Vocab, Model], Model]): A function that builds it around a `tok2vec`, whose
        architecture must be `spacy-lstm-tagger.LSTMTok2Vec.v1` with depth = 1 and output_width = 0.
    RAISES: ValueError if a setting is out of its range.
    """
    if n_words < 2:
        raise ValueError(f"The setting n_words = {n_words} must be at least 2.")

    def create(vocab: Vocab, tok2vec: DocModel) -> Model:
        settings = _settings_of(tok2vec)
        torch = require_torch()
        from ..network.language_model import NeighbourPredictor

        directions = 2 if settings["bidirectional"] else 1
        with torch.device("cpu"):
            network = NeighbourPredictor(n_words, settings["lstm_width"], directions)
        return Model(
            "pretrain_lm",
            partial(forward, numbers={}, n_words=n_words),
            init=init,
            layers=[tok2vec],
            shims=[PyTorchShim(network)],
            refs={"tok2vec": tok2vec},
            attrs={"loss": get_loss},
        )

    return create


def _settings_of(tok2vec: DocModel) -> dict[str, Any]:
    """Return the settings of an encoder; ValueError if its directions can't be told apart."""
    if tok2vec.name != "lstm_tok2vec":
        raise ValueError(
            "The objective spacy-lstm-tagger.PretrainLM.v1 needs a tok2vec with the architecture "
            f"spacy-lstm-tagger.LSTMTok2Vec.v1; this one is {tok2vec.name!r}."
        )
    shim = cast(NetworkShim, tok2vec.shims[0])
    settings = shim.cfg
    if shim.network_class != "LSTMEncoder":
        raise ValueError(
            "The objective spacy-lstm-tagger.PretrainLM.v1 needs output_width = 0: it reads "
            "what the LSTM says, not a projection of it."
        )
    if settings["depth"] > 1:
        raise ValueError(
            "The objective spacy-lstm-tagger.PretrainLM.v1 needs depth = 1, not "
            f"{settings['depth']}: an LSTM above another sees the words that it is to guess. Use "
            "spacy.PretrainCharacters.v1."
        )
    return settings


def init(model: Model, X: list[Doc] | None = None, Y: Any = None) -> None:
    """Initialize the encoder."""
    model.layers[0].initialize(X=X)


def forward(
    model: Model, docs: list[Doc], is_train: bool, *, numbers: dict[str, int], n_words: int
) -> tuple[Floats1d, Callable[[Floats1d], list[Doc]]]:
    """Guess the words of a batch of Docs: return the loss, and take the gradient with respect to
    it.
    """
    from ..network.training import training

    network: Any = cast(PyTorchShim, model.shims[0])._model
    lengths = [len(doc) for doc in docs]
    vectors, backprop_vectors = model.layers[0](docs, is_train)
    inputs = xp2torch(model.ops.flatten(vectors), requires_grad=True)
    words: Any = number_words(docs, numbers, n_words)
    in_doc: Any = numpy.ones(sum(lengths), dtype=bool)
    ends = numpy.cumsum([length for length in lengths if length], dtype="int64")
    in_doc[ends - 1] = False  # nothing follows the last word
    with training(inputs.device.type):
        loss = network(inputs, *(xp2torch(ids, device=inputs.device) for ids in (words, in_doc)))

    def backprop(d_loss: Floats1d) -> list[Doc]:
        with training(inputs.device.type):
            loss.backward(xp2torch(d_loss, device=inputs.device))
        return backprop_vectors(
            model.ops.unflatten(cast(Any, torch2xp(cast(Any, inputs.grad))), cast(Any, lengths))
        )

    return cast(Floats1d, torch2xp(loss.detach())), backprop


def number_words(docs: Sequence[Doc], numbers: dict[str, int], n_words: int) -> Ints1d:
    """Return (tokens,) the number of each word, lower-cased. New words get the next numbers, as
    long as there are some.
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
    path (Path): The file of a `tok2vec` whose architecture was `spacy-lstm-tagger.LSTMTok2Vec.v1`
        with the same settings.
    RAISES: ValueError if the file can't be read, or is another model's; the model stays as it was.
    """
    emitter = emitter_of(model)
    if emitter.name != "lstm_tagger":
        raise ValueError(
            "pretrained needs the architecture spacy-lstm-tagger.LSTMTagger.v1, and the model is "
            f"{emitter.name!r}. A tok2vec gets its weights by [initialize] init_tok2vec."
        )
    shim = cast(NetworkShim, emitter.shims[0])
    settings = {name: value for name, value in shim.cfg.items() if name != "lookahead"}
    encoder = NetworkShim("LSTMEncoder", settings)
    try:
        ((data,),) = srsly.msgpack_loads(path.read_bytes())["shims"]
        shim.take_over(encoder.from_bytes(data))
    except Exception as error:
        raise ValueError(f"pretrained = {str(path)!r} can't be used: {error}") from error

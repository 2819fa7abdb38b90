"""Config in, Thinc models out: the registered architectures."""

from collections.abc import Callable
from functools import partial
from typing import Any, cast

from spacy.util import registry
from thinc.api import Model

from ..prediction.weights import widths
from .forward import check_n_labels, encode, init, predict_parts, tag
from .shim import NetworkShim
from .with_crf import DocModel, with_crf

NEEDED_WIDTHS = ("word_width", "character_width", "lstm_width")
MAX_DEPTH = 3  # more layers made taggers worse (Reimers and Gurevych 2017)


@registry.architectures("spacy-lstm-tagger.LSTMTok2Vec.v1")
def LSTMTok2Vec(
    *,
    word_width: int = 96,
    character_width: int = 32,
    character_lstm_width: int = 48,
    lstm_width: int = 128,
    depth: int = 1,
    bidirectional: bool = True,
    affixes: bool = True,
    include_static_vectors: bool = False,
    min_frequency: int = 1,
    max_words: int = 200_000,
    unknown_rate: float = 0.3,
    window_length: int = 32,
    precision: str = "fp32",
    static_vector_width: int = 0,
    output_width: int = 0,
) -> DocModel:
    """Build an LSTM encoder for use as a `tok2vec`. Its output for a word joins the output of the
    LSTM to what the LSTM reads of the word and its two neighbours: 2 * lstm_width + 3 * (word_width
    + 2 * character_lstm_width) values. If it reads left to right only, the neighbours are left out:
    lstm_width + word_width + character_lstm_width values. With an `output_width` it is projected to
    so many values, which components that listen read faster.

    word_width (int): Width of the embeddings of words, prefixes, suffixes and shapes.
    character_width (int): Width of the embedding of a character.
    character_lstm_width (int): Width of the LSTM over the characters of a word, per direction;
        0 switches character features off.
    lstm_width (int): Width of the LSTM over words, per direction.
    depth (int): Number of layers of the LSTM over words, 1 to 3.
    bidirectional (bool): Whether the LSTMs run in both directions, or left to right only.
    affixes (bool): Whether to read prefix, suffix and shape of a word.
    include_static_vectors (bool): Whether to read the static vectors of the pipeline's vocab.
    min_frequency (int): How often a word, affix or character must occur in the training data;
        the others are treated as unknown. What the data with which the model is initialized lack,
        and training brings, must occur between so many different pairs of neighbours.
    max_words (int): How many words the model knows at most; so many affixes, and characters.
    unknown_rate (float): How often, in training, a word that occurs no more often than
        `min_frequency` is treated as unknown, so that the model learns about unknown words.
    window_length (int): How many tokens the LSTM reads as one sequence in training. In
        prediction it is eight times as many, and as much context again on either side as a
        training window is long; shorter Docs are read whole. Left to right only, prediction reads
        all Docs whole.
    precision (str): What the LSTMs compute in when they are trained, and on a GPU also when they
        predict: "fp32", or "bf16" (bfloat16), which is faster on processors that have instructions
        for it. Weights are kept in fp32, so a trained pipeline can be loaded with another precision
        than it was saved with.
    static_vector_width (int): Width of what the LSTM reads of a word's static vector, beside the
        word's embedding: the output of a network with one hidden layer, twice as wide. 0 to project
        the vector and add it to the embedding, which is less accurate.
    output_width (int): Width of the output; 0 to leave it as wide as it is.
    RETURNS (Model[list[Doc], list[Floats2d]]): The model.
    RAISES: ValueError if a setting is out of its range.
    """
    settings = dict(locals())
    del settings["output_width"]
    _check("output_width", output_width, 0)
    if output_width:  # what a tagger does to score its labels projects as well
        return _build("lstm_tok2vec", encode, "TaggerNetwork", nO=output_width, **settings)
    *_, width = widths(
        word_width,
        character_lstm_width,
        lstm_width,
        bidirectional,
        static_vector_width=static_vector_width,
    )
    return _build("lstm_tok2vec", encode, "LSTMEncoder", nO=width, **settings)


@registry.architectures("spacy-lstm-tagger.LSTMTagger.v1")
def LSTMTagger(
    *,
    word_width: int = 96,
    character_width: int = 32,
    character_lstm_width: int = 48,
    lstm_width: int = 128,
    depth: int = 1,
    bidirectional: bool = True,
    affixes: bool = True,
    include_static_vectors: bool = False,
    min_frequency: int = 1,
    max_words: int = 200_000,
    unknown_rate: float = 0.3,
    window_length: int = 32,
    precision: str = "fp32",
    static_vector_width: int = 0,
    crf: bool = False,
    lookahead: int = 0,
    nO: int | None = None,
) -> DocModel:
    """Build an LSTM tagger. Like the model of spaCy's own tagger it returns probabilities while
    it is trained and scores when it predicts, and takes the gradient with respect to the scores.

    crf (bool): Whether to score sequences of labels with a linear-chain CRF, not each label alone.
    lookahead (int): How many of the words that follow have a say in the label of a word, if the
        LSTMs read left to right only. More make it more accurate, and a stream later.
    nO (int | None): Number of labels; None to infer it from the data.
    RETURNS (Model[list[Doc], list[Floats2d]]): The model.

    The other settings, and what it raises: see `LSTMTok2Vec`.
    """
    settings = dict(locals())
    _check("lookahead", lookahead, 0)
    if lookahead and bidirectional:
        raise ValueError(
            f"The model setting lookahead = {lookahead} needs bidirectional = false: a model that "
            "reads in both directions sees all words that follow."
        )
    if settings.pop("crf"):
        return with_crf(_build("lstm_tagger", encode, "TaggerNetwork", **settings))
    return _build("lstm_tagger", tag, "TaggerNetwork", **settings)


def resize_output(model: DocModel, n_labels: int) -> DocModel:
    """Add labels at the end, as spaCy asks models to by an attribute of this name. Until they are
    trained, they change no prediction.
    """
    shim = cast(NetworkShim, model.shims[0])
    if shim.is_empty:
        check_n_labels(model, n_labels)
    shim.grow_output(n_labels)
    model.set_dim("nO", n_labels, force=True)
    return model


def _build(
    name: str,
    forward: Callable,
    network: str,
    *,
    nO: int | None,
    min_frequency: int,
    max_words: int,
    unknown_rate: float,
    window_length: int,
    precision: str,
    **network_settings: Any,
) -> DocModel:
    for setting, value in network_settings.items():
        if setting.endswith("width"):
            _check(setting, value, 1 if setting in NEEDED_WIDTHS else 0)
    own_width = network_settings["static_vector_width"]
    if own_width and not network_settings["include_static_vectors"]:
        raise ValueError(
            f"The model setting static_vector_width = {own_width} must be 0 where "
            "include_static_vectors is false."
        )
    for setting in ("static_vector_width", "lookahead"):
        if network_settings.get(setting) == 0:  # as in models that were saved before there was one
            del network_settings[setting]
    _check("depth", network_settings["depth"], 1, MAX_DEPTH)
    _check("min_frequency", min_frequency, 1)
    _check("max_words", max_words, 1)
    _check("unknown_rate", unknown_rate, 0, 1)
    _check("window_length", window_length, 1)
    if precision not in ("fp32", "bf16"):
        raise ValueError(f'The model setting precision = {precision!r} must be "fp32" or "bf16".')
    reading: dict[str, Any] = {"window_length": window_length, "precision": precision}
    learning: dict[str, Any] = {"min_frequency": min_frequency, "max_words": max_words}
    attrs: dict[str, Any] = {
        "dropout_rate": 0.0,
        "predict_parts": partial(predict_parts, **reading),
    }
    has_labels = network == "TaggerNetwork"
    if has_labels:
        attrs["resize_output"] = resize_output
    return Model(
        name,
        partial(forward, **reading, **learning, unknown_rate=unknown_rate),
        init=partial(init, **learning, has_labels=has_labels),
        dims={"nO": nO},
        attrs=attrs,
        shims=[NetworkShim(network, network_settings)],
    )


def _check(setting: str, value: float, least: float, most: float = float("inf")) -> None:
    if not least <= value <= most:
        allowed = f"at least {least}" if most == float("inf") else f"from {least} to {most}"
        raise ValueError(f"The model setting {setting} = {value} must be {allowed}.")

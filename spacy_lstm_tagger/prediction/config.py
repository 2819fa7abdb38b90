"""Settings of the LSTM encoder and tagger, and the widths and shapes that follow from them."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

from .types import Floats2d

Weights = Mapping[str, Floats2d]
Shapes = dict[str, tuple[int, ...]]

MAX_DEPTH = 3  # more layers made taggers worse (Reimers and Gurevych 2017)
PREDICTION_WINDOW = 8  # training windows; the context costs at most a quarter of the time

# Settings that can differ between the config that a network was saved with and the one that loads
# it: they don't change what its weights mean.
READING = ("min_frequency", "max_words", "unknown_rate", "window_length")


class Sizes(NamedTuple):
    """Sizes of a network that the training data decide.

    n_words, n_affixes, n_characters: Sizes of the vocabulary, without UNKNOWN.
    vector_width: Width of the static vectors; 0 if the network reads none.
    n_labels: Number of labels; 0 for an encoder.
    """

    n_words: int
    n_affixes: int
    n_characters: int
    vector_width: int = 0
    n_labels: int = 0


@dataclass(frozen=True, kw_only=True)
class EncoderConfig:
    """Settings of an LSTM encoder.

    word_width (int): Width of the embeddings of words, prefixes, suffixes and shapes.
    character_width (int): Width of the embedding of a character.
    character_lstm_width (int): Width of the LSTM over the characters of a word, per direction;
        0 switches character features off.
    lstm_width (int): Width of the LSTM over words, per direction.
    depth (int): Number of layers of the LSTM over words, 1 to 3.
    bidirectional (bool): Whether the LSTMs run in both directions, or left to right only.
    affixes (bool): Whether to read the prefix, suffix and shape of a word.
    include_static_vectors (bool): Whether to read the static vectors of the pipeline's vocab.
    min_frequency (int): How often a word, affix or character must occur in the data that the
        model is initialized with; rarer ones are unknown. Later in training, a new one is learnt
        when it has occurred in this many distinct contexts.
    max_words (int): Maximum number of words, of affixes and of characters that the model knows.
    unknown_rate (float): Probability that training treats a rare word as unknown, so that the
        model learns about unknown words. A word is rare if it occurs at most `min_frequency` times.
    window_length (int): Number of tokens that the LSTM reads as one sequence in training. In
        prediction, windows are eight times as long and overlap by one training window on either
        side; shorter Docs are read whole. Without `bidirectional`, prediction reads all Docs whole.
    """

    word_width: int = 96
    character_width: int = 32
    character_lstm_width: int = 48
    lstm_width: int = 128
    depth: int = 1
    bidirectional: bool = True
    affixes: bool = True
    include_static_vectors: bool = False
    min_frequency: int = 1
    max_words: int = 200_000
    unknown_rate: float = 0.3
    window_length: int = 32

    def __post_init__(self) -> None:
        for setting in ("word_width", "character_width", "lstm_width"):
            self._check(setting, 1)
        self._check("character_lstm_width", 0)
        self._check("depth", 1, MAX_DEPTH)
        self._check("min_frequency", 1)
        self._check("max_words", 1)
        self._check("unknown_rate", 0, 1)
        self._check("window_length", 1)

    def _check(self, setting: str, least: float, most: float = float("inf")) -> None:
        value = getattr(self, setting)
        if not least <= value <= most:
            allowed = f"at least {least}" if most == float("inf") else f"from {least} to {most}"
            raise ValueError(f"The model setting {setting} = {value} must be {allowed}.")

    @property
    def structure(self) -> dict[str, Any]:
        """The settings that decide what the weights mean."""
        return {name: value for name, value in asdict(self).items() if name not in READING}

    @property
    def directions(self) -> int:
        """Number of directions of reading."""
        return 2 if self.bidirectional else 1

    @property
    def n_skips(self) -> int:
        """Number of words whose LSTM inputs the skip connections append to the output: the word
        itself and, unless the LSTM reads left to right only, its two neighbours.
        """
        return 3 if self.bidirectional else 1

    @property
    def n_states(self) -> int:
        """Number of hidden states of the LSTM that are part of the output."""
        return self.directions

    @property
    def input_width(self) -> int:
        """Width of the input of the LSTM over words: the sum of the embeddings of the word and its
        affixes, the character LSTM's final states, and the projected static vector.
        """
        vectors = self.word_width if self.include_static_vectors else 0
        return self.word_width + self.directions * self.character_lstm_width + vectors

    @property
    def width(self) -> int:
        """Width of the encoder's output."""
        return self.n_states * self.lstm_width + self.n_skips * self.input_width

    def prediction_windows(self, longest: int) -> tuple[int, int]:
        """Return the length of the windows in prediction, and of the context on either side.

        longest (int): Length of the longest Doc of the batch.
        """
        if not self.bidirectional:  # whole Docs, as a stream is read
            return longest, 0
        return PREDICTION_WINDOW * self.window_length, self.window_length

    def shapes(self, sizes: Sizes) -> Shapes:
        """Return the shape of each weight, so that a file can be checked before a network is made.

        sizes (Sizes): The sizes of the network.
        """
        shapes: Shapes = {"words.weight": (1 + sizes.n_words, self.word_width)}
        if self.affixes:
            shapes["affixes.weight"] = (1 + sizes.n_affixes, self.word_width)
        if self.include_static_vectors:
            hidden_width = 2 * self.word_width
            shapes["vectors.hidden.weight"] = (hidden_width, sizes.vector_width)
            shapes["vectors.hidden.bias"] = (hidden_width,)
            shapes["vectors.output.weight"] = (self.word_width, hidden_width)
        if self.character_lstm_width:
            embedding = (1 + sizes.n_characters, self.character_width)
            shapes["characters.embedding.weight"] = embedding
            lstm = (self.character_width, self.character_lstm_width)
            shapes |= _lstm_shapes("characters.layer", *lstm, self.directions)
        below = self.input_width
        for i in range(self.depth):
            shapes |= _lstm_shapes(f"layers.{i}", below, self.lstm_width, self.directions)
            below = self.directions * self.lstm_width
        return shapes


@dataclass(frozen=True, kw_only=True)
class TaggerConfig(EncoderConfig):
    """Settings of an LSTM tagger: those of its encoder, and one more.

    lookahead (int): How many of the words that follow a word contribute to its label, if the LSTMs
        read left to right only. More of them make the tagger more accurate, and streams later.
    """

    lookahead: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check("lookahead", 0)
        if self.lookahead and self.bidirectional:
            raise ValueError(
                f"The model setting lookahead = {self.lookahead} needs bidirectional = false: a "
                "model that reads in both directions sees all words that follow."
            )

    @property
    def n_states(self) -> int:
        """As for the encoder, and one more for each word of lookahead."""
        return self.directions + self.lookahead

    def shapes(self, sizes: Sizes) -> Shapes:
        """As for the encoder, and those of the output layer."""
        output: Shapes = {
            "output.weight": (sizes.n_labels, self.width),
            "output.bias": (sizes.n_labels,),
        }
        return super().shapes(sizes) | output


def _lstm_shapes(name: str, input_width: int, width: int, directions: int) -> Shapes:
    shapes = {
        "weight_ih_l0": (4 * width, input_width),
        "weight_hh_l0": (4 * width, width),
        "bias_ih_l0": (4 * width,),
        "bias_hh_l0": (4 * width,),
    }
    return {
        f"{name}.lstms.{direction}.{weight}": shape
        for direction in range(directions)
        for weight, shape in shapes.items()
    }


def weights_of(weights: Weights, module: str) -> Weights:
    """Return the weights of a module, named as the module itself names them."""
    prefix = f"{module}."
    return {name.removeprefix(prefix): w for name, w in weights.items() if name.startswith(prefix)}

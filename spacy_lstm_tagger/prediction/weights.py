"""Settings and sizes in, names and shapes of a network's weights out."""

from collections.abc import Mapping

from .inputs import Floats2d

Weights = Mapping[str, Floats2d]
Shapes = dict[str, tuple[int, ...]]


def widths(
    word_width: int,
    character_lstm_width: int,
    lstm_width: int,
    bidirectional: bool,
    lookahead: int = 0,
    static_vector_width: int = 0,
) -> tuple[int, int, int]:
    """Return how wide the input of an `LSTMEncoder` is for each word, how many inputs its skip
    connections append to its output, and how wide its output is.
    """
    directions = 2 if bidirectional else 1
    n_inputs = 3 if bidirectional else 1
    input_width = word_width + directions * character_lstm_width + static_vector_width
    n_states = directions + lookahead
    return input_width, n_inputs, n_states * lstm_width + n_inputs * input_width


def shapes_of(
    *,
    n_words: int,
    n_affixes: int,
    n_characters: int,
    vector_width: int,
    word_width: int,
    character_width: int,
    character_lstm_width: int,
    lstm_width: int,
    depth: int,
    bidirectional: bool,
    affixes: bool,
    include_static_vectors: bool,
    static_vector_width: int = 0,
    lookahead: int = 0,
    n_labels: int | None = None,
) -> Shapes:
    """Return the shape of each weight of an `LSTMEncoder`, whose arguments these are; or of a
    `TaggerNetwork`, if there are labels. So a file can be checked before a network is made.
    """
    input_width, _, width = widths(
        word_width, character_lstm_width, lstm_width, bidirectional, lookahead, static_vector_width
    )
    directions = 2 if bidirectional else 1
    shapes: Shapes = {"words.weight": (1 + n_words, word_width)}
    if affixes:
        shapes["affixes.weight"] = (1 + n_affixes, word_width)
    if static_vector_width:
        hidden_width = 2 * static_vector_width
        shapes["vectors.hidden.weight"] = (hidden_width, vector_width)
        shapes["vectors.hidden.bias"] = (hidden_width,)
        shapes["vectors.output.weight"] = (static_vector_width, hidden_width)
    elif include_static_vectors:
        shapes["vectors.weight"] = (word_width, vector_width)
    if character_lstm_width:
        shapes["characters.embedding.weight"] = (1 + n_characters, character_width)
        shapes |= _lstms("characters.layer", character_width, character_lstm_width, directions)
    for i in range(depth):
        below = directions * lstm_width if i else input_width
        shapes |= _lstms(f"layers.{i}", below, lstm_width, directions)
    if n_labels is not None:
        shapes |= {"output.weight": (n_labels, width), "output.bias": (n_labels,)}
    return shapes


def _lstms(name: str, input_width: int, width: int, directions: int) -> Shapes:
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


def part(weights: Weights, name: str) -> Weights:
    """Return the weights whose names begin with a name and a dot, by the rest of their names."""
    prefix = f"{name}."
    return {key[len(prefix) :]: w for key, w in weights.items() if key.startswith(prefix)}

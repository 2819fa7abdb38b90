"""Integer ids in, vectors (`LSTMEncoder`) and scores (`TaggerNetwork`) out; pure PyTorch.

Axes: `types` distinct word forms of a batch, `positions` tokens in the order of their windows,
`tokens` tokens in the order of their texts, `windows` the stretches that the LSTM reads as one
sequence each. `TypeIds` and `Windows` say what the ids are.

The modules have no training mode: a call drops as much as its argument says, so one module
can serve many threads at a time.
"""

from typing import Any

import torch
from torch import Tensor, nn

from ..prediction.inputs import TypeIds, Windows
from ..prediction.weights import widths
from .dropout import drop
from .growing import GrowingEmbedding, GrowingLinear
from .lstm import CharacterLSTM, LSTMLayer, State, following, lay_out, neighbours


class VectorNetwork(nn.Module):
    """Make of static vectors what says most about labels: a network with one hidden layer.

    vector_width: Width of the static vectors.
    width: Width of the output; the hidden layer is twice as wide.
    """

    def __init__(self, vector_width: int, width: int):
        super().__init__()
        self.hidden = nn.Linear(vector_width, 2 * width, dtype=torch.float32)
        self.output = nn.Linear(2 * width, width, bias=False, dtype=torch.float32)

    def forward(self, vectors: Tensor) -> Tensor:
        """Return (types, width)."""
        return self.output(self.hidden(vectors).relu())


class LSTMEncoder(nn.Module):
    """Embed each word by all that is known of its form, and run an LSTM over the words.

    The word's embedding, those of its affixes and its projected static vector are added up; what
    the LSTM over its characters ends with is appended. A static vector that has a width of its own
    is not added, but appended, too, as a network with a hidden layer returns it. To the LSTM's
    output for a word, skip connections append its input for this word and, unless it reads left to
    right only, for the two beside it: that "to" stands before a verb needs no LSTM. `width` is the
    width of it all.

    n_words, n_affixes, n_characters: Sizes of the vocabulary, UNKNOWN not counted.
    vector_width: Width of the static vectors.
    word_width: Width of the embedding of a word, and of each of its affixes.
    character_width: Width of the embedding of a character.
    character_lstm_width: Width of the LSTM over characters, per direction; 0 for none.
    lstm_width: Width of the LSTM over words, per direction.
    depth: Number of layers of the LSTM over words.
    bidirectional: Whether both LSTMs run in both directions, or left to right only.
    affixes: Whether to read affixes.
    include_static_vectors: Whether to read static vectors.
    static_vector_width: Width of what is appended for the static vector; 0 to add it to the word's
        embedding.
    lookahead: How many of the words that follow show their LSTM's outputs, too, if it reads left to
        right only (after Wang et al. 2016, "Lookahead Convolution Layer").
    """

    def __init__(
        self,
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
    ):
        super().__init__()
        self.directions = directions = 2 if bidirectional else 1
        self.words = GrowingEmbedding(1 + n_words, word_width, differences=True)
        nn.init.zeros_(self.words.weight)
        self.affixes = GrowingEmbedding(1 + n_affixes, word_width) if affixes else None
        if self.affixes is not None:
            nn.init.normal_(self.affixes.weight, std=0.1)
        self.appends_vectors = bool(static_vector_width)
        self.vectors: nn.Module | None = None
        if static_vector_width:
            self.vectors = VectorNetwork(vector_width, static_vector_width)
        elif include_static_vectors:
            self.vectors = nn.Linear(vector_width, word_width, bias=False, dtype=torch.float32)
        self.characters = (
            CharacterLSTM(n_characters, character_width, character_lstm_width, directions)
            if character_lstm_width
            else None
        )
        self.input_width, self.n_inputs, self.width = widths(
            word_width,
            character_lstm_width,
            lstm_width,
            bidirectional,
            lookahead,
            static_vector_width,
        )
        self.lookahead = lookahead
        self.output_width = self.width
        self.layers = nn.ModuleList(
            LSTMLayer(directions * lstm_width if i else self.input_width, lstm_width, directions)
            for i in range(depth)
        )

    def forward(
        self,
        types: TypeIds,
        windows: Windows,
        dropout: float = 0.0,
        state: State | None = None,
    ) -> tuple[Tensor, State | None]:
        """Embed the types of a batch, and read its windows: `embed` and `read` in one."""
        return self.read(self.embed(types), windows, dropout, state)

    def embed(self, types: TypeIds) -> Tensor:
        """Return (types, input_width): what the LSTM over words reads of each type.

        A word's embedding is its difference from an unknown word, zero at first; so a word that
        was never seen in training is an unknown word, although it is in the vocabulary.
        """
        if not len(types.words):
            return self.words.weight.new_zeros(0, self.input_width)
        unknown, is_known = self.words.weight[0], (types.words > 0)[:, None]
        vectors = unknown + self.words(types.words) * is_known
        if self.affixes is not None:
            vectors = vectors + self.affixes(types.affixes).sum(dim=1)
        appended = []
        if self.characters is not None:
            appended.append(self.characters(types.spellings, types.spelling_lengths))
        if self.vectors is not None and self.appends_vectors:
            appended.append(self.vectors(types.vectors))
        elif self.vectors is not None:
            vectors = vectors + self.vectors(types.vectors)
        return torch.cat((vectors, *appended), dim=1)

    def read(
        self,
        vectors: Tensor,
        windows: Windows,
        dropout: float = 0.0,
        state: State | None = None,
    ) -> tuple[Tensor, State | None]:
        """Run the LSTM over the windows of a batch.

        vectors (Tensor): (types, input_width) what `embed` returned.
        windows (Windows): The windows, as tensors.
        dropout (float): Rate of dropout on the input and output of each LSTM over words.
        state (State | None): What the LSTMs start from, one for each window; None for zeros.
        RETURNS (tuple[Tensor, State | None]): (tokens, width) vectors; and what the LSTMs end
            with, if they started from a state.
        """
        if not len(windows.lengths):
            return vectors.new_zeros(0, self.width), state
        inputs = hidden = drop(vectors.index_select(0, windows.types), dropout)
        layout = lay_out(windows.lengths, self.directions, padded=state is None)
        ends = []
        for i, layer in enumerate(self.layers):
            rows = slice(i * self.directions, (i + 1) * self.directions)
            hidden, end = layer(hidden, layout, state and State(*(part[rows] for part in state)))
            hidden = drop(hidden, dropout)
            ends.append(end)
        beside = neighbours(inputs, windows.lengths) if self.n_inputs == 3 else ()
        ahead = (following(hidden, windows.lengths, 1 + i) for i in range(self.lookahead))
        outputs = torch.cat((hidden, *ahead, inputs, *beside), dim=1)
        if len(windows.kept) < len(outputs):
            outputs = outputs.index_select(0, windows.kept)
        return outputs, state and State(*map(torch.cat, zip(*ends, strict=True)))

    def grow(self, *, n_words: int, n_affixes: int, n_characters: int) -> None:
        """Make room for a larger vocabulary. What is new is what is UNKNOWN until it is trained.

        n_words, n_affixes, n_characters (int): As for the constructor.
        """
        self.words.grow(1 + n_words)
        if self.affixes is not None:
            self.affixes.grow(1 + n_affixes)
        if self.characters is not None:
            self.characters.embedding.grow(1 + n_characters)

    def start(self, n_windows: int) -> State:
        """Return the `State` before the first token: zeros."""
        lstms = [lstm for layer in self.layers for lstm in layer.lstms]  # type: ignore[union-attr]
        zeros = self.words.weight.new_zeros(len(lstms), n_windows, lstms[0].hidden_size)
        return State(zeros, zeros)


class TaggerNetwork(LSTMEncoder):
    """Score each label for each token: a linear layer over an `LSTMEncoder`.

    n_labels: Number of labels.
    sizes_and_widths: As `LSTMEncoder` takes them.
    """

    def __init__(self, *, n_labels: int, **sizes_and_widths: Any):
        super().__init__(**sizes_and_widths)
        self.output = GrowingLinear(self.width, n_labels)
        self.output_width = n_labels

    def grow_output(self, n_labels: int) -> None:
        """Add labels at the end. Until they are trained, they change no prediction."""
        self.output.grow(n_labels)
        self.output_width = n_labels

    def read(
        self,
        vectors: Tensor,
        windows: Windows,
        dropout: float = 0.0,
        state: State | None = None,
    ) -> tuple[Tensor, State | None]:
        """Return (tokens, labels) scores, and the LSTMs' `State`; arguments as the encoder's."""
        outputs, state = super().read(vectors, windows, dropout, state)
        with torch.autocast(outputs.device.type, enabled=False):  # close scores need all digits
            return self.output(outputs.to(self.output.weight.dtype)), state

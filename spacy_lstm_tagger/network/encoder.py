"""The LSTM encoder and tagger in PyTorch.

Axes: `types` are the distinct word forms of a batch, `tokens` its tokens, `positions` the tokens in
the order of their windows, `windows` the sequences that the LSTM reads. See `TypeIds` and
`Windows`.

The modules have no training mode: each call gets its dropout rate, so threads can share a module.
"""

from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

from ..prediction.config import EncoderConfig, Sizes, TaggerConfig
from ..prediction.types import TypeIds, Windows
from .growing import GrowingEmbedding, GrowingLinear
from .lstm import CharacterLSTM, LSTMLayer, State, following, lay_out, neighbours

DROPOUT_BITS = 16  # random bits per value


class VectorNetwork(nn.Module):
    """A network with one hidden layer over static vectors.

    vector_width: Width of the static vectors.
    width: Width of the output; the hidden layer is twice as wide.
    """

    def __init__(self, vector_width: int, width: int):
        super().__init__()
        self.hidden = nn.Linear(vector_width, 2 * width, dtype=torch.float32)
        self.output = nn.Linear(2 * width, width, bias=False, dtype=torch.float32)

    def forward(self, vectors: Tensor) -> Tensor:
        """*Shape:* (types, vector_width) to (types, width)."""
        return self.output(self.hidden(vectors).relu())


class LSTMEncoder(nn.Module):
    """Embed each word, and run an LSTM over the words.

    The embeddings of the word and its affixes are added up; the final states of an LSTM over its
    characters and a projection of its static vector are appended. Skip connections append to the
    LSTM's output for a word what the LSTM reads of this word and, unless it reads left to right
    only, of the two words beside it: local cues bypass the LSTM.

    config: The settings.
    sizes: The sizes that the training data decide.
    """

    def __init__(self, config: EncoderConfig, sizes: Sizes):
        super().__init__()
        self.config = config
        self.words = GrowingEmbedding(1 + sizes.n_words, config.word_width, differences=True)
        nn.init.zeros_(self.words.weight)
        self.affixes: GrowingEmbedding | None = None
        if config.affixes:
            self.affixes = GrowingEmbedding(1 + sizes.n_affixes, config.word_width)
            nn.init.normal_(self.affixes.weight, std=0.1)
        self.vectors: VectorNetwork | None = None
        if config.include_static_vectors:
            self.vectors = VectorNetwork(sizes.vector_width, config.word_width)
        self.characters: CharacterLSTM | None = None
        if config.character_lstm_width:
            self.characters = CharacterLSTM(
                sizes.n_characters,
                config.character_width,
                config.character_lstm_width,
                config.directions,
            )
        widths = [config.input_width, *[config.directions * config.lstm_width] * config.depth]
        self.layers = nn.ModuleList(
            LSTMLayer(below, config.lstm_width, config.directions) for below, _ in pairwise(widths)
        )
        self.output: nn.Module = nn.Identity()

    def forward(
        self,
        types: TypeIds,
        of_tokens: Tensor,
        windows: Windows,
        dropout: float = 0.0,
        state: State | None = None,
    ) -> tuple[Tensor, State | None]:
        """Embed the types of a batch, and read its windows: `embed` and `read` in one."""
        return self.read(self.embed(types), of_tokens, windows, dropout, state)

    def embed(self, types: TypeIds) -> Tensor:
        """Return (types, input_width): the input of the LSTM over words for each type.

        The row of a word is its difference from the row of UNKNOWN, and zeros at first. So a word
        that is in the vocabulary and was never trained is embedded as UNKNOWN is.
        """
        if not len(types.words):
            return self.words.weight.new_zeros(0, self.config.input_width)
        unknown, is_known = self.words.weight[0], (types.words > 0)[:, None]
        vectors = unknown + self.words(types.words) * is_known
        if self.affixes is not None:
            vectors = vectors + self.affixes(types.affixes).sum(dim=1)
        appended = []
        if self.characters is not None:
            appended.append(self.characters(types.spellings, types.spelling_lengths))
        if self.vectors is not None:
            appended.append(self.vectors(types.vectors))
        return torch.cat((vectors, *appended), dim=1)

    def read(
        self,
        vectors: Tensor,
        of_tokens: Tensor,
        windows: Windows,
        dropout: float = 0.0,
        state: State | None = None,
    ) -> tuple[Tensor, State | None]:
        """Run the LSTM over the windows of a batch.

        vectors (Tensor): (types, input_width) what `embed` returned.
        of_tokens (Tensor): (tokens,) the type of each token.
        windows (Windows): The windows, as tensors.
        dropout (float): Rate of dropout on the input and output of each LSTM over words.
        state (State | None): The initial state of the LSTMs, for each window; None for zeros.
        RETURNS (tuple[Tensor, State | None]): (kept, width) vectors or, of a tagger, (kept, labels)
            scores; and the final state of the LSTMs, if an initial one was given.
        """
        if not len(windows.lengths):
            return self.output(vectors.new_zeros(0, self.config.width)), state
        directions = self.config.directions
        inputs = hidden = drop(vectors.index_select(0, of_tokens[windows.tokens]), dropout)
        layout = lay_out(windows.lengths, directions, padded=state is None)
        ends = []
        for i, layer in enumerate(self.layers):
            rows = slice(i * directions, (i + 1) * directions)
            hidden, end = layer(
                hidden, layout, state and State(*(values[rows] for values in state))
            )
            hidden = drop(hidden, dropout)
            ends.append(end)
        n_following = self.config.n_states - directions
        ahead = (following(hidden, windows.lengths, 1 + i) for i in range(n_following))
        beside = neighbours(inputs, windows.lengths) if self.config.n_skips == 3 else ()
        outputs = torch.cat((hidden, *ahead, inputs, *beside), dim=1)
        if len(windows.kept) < len(outputs):
            outputs = outputs.index_select(0, windows.kept)
        return self.output(outputs), state and State(*map(torch.cat, zip(*ends, strict=True)))

    def grow(self, *, n_words: int, n_affixes: int, n_characters: int) -> None:
        """Make room for a larger vocabulary. New rows equal UNKNOWN until they are trained.

        n_words, n_affixes, n_characters (int): The new sizes, as in `Sizes`.
        """
        self.words.grow(1 + n_words)
        if self.affixes is not None:
            self.affixes.grow(1 + n_affixes)
        if self.characters is not None:
            self.characters.embedding.grow(1 + n_characters)

    def start(self, n_windows: int) -> State:
        """Return the `State` before the first token: zeros."""
        n_lstms = self.config.depth * self.config.directions
        zeros = self.words.weight.new_zeros(n_lstms, n_windows, self.config.lstm_width)
        return State(zeros, zeros)


class TaggerNetwork(LSTMEncoder):
    """A linear layer over an `LSTMEncoder`, which scores each label for each token.

    config: The settings.
    sizes: The sizes that the training data decide.
    """

    output: GrowingLinear

    def __init__(self, config: TaggerConfig, sizes: Sizes):
        super().__init__(config, sizes)
        self.output = GrowingLinear(config.width, sizes.n_labels)

    def grow_output(self, n_labels: int, peers: Sequence[Sequence[int]] | None = None) -> None:
        """Add labels at the end. They change no prediction until they are trained."""
        self.output.grow(n_labels, peers)


def network_of(config: EncoderConfig, sizes: Sizes) -> LSTMEncoder:
    """Make the network of a config, with random weights."""
    if isinstance(config, TaggerConfig):
        return TaggerNetwork(config, sizes)
    return LSTMEncoder(config, sizes)


def drop(vectors: Tensor, rate: float) -> Tensor:
    """Set values to zero at random, and scale the others up (dropout, Srivastava et al. 2014).

    On a CPU, PyTorch draws a random number of 32 bits for each value, one by one, which takes a
    tenth of a training step. Here four values share one number of 64 bits.

    vectors (Tensor): Of any shape.
    rate (float): The dropout rate, to a precision of 1 / 65,536.
    RETURNS (Tensor): Of the same shape and type.
    RAISES: ValueError if the rate is not from 0 to 1.
    """
    if not 0 <= rate <= 1:
        raise ValueError(f"dropout = {rate} must be from 0 to 1.")
    if not rate:
        return vectors
    n_draws = -(-vectors.numel() * DROPOUT_BITS // 64)
    draws = torch.empty(n_draws, dtype=torch.int64, device=vectors.device).random_(-(2**63), None)
    bits = draws.view(torch.int16)[: vectors.numel()].view_as(vectors)
    n_dropped = max(1, round(rate * 2**DROPOUT_BITS))  # of all values that the bits can have
    kept = bits > n_dropped - 1 - 2 ** (DROPOUT_BITS - 1)
    return vectors * (kept.to(vectors.dtype) / max(1 - rate, 2**-DROPOUT_BITS))

"""Integer ids in, vectors (`LSTMEncoder`) and scores (`TaggerNetwork`) out; pure PyTorch.

Axes: `types` distinct word forms of a batch, `positions` tokens in the order of their windows,
`tokens` tokens in the order of their texts, `windows` the stretches that the LSTM reads as one
sequence each. `TokenIds` says what the ids are.

The modules have no training mode: a call drops as much as its argument says, so that one module
may serve many threads at a time.
"""

from typing import TYPE_CHECKING, Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.nn.functional import dropout as drop
from torch.nn.utils.rnn import PackedSequence

if TYPE_CHECKING:
    from .features import TokenIds


class State(NamedTuple):
    """What an LSTM hands from one stretch to the next.

    hidden, cell: (layers * directions, windows, width) each.
    """

    hidden: Tensor
    cell: Tensor


class Packing(NamedTuple):
    """How sequences that stand one after another are laid out step by step, without padding.

    order: (positions,) which position stands at each place of the layout.
    batch_sizes: (steps,) how many sequences are still going on at each step; on the CPU.
    ranks: (sequences,) the sequences, longest first.
    """

    order: Tensor
    batch_sizes: Tensor
    ranks: Tensor


def pack(lengths: Tensor) -> Packing:
    """Lay out sequences as `PackedSequence` wants them.

    lengths: (sequences,) each at least 1.
    """
    ranked, ranks = lengths.sort(descending=True, stable=True)
    starts = (lengths.cumsum(0) - lengths)[ranks]
    steps = torch.arange(int(ranked[0]), device=lengths.device)[:, None]
    going_on = steps < ranked
    return Packing((steps + starts)[going_on], going_on.sum(1).cpu(), ranks)


def inverse(permutation: Tensor) -> Tensor:
    """Return the permutation that undoes the given one, both (n,)."""
    undo = torch.empty_like(permutation)
    undo[permutation] = torch.arange(len(permutation), device=permutation.device)
    return undo


class CharacterLSTM(nn.Module):
    """Read each word character by character (Ling et al. 2015).

    n_characters: Size of the vocabulary, UNKNOWN not counted.
    character_width: Width of the embedding of a character.
    lstm_width: Width of the LSTM, per direction.
    bidirectional: Whether to read in both directions.
    """

    def __init__(
        self, n_characters: int, character_width: int, lstm_width: int, bidirectional: bool
    ):
        super().__init__()
        self.embedding = nn.Embedding(1 + n_characters, character_width)
        nn.init.normal_(self.embedding.weight, std=0.3)
        self.lstm = nn.LSTM(character_width, lstm_width, bidirectional=bidirectional)

    def forward(self, spellings: Tensor, lengths: Tensor) -> Tensor:
        """Return (types, directions * lstm_width): the final hidden state for each type.

        spellings: (characters,) ids of the characters of all types, one type after another.
        lengths: (types,) how many characters each type has.
        """
        order, batch_sizes, ranks = pack(lengths)
        packed = PackedSequence(self.embedding(spellings[order]), batch_sizes)
        _, (hidden, _) = self.lstm(packed)  # (directions, types, lstm_width)
        return hidden.transpose(0, 1).flatten(1)[inverse(ranks)]


class LSTMEncoder(nn.Module):
    """Embed each word by all that is known of its form, and run an LSTM over the words.

    The word's embedding, those of its affixes and its projected static vector are added up; what
    the LSTM over its characters ends with is appended.

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
    ):
        super().__init__()
        self.directions = 2 if bidirectional else 1
        self.width = self.directions * lstm_width
        self.words = nn.Embedding(1 + n_words, word_width)
        nn.init.zeros_(self.words.weight)
        self.affixes = nn.Embedding(1 + n_affixes, word_width) if affixes else None
        if self.affixes is not None:
            nn.init.normal_(self.affixes.weight, std=0.1)
        self.vectors = (
            nn.Linear(vector_width, word_width, bias=False) if include_static_vectors else None
        )
        self.characters = (
            CharacterLSTM(n_characters, character_width, character_lstm_width, bidirectional)
            if character_lstm_width
            else None
        )
        input_width = word_width + self.directions * character_lstm_width
        self.lstms = nn.ModuleList(
            nn.LSTM(self.width if layer else input_width, lstm_width, bidirectional=bidirectional)
            for layer in range(depth)
        )

    def forward(
        self, ids: "TokenIds", dropout: float = 0.0, state: State | None = None
    ) -> tuple[Tensor, State]:
        """Encode the windows of a batch.

        ids (TokenIds): The batch, as tensors.
        dropout (float): Rate of dropout on the input and output of each LSTM over words.
        state (State): What the LSTM starts from, windows as in `ids`; None for zeros.
        RETURNS (tuple[Tensor, State]): (tokens, width) vectors, and what the LSTM ends with.
        """
        if not len(ids.window_lengths):
            zeros = self.words.weight.new_zeros
            n_states, width = len(self.lstms) * self.directions, self.width // self.directions
            return zeros(0, self.width), State(*zeros(2, n_states, 0, width))
        vectors = self.embed(ids)[ids.types]
        order, batch_sizes, ranks = pack(ids.window_lengths)
        packed = drop(vectors[order], dropout)
        ends: list[tuple[Tensor, Tensor]] = []
        for layer, lstm in enumerate(self.lstms):
            begin = None
            if state is not None:
                rows = slice(layer * self.directions, (layer + 1) * self.directions)
                begin = (state.hidden[rows, ranks], state.cell[rows, ranks])
            output, end = lstm(PackedSequence(packed, batch_sizes), begin)
            packed = drop(output.data, dropout)
            ends.append(end)
        back = inverse(ranks)
        hidden, cell = (torch.cat(parts)[:, back] for parts in zip(*ends, strict=True))
        return packed[inverse(order)[ids.kept]], State(hidden, cell)

    def embed(self, ids: "TokenIds") -> Tensor:
        """Return (types, input_width): what the LSTM over words reads of each type.

        A word's embedding is its difference from an unknown word, zero at first; so a word that
        was never seen in training is an unknown word, although it is in the vocabulary.
        """
        unknown, is_known = self.words.weight[0], (ids.words > 0)[:, None]
        vectors = unknown + self.words(ids.words) * is_known
        if self.affixes is not None:
            vectors = vectors + self.affixes(ids.affixes).sum(dim=1)
        if self.vectors is not None:
            vectors = vectors + self.vectors(ids.vectors)
        if self.characters is None:
            return vectors
        spelled = self.characters(ids.spellings, ids.spelling_lengths)
        return torch.cat((vectors, spelled), dim=1)


class TaggerNetwork(nn.Module):
    """Score each label for each token: a linear layer over an `LSTMEncoder`.

    n_labels: Number of labels.
    sizes_and_widths: As `LSTMEncoder` takes them.
    """

    def __init__(self, *, n_labels: int, **sizes_and_widths: Any):
        super().__init__()
        self.encoder = LSTMEncoder(**sizes_and_widths)
        self.output = nn.Linear(self.encoder.width, n_labels)

    def forward(
        self, ids: "TokenIds", dropout: float = 0.0, state: State | None = None
    ) -> tuple[Tensor, State]:
        """Return (tokens, labels) scores, and the encoder's `State`; arguments as the encoder's."""
        vectors, state = self.encoder(ids, dropout, state)
        return self.output(vectors), state

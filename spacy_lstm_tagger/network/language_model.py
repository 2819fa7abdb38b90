"""Hidden states in, how surprising the words beside them are out; pure PyTorch."""

from torch import Tensor, nn

CUTOFFS = (
    1000,
    5000,
)  # more frequent words get more of the width, and less time (Grave et al. 2017)


class NeighbourPredictor(nn.Module):
    """Guess the next word from what an LSTM knows after each word, and the word before from what
    one that reads backwards knows (Peters et al. 2017; Rei 2017).

    n_words: How many words it tells apart, at least 2.
    lstm_width: Width of the LSTM, per direction.
    directions: 1 for left to right only, 2 for right to left as well.
    """

    def __init__(self, n_words: int, lstm_width: int, directions: int):
        super().__init__()
        cutoffs = sorted({min(cutoff, n_words - 1) for cutoff in CUTOFFS})
        self.lstm_width = lstm_width
        self.outputs = nn.ModuleList(
            nn.AdaptiveLogSoftmaxWithLoss(lstm_width, n_words, cutoffs) for _ in range(directions)
        )

    def forward(self, vectors: Tensor, words: Tensor, is_followed: Tensor) -> Tensor:
        """Return (1,) the sum over all guesses of minus the logarithm of the right word's
        probability.

        vectors (Tensor): (tokens, width) what an `LSTMEncoder` of one layer returns: first the
            hidden states of each direction.
        words (Tensor): (tokens,) the number of each word.
        is_followed (Tensor): (tokens,) whether the next token stands in the same text.
        """
        before = is_followed.nonzero()[:, 0]
        pairs = (before, before + 1), (before + 1, before)
        hidden = vectors.split(self.lstm_width, dim=1)
        loss = vectors.sum()[None] * 0  # which has a gradient, even if no word has a neighbour
        if len(before):
            for (known, guessed), states, output in zip(pairs, hidden, self.outputs, strict=False):
                loss = loss - output(states[known], words[guessed]).output.sum()
        return loss

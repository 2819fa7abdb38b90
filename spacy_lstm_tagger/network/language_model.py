"""Language-model loss, for pretraining."""

from torch import Tensor, nn

# Ranks that divide frequent words from rarer ones, which get less width (Grave et al. 2017).
CUTOFFS = (1000, 5000)


class NeighbourPredictor(nn.Module):
    """Predict the next word from the hidden state after each word; for an LSTM that also reads
    backwards, predict the previous word from its backward state (Peters et al. 2017; Rei 2017).

    n_words: Number of words in the softmax, at least 2.
    lstm_width: Width of the LSTM, per direction.
    directions: 1 for left to right only, 2 for both.
    """

    def __init__(self, n_words: int, lstm_width: int, directions: int):
        super().__init__()
        cutoffs = sorted({min(cutoff, n_words - 1) for cutoff in CUTOFFS})
        self.lstm_width = lstm_width
        self.outputs = nn.ModuleList(
            nn.AdaptiveLogSoftmaxWithLoss(lstm_width, n_words, cutoffs) for _ in range(directions)
        )

    def forward(self, vectors: Tensor, words: Tensor, is_followed: Tensor) -> Tensor:
        """Return (1,) the negative log-likelihood, summed over all predictions.

        vectors (Tensor): (tokens, width) the output of an `LSTMEncoder` of one layer, which begins
            with the hidden states of each direction.
        words (Tensor): (tokens,) the number of each word.
        is_followed (Tensor): (tokens,) whether the next token belongs to the same text.
        """
        before = is_followed.nonzero()[:, 0]
        pairs = (before, before + 1), (before + 1, before)
        hidden = vectors.split(self.lstm_width, dim=1)
        loss = vectors.sum()[None] * 0  # so that there is a gradient even without neighbours
        if len(before):
            for (known, target), states, output in zip(pairs, hidden, self.outputs, strict=False):
                loss = loss - output(states[known], words[target]).output.sum()
        return loss

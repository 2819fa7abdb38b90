"""Evaluation of a pipeline token by token, and the statistics of its accuracy."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, cast

import numpy
from numpy.typing import NDArray
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import minibatch

from ..pipeline.labels import labels_of, labels_of_words, score_labels
from ..pipeline.pairing import bare_copy, describe, make_doc, run_pipeline
from ..pipeline.probabilities import confidences
from ..pipeline.tagger import LSTMTagger
from .io import networks_of, progress

BATCH_SIZE = 128
NOT_TAGGED = "(none)"  # the label of tokens that a pipeline left without one
N_SAMPLES, N_PERMUTATIONS = 2_000, 10_000

Strings = NDArray[numpy.str_]
Ints = NDArray[numpy.int64]
Floats = NDArray[numpy.float64]


class Evaluation(NamedTuple):
    """Scored tokens: those with a gold label.

    sentences: The words of each sentence, with trailing spaces. A Doc without sentence boundaries
        is one sentence.
    sentence, place: (tokens,) index of a token's sentence, and its position there.
    doc: (tokens,) index of its Doc.
    gold, predicted: (tokens,) its labels.
    confidence: (tokens,) probability of the predicted label; None without probabilities.
    n_gold: Number of labelled tokens in the corpus. It is larger than the number of scored tokens
        if the pipeline's tokenization differs.
    spacy_accuracy: Accuracy by `spacy evaluate`, where tokenization differences count as errors.
    """

    sentences: list[list[str]]
    sentence: Ints
    place: Ints
    doc: Ints
    gold: Strings
    predicted: Strings
    confidence: Floats | None
    n_gold: int
    spacy_accuracy: float

    @property
    def right(self) -> NDArray[numpy.bool_]:
        """(tokens,) whether the predicted label is the gold label."""
        return cast(NDArray[numpy.bool_], self.gold == self.predicted)

    @property
    def words(self) -> list[str]:
        """The words of the tokens."""
        pairs = zip(self.sentence.tolist(), self.place.tolist(), strict=True)
        return [self.sentences[sentence][place].rstrip(" ") for sentence, place in pairs]


def evaluate(
    nlp: Language, references: Sequence[Doc], attribute: str, *, own_tokens: bool = False
) -> Evaluation:
    """Run a pipeline over the texts of annotated Docs.

    nlp (Language): The pipeline. From now on its taggers of this attribute store probabilities.
    references (Sequence[Doc]): The annotated Docs.
    attribute (str): "tag", "pos", "morph", or the name of an extension.
    own_tokens (bool): Whether the pipeline tokenizes the texts. Only tokens that are also in the
        corpus are scored then. By default, and for Docs whose spaces are unknown, the pipeline gets
        the tokens of the corpus.
    RETURNS (Evaluation): The scored tokens.
    RAISES: ValueError if no token can be scored, or if the pipeline doesn't write the attribute.
    """
    scheme = None
    for _, pipe in nlp.pipeline:
        if isinstance(pipe, LSTMTagger) and pipe.attribute == attribute:
            pipe.store_probabilities = True
            scheme = pipe.scheme
    examples = list(progress(_examples(nlp, references, own_tokens), "Tagging", len(references)))
    if not any(any(labels_of(example.x, attribute)) for example in examples):
        raise ValueError(f"the pipeline writes no {attribute}")
    sentences: list[list[str]] = []
    rows: list[tuple[int, int, int, str, str, float]] = []
    for n_doc, example in enumerate(examples):
        starts = example.get_aligned_sent_starts()
        for i, row in enumerate(_rows(example, attribute, scheme)):
            if i == 0 or starts[i] == 1:
                sentences.append([])
            sentences[-1].append(example.x[i].text_with_ws)
            if row:
                rows.append((len(sentences) - 1, len(sentences[-1]) - 1, n_doc, *row))
    if not rows:
        raise ValueError(f"the pipeline and the corpus have no token in common with a {attribute}")
    sentence, place, doc, gold, predicted, sure = map(numpy.asarray, zip(*rows, strict=True))
    return Evaluation(
        sentences,
        sentence,
        place,
        doc,
        gold,
        predicted,
        confidence=None if numpy.isnan(sure).all() else sure,
        n_gold=sum(sum(map(bool, labels_of(example.y, attribute))) for example in examples),
        spacy_accuracy=score_labels(examples, attribute=attribute, scheme=scheme)[
            f"{attribute}_acc"
        ],
    )


def _rows(
    example: Example, attribute: str, scheme: str | None
) -> Iterator[tuple[str, str, float] | None]:
    """Yield the gold label, predicted label and confidence of each token; None for tokens without a
    gold label, and for tokens that the corpus doesn't have.
    """
    to_gold, from_gold = example.alignment.x2y, example.alignment.y2x
    gold: Sequence[str | None] = labels_of(example.y, attribute)
    if scheme is not None:  # gold labels that break it are read as in training
        gold = labels_of_words(example.y, attribute, scheme)
    predicted, confidence = labels_of(example.x, attribute), _confidence(example.x, attribute)
    for i, label in enumerate(predicted):
        same = [j for j in to_gold[i].tolist() if from_gold.lengths[j] == 1]
        right = gold[same[0]] if to_gold.lengths[i] == 1 and same else None
        yield (right, label or NOT_TAGGED, confidence[i]) if right else None


def _examples(nlp: Language, references: Iterable[Doc], own_tokens: bool) -> Iterator[Example]:
    def make(reference: Doc) -> Doc:
        if own_tokens and not reference.has_unknown_spaces:
            return make_doc(nlp, reference.text)
        return bare_copy(reference, nlp.vocab)

    for batch in minibatch(references, BATCH_SIZE):
        for doc, reference in zip(run_pipeline(nlp, batch, make), batch, strict=True):
            if isinstance(doc, Exception):
                text = f"'{reference.text:.60}'"
                raise ValueError(f"the pipeline failed on {text}: {describe(doc)}") from doc
            yield Example(doc, reference)


def _confidence(doc: Doc, attribute: str) -> list[float]:
    """Return the probability of each token's label; NaN without probabilities."""
    name = f"{attribute}_probabilities"
    if not Doc.has_extension(name) or doc._.get(name) is None:
        return [float("nan")] * len(doc)
    return confidences(doc, attribute)


def known_words(nlp: Language) -> set[str] | None:
    """Return the words, in lower case, that a pipeline's models learnt; None if no model has a
    vocabulary.
    """
    return {word for network in networks_of(nlp) for word in network.vocabulary.words} or None


def word_counts(docs: Iterable[Doc]) -> Counter[str]:
    """Count the words, in lower case."""
    return Counter(token.text.lower() for doc in docs for token in doc)


def bootstrap_interval(right: Ints, total: Ints) -> tuple[float, float]:
    """Return the 95% confidence interval of an accuracy, by resampling sentences (Efron 1979).

    right, total (Ints): (sentences,) number of right tokens, and of all tokens.
    """
    random, n = numpy.random.default_rng(0), len(total)
    samples = (random.integers(0, n, n) for _ in range(N_SAMPLES))
    accuracies = [right[drawn].sum() / total[drawn].sum() for drawn in samples]
    low, high = numpy.quantile(accuracies, [0.025, 0.975])
    return float(low), float(high)


def permutation_p(first: Ints, second: Ints) -> float:
    """Return the p-value of a paired permutation test over sentences (Yeh 2000): how often permuted
    counts differ as much as the real ones.

    first, second (Ints): (sentences,) number of right labels of each tagger.
    """
    differences = (first - second)[first != second]
    random, observed = numpy.random.default_rng(0), abs(differences.sum())
    signs = (2 * random.integers(0, 2, len(differences)) - 1 for _ in range(N_PERMUTATIONS))
    n_extreme = sum(abs(some @ differences) >= observed for some in signs)
    return float(n_extreme + 1) / (N_PERMUTATIONS + 1)


def per_sentence(values: Any, sentence: Ints, n_sentences: int) -> Ints:
    """Sum the values of tokens for each sentence."""
    return numpy.bincount(sentence, weights=values, minlength=n_sentences).astype("int64")

"""A pipeline and annotated Docs in; what it said of each token out, beside the gold label."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple, cast

import numpy
from numpy.typing import NDArray
from spacy.language import Language
from spacy.morphology import Morphology
from spacy.tokens import Doc
from spacy.training import Example

from ..pipeline.scorer import score_labels
from ..pipeline.tagger import LSTMTagger
from .io import progress

BATCH_SIZE = 128
NOT_TAGGED = "(none)"  # what stands for the label of a token to which a pipeline gave none

Strings = NDArray[numpy.str_]
Ints = NDArray[numpy.int64]
Floats = NDArray[numpy.float64]


class Evaluation(NamedTuple):
    """The tokens that have a gold label.

    sentences: The words of each sentence, with the spaces that follow them; where a Doc has no
        sentences, it is one.
    sentence, place: (tokens,) the sentence of a token, and its place there.
    doc: (tokens,) the number of its Doc.
    gold, predicted: (tokens,) its labels.
    confidence: (tokens,) the probability of the predicted label; none without probabilities.
    n_gold: How many tokens of the corpus have a label; more than there are tokens here where the
        tokenizer cuts texts otherwise than the corpus does.
    spacy_accuracy: What `spacy evaluate` says, which also counts tokens that are cut otherwise.
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

    nlp (Language): The pipeline; its taggers of the attribute store probabilities from now on.
    references (Sequence[Doc]): The annotated Docs.
    attribute (str): "tag", "pos" or "morph".
    own_tokens (bool): Whether to score the tokens that the pipeline makes of the text, where they
        are tokens of the corpus, too; or the tokens of the corpus. Where it isn't known which words
        have spaces between them, there is no text, and the corpus has the tokens, as in spaCy.
    RETURNS (Evaluation): The scored tokens.
    RAISES: ValueError if no token can be scored, or if the pipeline writes no such attribute.
    """
    for name in nlp.pipe_names:
        pipe = nlp.get_pipe(name)
        if isinstance(pipe, LSTMTagger) and pipe.attribute == attribute:
            pipe.store_probabilities = True
    examples = list(progress(_examples(nlp, references, own_tokens), "Tagging", len(references)))
    if not any(any(_labels(example.x, attribute)) for example in examples):
        raise ValueError(f"the pipeline writes no {attribute}")
    sentences: list[list[str]] = []
    rows: list[tuple[int, int, int, str, str, float]] = []
    for n_doc, example in enumerate(examples):
        starts = example.get_aligned_sent_starts()
        for i, row in enumerate(_rows(example, attribute)):
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
        n_gold=sum(sum(map(bool, _labels(example.y, attribute))) for example in examples),
        spacy_accuracy=score_labels(examples, attribute=attribute)[f"{attribute}_acc"],
    )


def _rows(example: Example, attribute: str) -> Iterator[tuple[str, str, float] | None]:
    """Yield gold label, predicted label and confidence of each token; None for a token that has no
    gold label, or that the corpus cuts otherwise.
    """
    to_gold, from_gold = example.alignment.x2y, example.alignment.y2x
    gold = _labels(example.y, attribute)
    predicted, confidence = _labels(example.x, attribute), _confidence(example.x, attribute)
    for i, label in enumerate(predicted):
        same = [j for j in to_gold[i].tolist() if from_gold.lengths[j] == 1]
        if to_gold.lengths[i] == 1 and same and gold[same[0]]:
            yield gold[same[0]], label or NOT_TAGGED, confidence[i]
        else:
            yield None


def _examples(nlp: Language, references: Iterable[Doc], own_tokens: bool) -> Iterator[Example]:
    references = list(references)
    docs = (
        nlp.make_doc(reference.text)
        if own_tokens and not reference.has_unknown_spaces
        else Doc(
            nlp.vocab,
            words=[token.text for token in reference],
            spaces=[bool(token.whitespace_) for token in reference],
        )
        for reference in references
    )
    for doc, reference in zip(nlp.pipe(docs, batch_size=BATCH_SIZE), references, strict=True):
        yield Example(doc, reference)


def _labels(doc: Doc, attribute: str) -> list[str]:
    strings = doc.vocab.strings
    return [strings[value] for value in doc.to_array(attribute.upper()).tolist()]


def _confidence(doc: Doc, attribute: str) -> list[float]:
    """Return the probability of each token's label; NaN without probabilities."""
    name = f"{attribute}_probabilities"
    probabilities = doc._.get(name) if Doc.has_extension(name) else None
    if probabilities is None:
        return [float("nan")] * len(doc)
    ids = {label: i for i, label in enumerate(doc._.get(f"{attribute}_labels"))}
    if attribute == "morph":
        ids.setdefault("", ids.get(Morphology.EMPTY_MORPH, -1))
    chosen = [ids.get(label, -1) for label in _labels(doc, attribute)]
    return [float(row[i]) if i >= 0 else 0.0 for row, i in zip(probabilities, chosen, strict=True)]


def known_words(nlp: Language) -> set[str] | None:
    """Return the words that the models of a pipeline learnt, in lower case; None if they don't
    tell.
    """
    words: set[str] = set()
    for _, pipe in nlp.pipeline:
        model: Any = getattr(pipe, "model", None)
        for node in model.walk() if model is not None else ():
            for shim in node.shims:
                words.update(getattr(getattr(shim, "vocabulary", None), "words", ()))
    return words or None


def word_counts(docs: Iterable[Doc]) -> Counter[str]:
    """Return how often each word occurs, in lower case."""
    return Counter(token.text.lower() for doc in docs for token in doc)

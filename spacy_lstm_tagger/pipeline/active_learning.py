"""A stream of texts in; the sentences or tokens of which a tagger is least sure out."""

from collections.abc import Callable, Iterable, Iterator
from itertools import islice
from typing import NamedTuple, cast

import numpy
from numpy.typing import NDArray
from spacy.language import Language
from spacy.tokens import Doc, Span
from thinc.types import Floats2d

from .probabilities import check_number
from .tagger import find_tagger

BATCH_SIZE = 256
LEVELS = ("sentence", "token")
CERTAIN = 10  # tokens that are added to a sentence, so that those of one odd word don't come first

Floats = NDArray[numpy.float64]


def entropy(probabilities: Floats) -> Floats:
    """Return (tokens,) the entropy of each token's labels: 0 if one is certain, 1 if all are as
    probable.
    """
    logs = numpy.log(numpy.maximum(probabilities, numpy.finfo(probabilities.dtype).tiny))
    return cast(Floats, -(probabilities * logs).sum(axis=1) / max(1.0, numpy.log(logs.shape[1])))


def margin(probabilities: Floats) -> Floats:
    """Return (tokens,) 1 less the distance between the two most probable labels."""
    if probabilities.shape[1] < 2:
        return numpy.zeros(len(probabilities))
    second, first = numpy.partition(probabilities, -2, axis=1)[:, -2:].T
    return cast(Floats, 1 - (first - second))


def confidence(probabilities: Floats) -> Floats:
    """Return (tokens,) 1 less the probability of the most probable label."""
    return cast(Floats, 1 - probabilities.max(axis=1))


MEASURES: dict[str, Callable[[Floats], Floats]] = {
    "entropy": entropy,
    "margin": margin,
    "confidence": confidence,
}


class Uncertain(NamedTuple):
    """A sentence that is worth to be annotated, or one token of it.

    score: How unsure the tagger is, from 0 to 1.
    text: Which text of the stream it is from, counted from 0.
    sentence: The words and the spaces of the sentence.
    start_char: Where the sentence begins in that text.
    token: The token in the sentence; None for the sentence as a whole.
    labels, confidences: The most probable label of each token of the sentence, and its probability.
    """

    score: float
    text: int
    sentence: list[tuple[str, str]]
    start_char: int
    token: int | None
    labels: list[str]
    confidences: list[float]


def uncertain(
    nlp: Language,
    texts: Iterable[str | Doc],
    n: int = 100,
    *,
    level: str = "sentence",
    measure: str = "entropy",
    component: str | None = None,
    batch_size: int = BATCH_SIZE,
) -> list[Uncertain]:
    """Choose what to annotate next. The stream is read once, and what isn't chosen is not kept.

    The score of a sentence is the mean of its tokens and of ten more that are certain: else
    sentences of one odd word would come first. Of sentences with the same words, in any case, only
    one is chosen; so it is with tokens that have the same word and the same words beside it.

    nlp (Language): The pipeline. If it finds sentences, texts are cut into these.
    texts (Iterable[str | Doc]): The texts, or Docs that are not tagged yet.
    n (int): How many to choose at most.
    level (str): "sentence" or "token".
    measure (str): "entropy", "margin" or "confidence".
    component (str | None): Name of the `lstm_tagger`; None for the first one.
    batch_size (int): How many texts to read side by side.
    RETURNS (list[Uncertain]): The chosen, the least sure first.
    RAISES: ValueError if a setting is wrong, or if there is no such component.
    """
    n, batch_size = check_number("n", n), check_number("batch_size", batch_size)
    if isinstance(texts, str | Doc):
        raise ValueError(f"a list of texts is needed, not one: {texts!r:.40}")
    for name, value, allowed in [("level", level, LEVELS), ("measure", measure, [*MEASURES])]:
        if value not in allowed:
            raise ValueError(f"{name} = {value!r} must be one of {', '.join(allowed)}")
    chosen: dict[tuple[str, ...], Uncertain] = {}
    for number, doc, probabilities, labels in _read(nlp, texts, component, batch_size):
        scores = MEASURES[measure](numpy.asarray(probabilities, dtype="float64"))
        for sentence in doc.sents if doc.has_annotation("SENT_START") else [doc[:]]:
            candidates = _candidates(sentence, number, scores, probabilities, labels, level)
            for key, found in candidates:
                if key not in chosen or chosen[key].score < found.score:
                    chosen[key] = found
        if len(chosen) > 2 * n + BATCH_SIZE:
            chosen = _best(chosen, n)
    return list(_best(chosen, n).values())


def _read(
    nlp: Language, texts: Iterable[str | Doc], component: str | None, batch_size: int
) -> Iterator[tuple[int, Doc, Floats2d, tuple[str, ...]]]:
    """Yield the number of each text that is not empty, its Doc, the probabilities of its tokens'
    labels, and the labels.
    """
    name, tagger = find_tagger(nlp, component)
    docs = enumerate(nlp.pipe(texts, batch_size=batch_size, disable=[name]))
    while batch := list(islice(docs, batch_size)):
        found = tagger.predict_probabilities([doc for _, doc in batch])
        for (number, doc), probabilities in zip(batch, found, strict=True):
            if len(doc):
                yield number, doc, probabilities, tagger.labels


def _candidates(
    sentence: Span,
    number: int,
    scores: Floats,
    probabilities: Floats2d,
    labels: tuple[str, ...],
    level: str,
) -> Iterator[tuple[tuple[str, ...], Uncertain]]:
    """Yield what can be chosen of a sentence, each with what it must not have in common with
    another one.
    """
    part = slice(sentence.start, sentence.end)
    words = [token.text.lower() for token in sentence]
    best = probabilities[part].argmax(axis=1).tolist()
    whole = Uncertain(
        score=float(scores[part].sum() / (len(words) + CERTAIN)),
        text=number,
        sentence=[(token.text, token.whitespace_) for token in sentence],
        start_char=sentence.start_char,
        token=None,
        labels=[labels[i] for i in best],
        confidences=probabilities[part].max(axis=1).tolist(),
    )
    if level == "sentence":
        yield tuple(words), whole
        return
    padded = ["", *words, ""]
    for i, score in enumerate(scores[part].tolist()):
        yield tuple(padded[i : i + 3]), whole._replace(score=score, token=i)


def _best(chosen: dict[tuple[str, ...], Uncertain], n: int) -> dict[tuple[str, ...], Uncertain]:
    """Keep the n with the highest scores, the highest first; of equals, the first to come."""
    ordered = sorted(chosen.items(), key=lambda item: -item[1].score)
    return dict(ordered[:n])

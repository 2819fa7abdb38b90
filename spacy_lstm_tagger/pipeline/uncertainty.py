"""A stream of texts in; the sentences or tokens of which a tagger is least sure out."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple, cast

import numpy
from numpy.typing import NDArray
from spacy.language import Language
from spacy.tokens import Doc, Span
from thinc.types import Floats2d

from .confidence import check_number
from .finding import find_tagger
from .pairing import make_doc, run_pipeline
from .tagger import LSTMTagger

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
    on_error: Callable[[int, Exception], object] | None = None,
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
    on_error (Callable[[int, Exception], object] | None): Takes the number of a text that can't be
        tagged, and the error; None to raise it.
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
    for number, doc, probabilities, labels in _read(nlp, texts, component, batch_size, on_error):
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
    nlp: Language,
    texts: Iterable[str | Doc],
    component: str | None,
    batch_size: int,
    on_error: Callable[[int, Exception], object] | None,
) -> Iterator[tuple[int, Doc, Floats2d, tuple[str, ...]]]:
    """Yield the number of each text that is not empty, its Doc, the probabilities of its tokens'
    labels, and the labels.
    """
    name, tagger = find_tagger(nlp, component)
    numbered = enumerate(texts)
    while batch := list(islice(numbered, batch_size)):
        docs = run_pipeline(nlp, batch, lambda item: _make_doc(nlp, item[1]), disable=[name])
        for (number, _), found in zip(batch, _probabilities(tagger, docs), strict=True):
            if not isinstance(found, Exception):
                if len(found[0]):
                    yield number, *found, tagger.labels
            elif on_error is None:
                raise found
            else:
                on_error(number, found)


def _make_doc(nlp: Language, text: str | Doc) -> Doc:
    return text.copy() if isinstance(text, Doc) else make_doc(nlp, text)


def _probabilities(
    tagger: LSTMTagger, docs: Sequence[Doc | Exception]
) -> list[tuple[Doc, Floats2d] | Exception]:
    """Return each Doc with the probabilities of its labels, or the error that it causes."""
    good = [doc for doc in docs if isinstance(doc, Doc)]
    try:
        found = iter(tagger.predict_probabilities(good))
        return [(doc, next(found)) if isinstance(doc, Doc) else doc for doc in docs]
    except Exception as error:
        if len(docs) == 1:
            return [error]
    return [result for doc in docs for result in _probabilities(tagger, [doc])]


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
    places = [i for i, token in enumerate(sentence) if not token.text.isspace()]
    if not places:
        return
    words = [sentence[i].text.lower() for i in places]
    of_words = scores[part][places]  # white space has no label
    best = probabilities[part].argmax(axis=1).tolist()
    whole = Uncertain(
        score=float(of_words.sum() / (len(words) + CERTAIN)),
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
    for i, (place, score) in enumerate(zip(places, of_words.tolist(), strict=True)):
        yield tuple(padded[i : i + 3]), whole._replace(score=score, token=place)


def _best(chosen: dict[tuple[str, ...], Uncertain], n: int) -> dict[tuple[str, ...], Uncertain]:
    """Keep the n with the highest scores, the highest first; of equals, the first to come."""
    ordered = sorted(chosen.items(), key=lambda item: -item[1].score)
    return dict(ordered[:n])

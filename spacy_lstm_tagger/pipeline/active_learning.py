"""Active learning: the sentences or tokens that a tagger is least sure about."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from typing import NamedTuple

import numpy
from numpy.typing import NDArray
from spacy.attrs import IS_SPACE
from spacy.language import Language
from spacy.tokens import Doc
from thinc.types import Floats2d

from .pairing import make_doc, run_pipeline
from .probabilities import check_number, space_label
from .tagger import LSTMTagger, find_tagger

BATCH_SIZE = 256
LEVELS = ("sentence", "token")
CERTAIN = 10  # imaginary certain tokens of each sentence: sentences of one word rank lower

Floats = NDArray[numpy.float64]


def entropy(probabilities: Floats) -> Floats:
    """Return (tokens,) the entropy of each token's labels: 0 if one is certain, 1 if all are
    equally probable.
    """
    logs = numpy.log(numpy.maximum(probabilities, numpy.finfo(probabilities.dtype).tiny))
    return -(probabilities * logs).sum(axis=1) / max(1.0, float(numpy.log(logs.shape[1])))


def margin(probabilities: Floats) -> Floats:
    """Return (tokens,) 1 minus the difference between the two most probable labels."""
    if probabilities.shape[1] < 2:
        return numpy.zeros(len(probabilities))
    second, first = numpy.partition(probabilities, -2, axis=1)[:, -2:].T
    return 1 - (first - second)


def least_confidence(probabilities: Floats) -> Floats:
    """Return (tokens,) 1 minus the probability of the most probable label."""
    return 1 - probabilities.max(axis=1)


MEASURES: dict[str, Callable[[Floats], Floats]] = {
    "entropy": entropy,
    "margin": margin,
    "confidence": least_confidence,
}


class Uncertain(NamedTuple):
    """A sentence worth annotating, or one token of it.

    score: How unsure the tagger is, from 0 to 1.
    text: The number of its text in the stream, from 0 on.
    sentence: The words and the spaces of the sentence.
    start_char: The offset of the sentence in the text.
    token: The number of the token in the sentence; None for the whole sentence.
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
    """Choose what to annotate next. The stream is read once, and only what may be chosen is kept.

    The score of a sentence is the mean of its tokens and of ten more that are certain; otherwise
    sentences of one odd word would come first. Of sentences that differ in case only, one is
    chosen, as of tokens whose word and neighbours differ in case only.

    nlp (Language): The pipeline. If it sets sentence boundaries, texts are split into sentences.
    texts (Iterable[str | Doc]): The texts, or Docs that are not tagged yet.
    n (int): The maximum number to choose.
    level (str): "sentence" or "token".
    measure (str): "entropy", "margin" or "confidence".
    component (str | None): Name of the tagger; None for the first one.
    batch_size (int): How many texts to read at a time.
    on_error (Callable[[int, Exception], object] | None): Takes the number of a text that can't be
        tagged, and the error; None to raise it.
    RETURNS (list[Uncertain]): The chosen ones, the least sure first.
    RAISES: ValueError if a setting is wrong, or if there is no such component.
    """
    n, batch_size = check_number("n", n), check_number("batch_size", batch_size)
    if isinstance(texts, str | Doc):
        raise ValueError(f"a list of texts is needed, not one: {texts!r:.40}")
    for name, value, allowed in [("level", level, LEVELS), ("measure", measure, [*MEASURES])]:
        if value not in allowed:
            raise ValueError(f"{name} = {value!r} must be one of {', '.join(allowed)}")
    chosen: dict[tuple[str, ...], Uncertain] = {}
    name, tagger = find_tagger(nlp, component)
    labels = [*tagger.labels, space_label(tagger.attribute)]
    for number, doc, probabilities in _read(nlp, texts, name, tagger, batch_size, on_error):
        scores = MEASURES[measure](probabilities.astype("float64"))
        for key, found in _candidates(number, doc, probabilities, scores, labels, level):
            if key not in chosen or chosen[key].score < found.score:
                chosen[key] = found
        if len(chosen) > 2 * n + BATCH_SIZE:
            chosen = _best(chosen, n)
    return list(_best(chosen, n).values())


def _read(
    nlp: Language,
    texts: Iterable[str | Doc],
    name: str,
    tagger: LSTMTagger,
    batch_size: int,
    on_error: Callable[[int, Exception], object] | None,
) -> Iterator[tuple[int, Doc, Floats2d]]:
    """Yield the number of each text, its Doc, and the probabilities of the tagger's labels."""

    def make(numbered: tuple[int, str | Doc]) -> Doc:
        text = numbered[1]
        return text.copy() if isinstance(text, Doc) else make_doc(nlp, text)

    numbered = enumerate(texts)
    while batch := list(islice(numbered, batch_size)):
        docs = run_pipeline(nlp, batch, make, disable=[name])
        for (number, _), found in zip(batch, _probabilities(tagger, docs), strict=True):
            if not isinstance(found, Exception):
                yield number, *found
            elif on_error is None:
                raise found
            else:
                on_error(number, found)


def _probabilities(
    tagger: LSTMTagger, docs: Sequence[Doc | Exception]
) -> list[tuple[Doc, Floats2d] | Exception]:
    """Return each Doc with the probabilities of its labels, or the error that it causes."""
    good = [doc for doc in docs if isinstance(doc, Doc)]
    try:
        found = iter(tagger.predict_probabilities(good))
        return [(doc, next(found)) if isinstance(doc, Doc) else doc for doc in docs]
    except Exception as error:  # of a Doc, maybe
        if len(docs) == 1:
            return [error]
    return [result for doc in docs for result in _probabilities(tagger, [doc])]


def _candidates(
    number: int,
    doc: Doc,
    probabilities: Floats2d,
    scores: Floats,
    labels: Sequence[str],
    level: str,
) -> Iterator[tuple[tuple[str, ...], Uncertain]]:
    """Yield the sentences or tokens of a text, with a key: of equal keys, one is chosen. The last
    label is for whitespace.
    """
    is_space = doc.to_array(IS_SPACE) == 1
    best = numpy.where(is_space, -1, probabilities.argmax(axis=1)).tolist()
    confidences = numpy.where(is_space, 1, probabilities.max(axis=1)).tolist()
    for sentence in doc.sents if doc.has_annotation("SENT_START") else [doc[:]]:
        words = [token for token in sentence if not token.is_space]
        if not words:
            continue
        forms = [token.text.lower() for token in words]
        of_words = scores[[token.i for token in words]].tolist()
        whole = Uncertain(
            score=sum(of_words) / (len(words) + CERTAIN),
            text=number,
            sentence=[(token.text, token.whitespace_) for token in sentence],
            start_char=sentence.start_char,
            token=None,
            labels=[labels[i] for i in best[sentence.start : sentence.end]],
            confidences=confidences[sentence.start : sentence.end],
        )
        if level == "sentence":
            yield tuple(forms), whole
            continue
        padded = ["", *forms, ""]
        for i, (token, score) in enumerate(zip(words, of_words, strict=True)):
            key, place = tuple(padded[i : i + 3]), token.i - sentence.start
            yield key, whole._replace(score=score, token=place)


def _best(chosen: dict[tuple[str, ...], Uncertain], n: int) -> dict[tuple[str, ...], Uncertain]:
    """Return the n with the highest scores, the highest first; of equals, the first ones."""
    ordered = sorted(chosen.items(), key=lambda item: -item[1].score)
    return dict(ordered[:n])

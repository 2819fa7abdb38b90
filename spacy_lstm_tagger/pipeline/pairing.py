"""Run a pipeline over texts, and pair each result with its text."""

import re
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from itertools import pairwise
from typing import TypeVar

from spacy.language import Language
from spacy.pipeline.transition_parser import Parser
from spacy.tokenizer import Tokenizer
from spacy.tokens import Doc
from spacy.vocab import Vocab

Text = TypeVar("Text")

# The time of spaCy's tokenizer is quadratic in the length of a run without spaces, above all where
# affixes are split off: 10,000 times "$" take half a minute. So runs are read in pieces.
RUN = re.compile(r"(?<!\S)\S{101,}")
SIGNS = re.compile(r"[^\w\s]{100}")  # the slow ones, in small pieces
PIECE = 1000  # characters of other ones


def run_pipeline(
    nlp: Language,
    texts: Sequence[Text],
    make: Callable[[Text], Doc],
    *,
    disable: Collection[str] = (),
) -> list[Doc | Exception]:
    """Run a pipeline over texts. A text that fails costs no other text.

    Components can raise errors, and drop or replace Docs. So each Doc carries the number of its
    text, and a text whose Doc doesn't come back is tried alone.

    make (Callable[[Text], Doc]): Makes a new Doc of a text, whatever that is.
    disable (Collection[str]): Names of components that don't run.
    RETURNS (list[Doc | Exception]): For each text its Doc, or the error that it caused.
    """
    if len(texts) <= 1:
        return [_run_alone(nlp, text, make, disable) for text in texts]
    half = len(texts) // 2
    try:
        numbered = [(make(text), number) for number, text in enumerate(texts)]
        size, names = len(numbered), list(disable)
        pairs = nlp.pipe(numbered, as_tuples=True, batch_size=size, disable=names)
        docs = {number: doc for doc, number in pairs}
    except Exception:  # whatever a component raises
        first = run_pipeline(nlp, texts[:half], make, disable=disable)
        return first + run_pipeline(nlp, texts[half:], make, disable=disable)
    return [
        docs[number] if number in docs else _run_alone(nlp, text, make, disable)
        for number, text in enumerate(texts)
    ]


def make_doc(nlp: Language, text: str) -> Doc:
    """Tokenize a text, which can have long runs of characters without spaces. The pipeline's
    `max_length` holds only if it has a parser or an entity recognizer, which need much memory for
    long texts.
    """
    if len(text) > nlp.max_length and any(isinstance(c, Parser) for _, c in nlp.pipeline):
        return nlp.make_doc(text)  # which raises spaCy's error
    cuts = list(_cuts(text)) if isinstance(nlp.tokenizer, Tokenizer) else []
    if not cuts:
        return nlp.tokenizer(text) if len(text) > nlp.max_length else nlp.make_doc(text)
    pieces = [nlp.tokenizer(text[i:j]) for i, j in pairwise([0, *cuts, len(text)])]
    doc = Doc.from_docs(pieces, ensure_whitespace=False)
    assert doc is not None  # as there are pieces
    return doc


def bare_copy(doc: Doc, vocab: Vocab) -> Doc:
    """Return a Doc with the same words and spaces, without annotation."""
    words, spaces = [token.text for token in doc], [bool(token.whitespace_) for token in doc]
    return Doc(vocab, words=words, spaces=spaces)


def token_places(doc: Doc, text: str) -> list[tuple[int, int]]:
    """Return where each token of a Doc begins and ends in the text that it was made of; ValueError
    if a component has changed the text.
    """
    if doc.text == text:
        return [(token.idx, token.idx + len(token)) for token in doc]
    places = find_words([token.text for token in doc], text)
    if places is None:
        raise ValueError(f"the pipeline changed the text '{text:.60}' to '{doc.text:.60}'")
    return places


def find_words(words: Sequence[str], text: str) -> list[tuple[int, int]] | None:
    """Return where each word begins and ends in a text; None if the text has anything but white
    space between them.
    """
    places, end = [], 0
    for word in words:
        start = end
        while not text.startswith(word, start):
            if not text[start : start + 1].isspace():
                return None
            start += 1
        end = start + len(word)
        places.append((start, end))
    return None if text[end:].strip() else places


def check_words(doc: Doc, words: Sequence[str]) -> None:
    """Raise a ValueError if a Doc has other tokens than the words that it was made of."""
    found = [token.text for token in doc]
    if found != list(words):
        places = range(min(len(found), len(words)))
        i = next((i for i in places if found[i] != words[i]), len(places))
        raise ValueError(
            f"the pipeline changed the tokens: from token {i + 1} on they are "
            f"{_some(found[i:])} instead of {_some(words[i:])}"
        )


def describe(error: Exception) -> str:
    """Return one line that says what went wrong."""
    message = " ".join(str(error).split())
    if isinstance(error, OSError | ValueError) and message:
        return message
    return f"{type(error).__name__}: {message}"


def _cuts(text: str) -> Iterator[int]:
    """Yield where a text is cut before it is tokenized."""
    for run in RUN.finditer(text):
        start = run.start()
        for signs in SIGNS.finditer(text, start, run.end()):
            yield from range(start + PIECE, signs.end(), PIECE)
            start = signs.end()
            if start < run.end():
                yield start
        yield from range(start + PIECE, run.end(), PIECE)


def _run_alone(
    nlp: Language, text: Text, make: Callable[[Text], Doc], disable: Collection[str]
) -> Doc | Exception:
    try:
        docs = list(nlp.pipe([make(text)], disable=list(disable)))
        if len(docs) == 1:
            return docs[0]
        if docs:
            raise ValueError(f"the pipeline made {len(docs)} Docs of one text")
        raise ValueError(_why_dropped(nlp, make(text), disable))
    except Exception as error:
        return error


def _why_dropped(nlp: Language, doc: Doc, disable: Collection[str]) -> str:
    """Say which component failed on a Doc that an error handler dropped silently."""
    for name, component in nlp.pipeline:
        if name not in disable:
            pipe = getattr(component, "pipe", partial(map, component))
            docs = list(pipe([doc]))
            if not docs:
                return f"the component {name!r} failed, and the error handler dropped it"
            doc = docs[0]
    return "the pipeline returned no Doc for it"


def _some(words: Sequence[str]) -> str:
    shown = [f"{word!r:.40}" for word in words[:3]]
    return (", ".join(shown) or "none") + ("..." if len(words) > 3 else "")

"""Annotated Docs in; what makes learning from them hard out."""

from bisect import bisect_right
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from spacy.language import Language
from spacy.tokens import Doc

from ..model.vocabulary import Vocabulary, spelling


class Word(NamedTuple):
    """A word, and those before and after it; "" where there is none."""

    before: str
    word: str
    after: str


def labels_of(doc: Doc, attribute: str) -> list[str]:
    """Return the label of each token; "" if it has none."""
    strings = doc.vocab.strings
    return [strings[value] for value in doc.to_array(attribute.upper()).tolist()]


def label_counts(docs: Iterable[Doc], attribute: str) -> Counter[str]:
    """Return how often each label occurs."""
    return Counter(label for doc in docs for label in labels_of(doc, attribute) if label)


def inconsistent(docs: Iterable[Doc], attribute: str) -> list[tuple[Word, Counter[str]]]:
    """Return the words that have different labels between the same two words, and how often they
    have each; those first of which most tokens don't have the most frequent label.
    """
    found: dict[Word, Counter[str]] = defaultdict(Counter)
    for doc in docs:
        words = ["", *(token.text for token in doc), ""]
        for i, label in enumerate(labels_of(doc, attribute)):
            if label:
                found[Word(*words[i : i + 3])][label] += 1
    several = [(word, labels) for word, labels in found.items() if len(labels) > 1]
    return sorted(several, key=lambda item: (-n_deviating(item[1]), item[0]))


def n_deviating(labels: Counter[str]) -> int:
    """Return how many tokens don't have the most frequent label."""
    return labels.total() - max(labels.values())


def unknown_words(docs: Iterable[Doc], vocabulary: Vocabulary) -> Counter[str]:
    """Return how often each word occurs that a vocabulary lacks."""
    known = vocabulary.words
    return Counter(t.text for doc in docs for t in doc if t.text.lower() not in known)


def unknown_characters(docs: Iterable[Doc], vocabulary: Vocabulary) -> Counter[str]:
    """Return how often each character occurs that a vocabulary lacks."""
    known = vocabulary.characters
    read = (sign for doc in docs for token in doc for sign in spelling(token.text))
    return Counter(sign for sign in read if sign not in known)


def cut_otherwise(nlp: Language, docs: Iterable[Doc]) -> Counter[tuple[str, str]]:
    """Return how often what words of the corpus become what other tokens of the tokenizer. Docs are
    left out whose text isn't known, as they don't say where spaces are.
    """
    known = (doc for doc in docs if not doc.has_unknown_spaces)
    return Counter(pair for doc in known for pair in _differences(doc, nlp.make_doc(doc.text)))


def _differences(reference: Doc, doc: Doc) -> Iterator[tuple[str, str]]:
    common = sorted({token.idx for token in reference} & {token.idx for token in doc})
    parts = [_between(reference, common), _between(doc, common)]
    for words, tokens in zip(*parts, strict=True):
        if words != tokens:
            yield " ".join(words), " ".join(tokens)


def _between(doc: Doc, starts: Sequence[int]) -> list[list[str]]:
    """Return the tokens from each of some places on; without blank ones."""
    parts: list[list[str]] = [[] for _ in range(len(starts) + 1)]
    for token in doc:
        if not token.is_space:
            parts[bisect_right(starts, token.idx)].append(token.text)
    return parts

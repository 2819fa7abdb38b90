"""Vocabulary of a network: ids of words, affixes and characters, and how they grow in training."""

from collections import Counter
from collections.abc import Iterable
from itertools import product, repeat
from typing import Any, NamedTuple

import numpy
from spacy.lang.lex_attrs import word_shape
from spacy.tokens import Doc

from .types import Bools1d, Ints1d, TypeIds

UNKNOWN = 0  # the id of every word, affix and character that the vocabulary lacks
KINDS = ("words", "affixes", "characters")
LONG, LONGEST_RUN = 100, 4  # the length of "LONG" forms; how often a shape repeats a character
MAX_SPELLING = 32  # characters of a word that are read; of a longer one, both ends


class News(NamedTuple):
    """Additions to a vocabulary.

    words, affixes, characters: New ones, which get ids.
    frequent: Words that are no longer rare, old and new.
    """

    words: list[str]
    affixes: list[str]
    characters: list[str]
    frequent: list[str]


class Vocabulary:
    """Ids of words, affixes and characters. It only grows, and ids never change, so threads can
    read it while it grows.

    words, affixes, characters: Ids, from 1 on.
    is_rare: (1 + words,) whether a word is rare: it occurred no more often than it must to be
        learnt. UNKNOWN is rare, too.
    """

    def __init__(
        self,
        words: Iterable[str] = (),
        affixes: Iterable[str] = (),
        characters: Iterable[str] = (),
        *,
        n_frequent: int = 0,
    ):
        """Number words, affixes and characters in their order. The words after the first
        `n_frequent` are rare.
        """
        self.words, self.affixes, self.characters = map(_ids, (words, affixes, characters))
        ranks = numpy.arange(1 + len(self.words))
        self.is_rare: Bools1d = (ranks > n_frequent) | (ranks == UNKNOWN)
        # The contexts of keys that have no id yet, and of rare words; not saved.
        self._contexts: dict[str, dict[str, tuple[int, ...]]] = {kind: {} for kind in KINDS}

    @property
    def sizes(self) -> dict[str, int]:
        """Number of words, affixes and characters, by their names in `Sizes`."""
        return {f"n_{kind}": len(self.ids(kind)) for kind in KINDS}

    def ids(self, kind: str) -> dict[str, int]:
        """Return the ids of "words", "affixes" or "characters"."""
        return getattr(self, kind)

    def sizes_with(self, news: News) -> dict[str, int]:
        """Return the sizes that the vocabulary will have when it has learnt the news."""
        return {f"n_{kind}": len(self.ids(kind)) + len(getattr(news, kind)) for kind in KINDS}

    def learn(self, news: News) -> None:
        """Number what is new after what is known."""
        is_rare = numpy.concatenate((self.is_rare, numpy.ones(len(news.words), dtype=bool)))
        for kind in KINDS:
            ids = self.ids(kind)
            ids.update(_ids(getattr(news, kind), first=1 + len(ids)))
        is_rare[[self.words[word] for word in news.frequent]] = False
        self.is_rare = is_rare

    def may_be_news(self, ids: TypeIds) -> Bools1d:
        """Return (types,) whether a type has something unknown, or its word is rare."""
        starts = ids.spelling_lengths.cumsum() - ids.spelling_lengths
        return (
            self.is_rare[ids.words]
            | (ids.affixes == UNKNOWN).any(axis=1)
            | numpy.logical_or.reduceat(ids.spellings == UNKNOWN, starts)
        )

    def find_news(
        self, tokens: Iterable[tuple[str, int]], *, min_frequency: int, max_words: int
    ) -> News | None:
        """Find what to learn from tokens of a batch. Their contexts are counted: a word, affix or
        character counts as often as it has distinct contexts. So a Doc that is read again in the
        next epoch changes nothing, and a word that occurs once in the data stays rare.

        tokens (Iterable[tuple[str, int]]): The form of each token, and a hash of its context.
        min_frequency (int): In how many contexts a key must occur to get an id. A word that occurs
            in more is no longer rare.
        max_words (int): Maximum number of words, of affixes and of characters.
        RETURNS (News | None): What to learn, if anything.
        """
        new: dict[str, dict[str, None]] = {kind: {} for kind in KINDS}
        frequent: dict[str, None] = {}
        for (form, context), kind in product(tokens, KINDS):
            ids, found, contexts = self.ids(kind), new[kind], self._contexts[kind]
            for key in _keys_of(form, kind):
                is_known = key in ids or key in found
                can_be_rare = kind == "words" and key not in frequent
                if is_known and not (can_be_rare and self.is_rare[ids.get(key, UNKNOWN)]):
                    continue
                if not is_known and len(ids) + len(found) >= max_words:
                    continue
                n_contexts = self._count(contexts, key, context, max_words)
                if not is_known and n_contexts >= min_frequency:
                    found[key] = None
                if kind == "words" and n_contexts > min_frequency:
                    frequent[key] = None
                if key in (frequent if kind == "words" else found):
                    del contexts[key]
        if frequent or any(new.values()):
            words, affixes, characters = map(list, new.values())
            return News(words, affixes, characters, list(frequent))
        return None

    @staticmethod
    def _count(contexts: dict[str, tuple[int, ...]], key: str, context: int, max_keys: int) -> int:
        """Count a context of a key; return the number of its distinct contexts."""
        known = contexts.get(key, ())
        if context in known:
            return len(known)
        if len(contexts) >= max_keys:  # bounded memory: all counts start again
            contexts.clear()
        contexts[key] = (*known, context)
        return len(known) + 1


def _keys_of(form: str, kind: str) -> Iterable[str]:
    """Return the word, the affixes or the characters of a word form."""
    if kind == "words":
        return (form.lower(),)
    return affixes(form) if kind == "affixes" else spelling(form)


def affixes(form: str) -> tuple[str, str, str]:
    """Return prefix, suffix and shape of a word form, each marked by its kind."""
    lower = form.lower()
    return f"<{lower[:2]}", f">{lower[-3:]}", f"={shape(form)}"


def shape(form: str) -> str:
    """Return spaCy's `word_shape` of a word form; for most forms in a tenth of the time."""
    rest = form[1:]
    if form.isalpha() and len(form) < LONG:
        if form.islower():
            return "x" * min(len(form), LONGEST_RUN)
        if form[0].isupper() and (not rest or rest.islower()):
            return "X" + "x" * min(len(rest), LONGEST_RUN)
    return word_shape(form)


def spelling(form: str) -> str:
    """Return the characters of a word form that are read, at least one."""
    if len(form) > MAX_SPELLING:
        return form[: MAX_SPELLING // 2] + form[-MAX_SPELLING // 2 :]
    return form or " "


def learn_vocabulary(
    docs: Iterable[Doc], *, min_frequency: int = 1, max_words: int | None = None
) -> Vocabulary:
    """Number the words, affixes and characters of Docs, the most frequent first.

    min_frequency (int): Rarer ones are unknown.
    max_words (int | None): Maximum number of words, of affixes and of characters; None for all.
    """
    forms: Counter[str] = Counter()
    for doc in docs:
        forms.update(token.text for token in doc if not token.is_space)
    counts: dict[str, Counter[str]] = {kind: Counter() for kind in KINDS}
    for (form, count), kind in product(forms.items(), KINDS):
        for key in _keys_of(form, kind):
            counts[kind][key] += count
    return Vocabulary(
        *(
            [key for key, count in of_kind.most_common(max_words) if count >= min_frequency]
            for of_kind in counts.values()
        ),
        n_frequent=sum(count > min_frequency for count in counts["words"].values()),
    )


def merge(
    pretrained: Vocabulary, labelled: Vocabulary, max_words: int
) -> tuple[Vocabulary, dict[str, Ints1d]]:
    """Merge the vocabulary of a pretrained network with that of labelled data. The latter takes
    precedence if there are more than `max_words` words, affixes or characters, and says which words
    are rare.

    RETURNS (tuple[Vocabulary, dict[str, Ints1d]]): The vocabulary; and for "words", "affixes" and
        "characters" the id in `pretrained` of each of its ids, UNKNOWN for what that lacks.
    """
    keys: dict[str, list[str]] = {}
    for kind in KINDS:
        ids, needed = pretrained.ids(kind), labelled.ids(kind)
        others = [key for key in ids if key not in needed][: max(0, max_words - len(needed))]
        kept = {*needed, *others}
        keys[kind] = [*filter(kept.__contains__, ids), *(key for key in needed if key not in ids)]
    vocabulary = Vocabulary(*keys.values())
    labelled_ids = [labelled.words.get(word, UNKNOWN) for word in vocabulary.words]
    vocabulary.is_rare = labelled.is_rare[[UNKNOWN, *labelled_ids]]
    rows = {
        kind: numpy.asarray([UNKNOWN, *map(pretrained.ids(kind).get, keys[kind], repeat(UNKNOWN))])
        for kind in KINDS
    }
    return vocabulary, rows


def to_lists(vocabulary: Vocabulary) -> dict[str, Any]:
    """Return plain values to save: keys in the order of their ids, which load several times faster
    than pairs of keys and ids; and a bit for each word, set if it is rare.
    """
    lists: dict[str, Any] = {kind: list(vocabulary.ids(kind)) for kind in KINDS}
    return {**lists, "is_rare": numpy.packbits(vocabulary.is_rare).tobytes()}


def from_lists(lists: dict[str, Any], sizes: dict[str, int]) -> Vocabulary:
    """Return a vocabulary from what `to_lists` returned; ValueError if the values don't fit the
    sizes of the network, or aren't distinct strings.
    """
    for kind in KINDS:
        keys, n = lists[kind], sizes[f"n_{kind}"]
        if len(keys) != n or len(set(keys)) != n or not all(isinstance(key, str) for key in keys):
            raise ValueError(f"its vocabulary is damaged: it must have {n} {kind}")
    vocabulary = Vocabulary(*(lists[kind] for kind in KINDS))
    n_words = 1 + len(vocabulary.words)
    bits = numpy.frombuffer(lists["is_rare"], dtype="uint8")
    if len(bits) != -(-n_words // 8):
        raise ValueError("its vocabulary is damaged: it must say for each word whether it is rare")
    vocabulary.is_rare = numpy.unpackbits(bits, count=n_words).astype(bool)
    return vocabulary


def _ids(keys: Iterable[str], first: int = UNKNOWN + 1) -> dict[str, int]:
    return {key: i for i, key in enumerate(keys, first)}

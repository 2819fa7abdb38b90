"""What the ids of a network mean: words, affixes and characters, numbered."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, NamedTuple

import numpy
from numpy.typing import NDArray
from spacy.lang.lex_attrs import word_shape
from spacy.tokens import Doc

UNKNOWN = 0  # the id of every word, affix and character that the vocabulary lacks
LONG, LONGEST_RUN = 100, 4  # the length of "LONG" forms; how often a shape repeats a sign
MAX_SPELLING = 32  # characters of a word that are read; of a longer one, both ends
PARTS = ("words", "affixes", "characters")


class News(NamedTuple):
    """What a vocabulary is to learn.

    words, affixes, characters: That it lacks.
    frequent: Words that are no longer rare, old and new.
    """

    words: list[str]
    affixes: list[str]
    characters: list[str]
    frequent: list[str]


class Vocabulary:
    """What the training Docs taught. It only grows, and old ids keep their meaning; so threads can
    read it while it learns.

    words, affixes, characters: Ids from 1 on.
    is_rare: (1 + words,) whether a word is rare: seen no more often than it must be to count.
        UNKNOWN is rare, too.
    met: Of what has no id yet, and of rare words, in which contexts they were met; not saved.
    """

    def __init__(
        self,
        words: Iterable[str] = (),
        affixes: Iterable[str] = (),
        characters: Iterable[str] = (),
        *,
        n_frequent: int = 0,
    ):
        """Number words, affixes and characters in their order; the words after the first
        `n_frequent` are rare.
        """
        self.words, self.affixes, self.characters = map(_ids, (words, affixes, characters))
        ranks = numpy.arange(1 + len(self.words))
        self.is_rare: NDArray[numpy.bool_] = (ranks > n_frequent) | (ranks == UNKNOWN)
        self.met: dict[str, dict[str, tuple[int, ...]]] = {part: {} for part in PARTS}

    @property
    def sizes(self) -> dict[str, int]:
        """How many words, affixes and characters there are: arguments of a network."""
        return {f"n_{part}": len(getattr(self, part)) for part in PARTS}

    def sizes_with(self, news: News) -> dict[str, int]:
        """How many there will be when this is learnt."""
        return {f"n_{part}": len(getattr(self, part)) + len(getattr(news, part)) for part in PARTS}

    def learn(self, news: News) -> None:
        """Number what is new after what is known."""
        is_rare = numpy.concatenate((self.is_rare, numpy.ones(len(news.words), dtype=bool)))
        for part in PARTS:
            ids = getattr(self, part)
            ids.update(_ids(getattr(news, part), first=1 + len(ids)))
        is_rare[[self.words[word] for word in news.frequent]] = False
        self.is_rare = is_rare


def affixes(form: str) -> tuple[str, str, str]:
    """Return prefix, suffix and shape of a word form, each marked by its kind."""
    lower = form.lower()
    return f"<{lower[:2]}", f">{lower[-3:]}", f"={shape(form)}"


def shape(form: str) -> str:
    """Return spaCy's `word_shape` of a word form, for most forms in a tenth of its time."""
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

    docs (Iterable[Doc]): The Docs.
    min_frequency (int): What they contain less often stays unknown.
    max_words (int | None): How many words, affixes and characters to number at most, of each kind;
        None for all.
    RETURNS (Vocabulary): The vocabulary.
    """
    forms: Counter[str] = Counter()
    for doc in docs:
        forms.update(token.text for token in doc)
    words: Counter[str] = Counter()
    affix_counts: Counter[str] = Counter()
    characters: Counter[str] = Counter()
    for form, count in forms.items():
        words[form.lower()] += count
        affix_counts.update(dict.fromkeys(affixes(form), count))
        for character in spelling(form):
            characters[character] += count
    return Vocabulary(
        *(
            [key for key, count in counts.most_common(max_words) if count >= min_frequency]
            for counts in (words, affix_counts, characters)
        ),
        n_frequent=sum(count > min_frequency for count in words.values()),
    )


def to_lists(vocabulary: Vocabulary) -> dict[str, Any]:
    """Return plain values that can be saved: keys in the order of their ids, which are read in a
    fraction of the time that keys and ids take; and a bit for each word, set if it is rare.
    """
    lists = {part: list(getattr(vocabulary, part)) for part in PARTS}
    return {**lists, "is_rare": numpy.packbits(vocabulary.is_rare).tobytes()}


def from_lists(lists: dict[str, Any], sizes: dict[str, int]) -> Vocabulary:
    """Return the vocabulary of which `to_lists` returned this, in this version or an earlier one.

    lists (dict[str, Any]): The plain values.
    sizes (dict[str, int]): How many words, affixes and characters the network knows.
    RETURNS (Vocabulary): The vocabulary.
    RAISES: ValueError if it has others, or what is no text, or other words than it says are rare.
    """
    for part in PARTS:
        keys, n = lists[part], sizes[f"n_{part}"]
        if isinstance(keys, dict):  # with their ids, in format 0
            keys = sorted(keys, key=keys.__getitem__)
        if len(keys) != n or len(set(keys)) != n or not all(isinstance(key, str) for key in keys):
            raise ValueError(f"its vocabulary is damaged: it must have {n} {part}")
        lists = {**lists, part: keys}
    n_words, n_frequent = sizes["n_words"], lists.get("n_frequent", 0)
    if not 0 <= n_frequent <= n_words:
        raise ValueError("its vocabulary is damaged: its number of frequent words is wrong")
    vocabulary = Vocabulary(*(lists[part] for part in PARTS), n_frequent=n_frequent)
    if "n_frequent" not in lists:  # which formats 0 and 1 had, as rare words had the last ids
        bits = numpy.frombuffer(lists["is_rare"], dtype="uint8")
        if len(bits) != -(-(1 + n_words) // 8):
            raise ValueError("its vocabulary is damaged: it must say of each word if it is rare")
        vocabulary.is_rare = numpy.unpackbits(bits, count=1 + n_words).astype(bool)
    return vocabulary


def _ids(keys: Iterable[str], first: int = UNKNOWN + 1) -> dict[str, int]:
    return {key: i for i, key in enumerate(keys, first)}

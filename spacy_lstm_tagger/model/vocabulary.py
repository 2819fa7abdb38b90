"""Docs in, numbered words, affixes and characters out: what the ids of a network mean."""

from collections import Counter
from collections.abc import Iterable
from typing import Any, TypedDict, cast

from spacy.lang.lex_attrs import word_shape
from spacy.tokens import Doc

UNKNOWN = 0  # the id of every word, affix and character that the vocabulary lacks
LONG, LONGEST_RUN = 100, 4  # the length of "LONG" forms; how often a shape repeats a sign
MAX_SPELLING = 32  # characters of a word that are read; of a longer one, both ends


class Vocabulary(TypedDict):
    """What the training Docs taught; plain, so that it can be saved with the weights.

    words, affixes, characters: Ids from 1 on, the most frequent first.
    n_frequent: The words with higher ids are rare: seen no more often than they must be to count.
    """

    words: dict[str, int]
    affixes: dict[str, int]
    characters: dict[str, int]
    n_frequent: int


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
    docs: Iterable[Doc], *, min_frequency: int = 1, more_forms: Iterable[str] = ()
) -> Vocabulary:
    """Number the words, affixes and characters of the training Docs.

    docs (Iterable[Doc]): The Docs.
    min_frequency (int): What they contain less often stays unknown.
    more_forms (Iterable[str]): Further word forms to know, whatever their frequency; in any order.
    RETURNS (Vocabulary): The vocabulary.
    """
    forms: Counter[str] = Counter()
    for doc in docs:
        forms.update(token.text for token in doc)
    forms.update({form: min_frequency for form in sorted(more_forms) if form not in forms})
    words: Counter[str] = Counter()
    affix_counts: Counter[str] = Counter()
    characters: Counter[str] = Counter()
    for form, count in forms.items():
        words[form.lower()] += count
        affix_counts.update(dict.fromkeys(affixes(form), count))
        for character in spelling(form):
            characters[character] += count
    return {
        "words": _number(words, min_frequency),
        "affixes": _number(affix_counts, min_frequency),
        "characters": _number(characters, min_frequency),
        "n_frequent": sum(count > min_frequency for count in words.values()),
    }


def to_lists(vocabulary: Vocabulary) -> dict[str, Any]:
    """Return the keys in the order of their ids, which are read from a file in a fraction of the
    time that keys and ids take.
    """
    return {
        name: list(part) if isinstance(part, dict) else part for name, part in vocabulary.items()
    }


def from_lists(lists: dict[str, Any]) -> Vocabulary:
    """Return the vocabulary of which `to_lists` returned this."""
    parts = {name: _ids(part) if isinstance(part, list) else part for name, part in lists.items()}
    return cast(Vocabulary, parts)


def check_vocabulary(vocabulary: Vocabulary, sizes: dict[str, int]) -> None:
    """Check a vocabulary that was loaded against the sizes of its network.

    vocabulary (Vocabulary): The vocabulary.
    sizes (dict[str, int]): How many words, affixes and characters the network knows.
    RAISES: ValueError if it has others, or what is no text.
    """
    parts = {"words": vocabulary["words"], "affixes": vocabulary["affixes"]}
    for name, ids in {**parts, "characters": vocabulary["characters"]}.items():
        n = sizes[f"n_{name}"]
        if len(ids) != n or not all(isinstance(key, str) for key in ids):
            raise ValueError(f"its vocabulary is damaged: it must have {n} {name}")
        if set(ids.values()) != set(range(1, n + 1)):
            raise ValueError(f"its vocabulary is damaged: its {name} have wrong ids")
    if not 0 <= vocabulary["n_frequent"] <= sizes["n_words"]:
        raise ValueError("its vocabulary is damaged: its number of frequent words is wrong")


def _number(counts: "Counter[str]", min_frequency: int) -> dict[str, int]:
    return _ids([key for key, count in counts.most_common() if count >= min_frequency])


def _ids(keys: list[str]) -> dict[str, int]:
    first = UNKNOWN + 1
    return dict(zip(keys, range(first, first + len(keys)), strict=True))

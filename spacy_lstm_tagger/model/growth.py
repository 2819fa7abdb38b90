"""Docs in, what a vocabulary is to learn of them out: how it grows while a model is trained.

A word, affix or character counts as often as it has different neighbours. So a Doc that is read
again, in the next epoch, tells nothing new, and a word that the training data have once stays rare.
"""

from collections.abc import Sequence

import numpy
from spacy.tokens import Doc

from ..prediction.inputs import Ints1d, TypeIds
from .features import find_strings, forms_of
from .vocabulary import PARTS, UNKNOWN, News, Vocabulary, affixes, spelling


def find_news(
    vocabulary: Vocabulary,
    docs: Sequence[Doc],
    types: Ints1d,
    ids: TypeIds,
    *,
    min_frequency: int,
    max_words: int,
) -> News | None:
    """Find what a vocabulary is to learn of a batch. It remembers what was met of that which has no
    id yet, and of rare words; nothing else of it is changed.

    vocabulary (Vocabulary): The vocabulary.
    docs (Sequence[Doc]): The batch.
    types (Ints1d): (tokens,) the type of each token.
    ids (TypeIds): What the vocabulary knows of the types.
    min_frequency (int): In how many contexts something must be met to get an id. A word that is met
        in more is no longer rare.
    max_words (int): How many words get an id at most; so many affixes, and characters.
    RETURNS (News | None): What it is to learn, if anything.
    """
    frequent: dict[str, None] = {}
    new: dict[str, dict[str, None]] = {part: {} for part in PARTS}

    def meet(part: str, key: str, context: int) -> None:
        own, met, ids = new[part], vocabulary.met[part], getattr(vocabulary, part)
        has_id, contexts = key in ids or key in own, met.get(key, ())
        is_rare = part == "words" and key not in frequent and vocabulary.is_rare[ids.get(key, 0)]
        has_room = len(ids) + len(own) < max_words
        if context in contexts or not (is_rare if has_id else has_room):
            return
        met[key] = contexts = (*contexts, context)
        if not has_id and len(contexts) >= min_frequency:
            own[key] = None
        if len(contexts) > min_frequency:
            frequent[key] = None
        if key in frequent or (part != "words" and key in own):
            del met[key]
        if len(met) > max_words:
            met.clear()

    tokens = numpy.flatnonzero(_may_be_news(vocabulary, ids)[types])
    for form, context in zip(
        find_strings(docs, forms_of(docs)[tokens].tolist()),
        contexts_of(docs)[tokens].tolist(),
        strict=True,
    ):
        meet("words", form.lower(), context)
        for affix in affixes(form):
            meet("affixes", affix, context)
        for character in spelling(form):
            meet("characters", character, context)
    if frequent or any(new.values()):
        return News(*map(list, (*new.values(), frequent)))
    return None


def contexts_of(docs: Sequence[Doc]) -> Ints1d:
    """Return (tokens,) a number for each token: equal where the forms before it and after it are,
    and else, but for chance, another one.
    """
    padded = [numpy.pad(forms_of([doc]), 1) for doc in docs]
    return numpy.concatenate([3 * forms[:-2] + forms[2:] for forms in padded])


def _may_be_news(vocabulary: Vocabulary, ids: TypeIds) -> numpy.ndarray:
    """Return (types,) whether anything of a type is unknown, or its word is rare."""
    starts = ids.spelling_lengths.cumsum() - ids.spelling_lengths
    return (
        vocabulary.is_rare[ids.words]
        | (ids.affixes == UNKNOWN).any(axis=1)
        | numpy.logical_or.reduceat(ids.spellings == UNKNOWN, starts)
    )

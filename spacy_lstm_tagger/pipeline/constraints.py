"""Constraints: the labels that a lexicon allows word forms, and an application allows tokens."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy
from spacy.tokens import Doc, Token

from ..model.types import Bools1d, Bools2d
from ..model.word_types import WordTypes

Lexicon = dict[str, list[str]]  # the labels that a word form can have


def register_allowed(attribute: str) -> None:
    """Register `token._.tag_allowed` (or pos, morph): the labels that one token can have."""
    if not Token.has_extension(f"{attribute}_allowed"):
        Token.set_extension(f"{attribute}_allowed", default=None)


def check_lexicon(
    lexicon: Mapping[str, Iterable[str]],
    labels: Sequence[str],
    normal_form: Callable[[str], str],
) -> Lexicon:
    """Return a lexicon with its labels in their normal form; ValueError if a word has no label, or
    one that the tagger lacks.

    labels (Sequence[str]): The tagger's labels.
    normal_form (Callable): Takes a label, and returns it as the tagger has it.
    """
    if not isinstance(lexicon, Mapping):
        raise ValueError(f"a lexicon maps words to lists of labels; this is {lexicon!r:.80}")
    for form in lexicon:
        if not isinstance(form, str):
            raise ValueError(f"the lexicon's entry {form!r}: its word must be a string")
    return {
        form: _check(f"the lexicon's entry {form!r}", allowed, labels, normal_form)
        for form, allowed in lexicon.items()
    }


def allowed_labels(
    docs: Sequence[Doc],
    lexicon: Lexicon,
    attribute: str,
    labels: Sequence[str],
    normal_form: Callable[[str], str],
) -> Bools2d | None:
    """Find the labels that each token can have: those of `token._.tag_allowed` if it is set,
    otherwise those that the lexicon allows its form.

    lexicon (dict[str, list[str]]): What `check_lexicon` returned.
    labels, normal_form: As for `check_lexicon`.
    RETURNS (Bools2d | None): (tokens, labels) for the tokens of all Docs; None if each can
        have any label.
    RAISES: ValueError if a token was given no label, or one that the tagger lacks.
    """
    extension = f"{attribute}_allowed"
    given = [_tokens_with(doc, extension) for doc in docs]
    if not any(map(len, docs)) or not (lexicon or any(given)):
        return None
    ids = {label: i for i, label in enumerate(labels)}
    words = WordTypes(docs)
    forms, types = numpy.unique(words.forms, return_inverse=True)
    allowed = labels_of_forms(words.strings(forms.tolist()), lexicon, labels)[types]
    end = 0
    for doc, tokens in zip(docs, given, strict=True):
        begin, end = end, end + len(doc)
        for token in tokens:
            where = f"token {token.i} ({token.text!r}), _.{extension}"
            entry = _check(where, token._.get(extension), labels, normal_form)
            _allow_only(allowed[begin + token.i], entry, ids)
    return allowed


def labels_of_forms(forms: Sequence[str], lexicon: Lexicon, labels: Sequence[str]) -> Bools2d:
    """Return (forms, labels): whether a lexicon allows a word form a label."""
    ids = {label: i for i, label in enumerate(labels)}
    allowed = numpy.ones((len(forms), len(labels)), dtype=bool)
    for row, form in zip(allowed, forms, strict=True):
        if entry := lexicon.get(form):
            _allow_only(row, entry, ids)
    return allowed


def _allow_only(row: Bools1d, entry: list[str], ids: dict[str, int]) -> None:
    row[:] = False
    row[[ids[label] for label in entry]] = True


def _tokens_with(doc: Doc, extension: str) -> list[Token]:
    """Return the tokens for which an extension is set."""
    if not any(isinstance(key, tuple) and key[:2] == ("._.", extension) for key in doc.user_data):
        return []
    return [token for token in doc if token._.get(extension) is not None]


def _check(
    where: str, allowed: Any, labels: Sequence[str], normal_form: Callable[[str], str]
) -> list[str]:
    is_list = isinstance(allowed, Iterable) and not isinstance(allowed, str)
    if not is_list or not all(isinstance(label, str) for label in allowed):
        raise ValueError(f"{where}: a list of labels is needed, not {allowed!r}")
    entry = [normal_form(label) for label in allowed]
    if not entry:
        raise ValueError(f"{where}: no label is allowed; give at least one, or leave it out")
    unknown = sorted(set(entry).difference(labels))
    if unknown:
        raise ValueError(f"{where}: the tagger has no label {', '.join(map(repr, unknown))}")
    return entry

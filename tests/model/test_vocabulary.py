"""Tests of `vocabulary.py`: what the training Docs teach."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import chain, permutations, product

import pytest
import srsly
from spacy.lang.lex_attrs import word_shape
from spacy.tokens import Doc

from spacy_lstm_tagger.model.vocabulary import (
    MAX_SPELLING,
    UNKNOWN,
    Vocabulary,
    affixes,
    learn_vocabulary,
    shape,
    spelling,
)

MakeDocs = Callable[..., list[Doc]]

ODD_WORDS = [" ", "\n\t", "🙂👍🏽", "e\u0301\u0323", "ⵣⴰⵎ", "İ", "ß" * 40, "x" * 10_000]
SHORT_FORMS = ["".join(form) for n in range(5) for form in product("xXd-1", repeat=n)]
LEARN = """
import json, sys
from spacy.tokens import Doc
from spacy.vocab import Vocab
from spacy_lstm_tagger.model.vocabulary import learn_vocabulary
vocab = Vocab()
docs = [Doc(vocab, words=text.split()) for text in json.loads(sys.argv[1])]
print(json.dumps(learn_vocabulary(docs, more_forms=["Fish", "fowl"])))
"""


@pytest.mark.parametrize("min_frequency", [1, 2, 3, 4])
def test_words_less_frequent_than_the_minimum_are_left_out(
    docs: list[Doc], min_frequency: int, frequencies: dict[str, int]
) -> None:
    words = learn_vocabulary(docs, min_frequency=min_frequency)["words"]
    assert set(words) == {word for word, n in frequencies.items() if n >= min_frequency}


@pytest.mark.parametrize("min_frequency", [1, 2, 3, 4])
def test_ids_up_to_n_frequent_are_the_words_above_the_minimum(
    docs: list[Doc], min_frequency: int, frequencies: dict[str, int]
) -> None:
    vocabulary = learn_vocabulary(docs, min_frequency=min_frequency)
    frequent = {word for word, i in vocabulary["words"].items() if i <= vocabulary["n_frequent"]}
    assert frequent == {word for word, n in frequencies.items() if n > min_frequency}


@pytest.mark.parametrize("min_frequency", [1, 2, 3])
def test_affixes_and_characters_are_counted_as_often_as_they_occur(
    docs: list[Doc], min_frequency: int
) -> None:
    vocabulary = learn_vocabulary(docs, min_frequency=min_frequency)
    forms = [token.text for token in chain(*docs)]
    for kind, found in [("affixes", chain(*map(affixes, forms))), ("characters", chain(*forms))]:
        counts = Counter(found)
        assert set(vocabulary[kind]) == {key for key, n in counts.items() if n >= min_frequency}


@pytest.mark.parametrize("kind", ["words", "affixes", "characters"])
def test_ids_count_up_from_one(vocabulary: Vocabulary, kind: str) -> None:
    assert list(vocabulary[kind].values()) == list(range(1, len(vocabulary[kind]) + 1))
    assert UNKNOWN not in vocabulary[kind].values()


def test_the_most_frequent_words_come_first(
    vocabulary: Vocabulary, frequencies: dict[str, int]
) -> None:
    frequencies = [frequencies[word] for word in vocabulary["words"]]
    assert frequencies == sorted(frequencies, reverse=True)


@pytest.mark.parametrize("texts", [["b a"], ["b", "a"], ["B a A b"]])
def test_words_of_equal_frequency_come_in_their_first_order(
    make_docs: MakeDocs, texts: list[str]
) -> None:
    assert learn_vocabulary(make_docs(*texts))["words"] == {"b": 1, "a": 2}


def test_the_vocabulary_is_the_same_in_every_process(docs: list[Doc]) -> None:
    command = [sys.executable, "-c", LEARN, json.dumps([doc.text for doc in docs])]
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    printed = subprocess.check_output(command, env=environment, text=True)
    expected = json.dumps(learn_vocabulary(docs, more_forms=["Fish", "fowl"]))
    assert printed.strip() == expected


def test_docs_may_come_from_a_generator(docs: list[Doc], vocabulary: Vocabulary) -> None:
    assert learn_vocabulary(doc for doc in docs) == vocabulary


def test_a_vocabulary_survives_msgpack(docs: list[Doc]) -> None:
    vocabulary = learn_vocabulary([*docs, Doc(docs[0].vocab, words=ODD_WORDS)])
    restored = srsly.msgpack_loads(srsly.msgpack_dumps(vocabulary))
    assert restored == vocabulary
    assert list(restored["words"]) == list(vocabulary["words"])


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_without_words_the_vocabulary_is_empty(make_docs: MakeDocs, texts: list[str]) -> None:
    empty = {"words": {}, "affixes": {}, "characters": {}, "n_frequent": 0}
    assert learn_vocabulary(make_docs(*texts)) == empty


@pytest.mark.parametrize("min_frequency", [1, 2, 5])
def test_more_forms_are_known_but_rare(docs: list[Doc], min_frequency: int) -> None:
    vocabulary = learn_vocabulary(docs, min_frequency=min_frequency, more_forms=["Zebra", "Zebra"])
    assert vocabulary["words"]["zebra"] > vocabulary["n_frequent"]
    assert {*affixes("Zebra")} <= set(vocabulary["affixes"])
    assert {*"Zebra"} <= set(vocabulary["characters"])


def test_order_of_more_forms_does_not_matter(docs: list[Doc]) -> None:
    forms = ["zebra", "fish", "Fowl", "ape"]
    vocabularies = [learn_vocabulary(docs, more_forms=order) for order in permutations(forms)]
    assert len({json.dumps(vocabulary) for vocabulary in vocabularies}) == 1


def test_more_forms_change_nothing_about_forms_of_the_docs(
    docs: list[Doc], vocabulary: Vocabulary
) -> None:
    assert learn_vocabulary(docs, more_forms=["bird", "the", "The", "dog"]) == vocabulary


@pytest.mark.parametrize(
    "kind, part",
    [(0, lambda form: form.lower()[:2]), (1, lambda form: form.lower()[-3:]), (2, word_shape)],
)
def test_affixes_are_prefix_suffix_and_shape(kind: int, part: Callable[[str], str]) -> None:
    pairs = {(affixes(form)[kind], part(form)) for form in [*SHORT_FORMS, *ODD_WORDS]}
    assert len({affix for affix, _ in pairs}) == len({part for _, part in pairs}) == len(pairs)


@pytest.mark.parametrize(
    "form", ["", "ǅab", "ªb", "A", "Ab", "aB", "ßab", "ἈᾼΑ", "x" * 99, "x" * 100]
)
@pytest.mark.parametrize("upper", [False, True])
def test_shapes_are_those_of_spacy(form: str, upper: bool) -> None:
    for one in (form.upper() if upper else form, f"X{form}", f"{form}X", *SHORT_FORMS, *ODD_WORDS):
        assert shape(one) == word_shape(one)


def test_affixes_of_different_kinds_are_never_the_same() -> None:
    prefixes, suffixes, shapes = map(set, zip(*map(affixes, SHORT_FORMS), strict=True))
    assert not prefixes & suffixes
    assert not prefixes & shapes
    assert not suffixes & shapes


@pytest.mark.parametrize("form", ["a", "cat", "🙂👍🏽", "e\u0301\u0323", " ", "y" * MAX_SPELLING])
def test_a_short_spelling_is_the_form_itself(form: str) -> None:
    assert spelling(form) == form


def test_an_empty_form_is_spelt_with_one_character() -> None:
    assert len(spelling("")) == 1


@pytest.mark.parametrize("length", [MAX_SPELLING + 1, MAX_SPELLING + 2, 100, 10_000])
def test_of_a_long_form_both_ends_are_spelt(length: int) -> None:
    form = "".join(chr(0x4E00 + i) for i in range(length))
    begin, end = spelling(form)[: MAX_SPELLING // 2], spelling(form)[MAX_SPELLING // 2 :]
    assert form.startswith(begin) and form.endswith(end)
    assert len(begin) == len(end) == MAX_SPELLING // 2

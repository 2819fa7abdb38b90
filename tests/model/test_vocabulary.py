"""Tests of `vocabulary.py`: what the training Docs teach."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import chain, product

import pytest
import srsly
from spacy.lang.lex_attrs import word_shape
from spacy.tokens import Doc

from spacy_lstm_tagger.model.vocabulary import (
    MAX_SPELLING,
    PARTS,
    UNKNOWN,
    News,
    Vocabulary,
    affixes,
    from_lists,
    learn_vocabulary,
    shape,
    spelling,
    to_lists,
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
print(list(learn_vocabulary(docs).affixes))
"""


@pytest.mark.parametrize("min_frequency", [1, 2, 3, 4])
def test_words_less_frequent_than_the_minimum_are_left_out(
    docs: list[Doc], min_frequency: int, frequencies: dict[str, int]
) -> None:
    words = learn_vocabulary(docs, min_frequency=min_frequency).words
    assert set(words) == {word for word, n in frequencies.items() if n >= min_frequency}


@pytest.mark.parametrize("min_frequency", [1, 2, 3, 4])
def test_words_up_to_the_minimum_are_rare(
    docs: list[Doc], min_frequency: int, frequencies: dict[str, int]
) -> None:
    vocabulary = learn_vocabulary(docs, min_frequency=min_frequency)
    frequent = {word for word, i in vocabulary.words.items() if not vocabulary.is_rare[i]}
    assert frequent == {word for word, n in frequencies.items() if n > min_frequency}


@pytest.mark.parametrize("min_frequency", [1, 2, 3])
def test_affixes_and_characters_are_counted_as_often_as_they_occur(
    docs: list[Doc], min_frequency: int
) -> None:
    vocabulary = learn_vocabulary(docs, min_frequency=min_frequency)
    forms = [token.text for token in chain(*docs)]
    for kind, found in [("affixes", chain(*map(affixes, forms))), ("characters", chain(*forms))]:
        counts = Counter(found)
        assert set(getattr(vocabulary, kind)) == {
            key for key, n in counts.items() if n >= min_frequency
        }


@pytest.mark.parametrize("kind", ["words", "affixes", "characters"])
def test_ids_count_up_from_one(vocabulary: Vocabulary, kind: str) -> None:
    assert list(getattr(vocabulary, kind).values()) == list(
        range(1, len(getattr(vocabulary, kind)) + 1)
    )
    assert UNKNOWN not in getattr(vocabulary, kind).values()


def test_the_most_frequent_words_come_first(
    vocabulary: Vocabulary, frequencies: dict[str, int]
) -> None:
    frequencies = [frequencies[word] for word in vocabulary.words]
    assert frequencies == sorted(frequencies, reverse=True)


@pytest.mark.parametrize("texts", [["b a"], ["b", "a"], ["B a A b"]])
def test_words_of_equal_frequency_come_in_their_first_order(
    make_docs: MakeDocs, texts: list[str]
) -> None:
    assert learn_vocabulary(make_docs(*texts)).words == {"b": 1, "a": 2}


def test_the_vocabulary_is_the_same_in_every_process(docs: list[Doc]) -> None:
    command = [sys.executable, "-c", LEARN, json.dumps([doc.text for doc in docs])]
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    printed = subprocess.check_output(command, env=environment, text=True)
    assert printed.strip() == str(list(learn_vocabulary(docs).affixes))


def test_docs_may_come_from_a_generator(docs: list[Doc], vocabulary: Vocabulary) -> None:
    assert to_lists(learn_vocabulary(doc for doc in docs)) == to_lists(vocabulary)


def test_a_vocabulary_survives_msgpack(docs: list[Doc]) -> None:
    vocabulary = learn_vocabulary([*docs, Doc(docs[0].vocab, words=ODD_WORDS)])
    lists = srsly.msgpack_loads(srsly.msgpack_dumps(to_lists(vocabulary)))
    restored = from_lists(lists, vocabulary.sizes)
    assert restored.words == vocabulary.words
    assert restored.is_rare.tolist() == vocabulary.is_rare.tolist()
    assert to_lists(restored) == to_lists(vocabulary)


def test_a_vocabulary_of_formats_0_and_1_is_understood() -> None:
    lists = {"words": ["b", "a"], "affixes": ["<b"], "characters": [], "n_frequent": 1}
    sizes = {"n_words": 2, "n_affixes": 1, "n_characters": 0}
    for words in (["b", "a"], {"a": 2, "b": 1}):
        vocabulary = from_lists({**lists, "words": words}, sizes)
        assert vocabulary.words == {"b": 1, "a": 2}
        assert vocabulary.is_rare.tolist() == [True, False, True]


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_without_words_the_vocabulary_is_empty(make_docs: MakeDocs, texts: list[str]) -> None:
    assert set(learn_vocabulary(make_docs(*texts)).sizes.values()) == {0}


@pytest.mark.parametrize("max_words", [1, 2, 3])
def test_no_more_than_the_most_frequent_are_numbered(docs: list[Doc], max_words: int) -> None:
    few, all_known = learn_vocabulary(docs, max_words=max_words), learn_vocabulary(docs)
    for part in PARTS:
        assert list(getattr(few, part)) == list(getattr(all_known, part))[:max_words]
    assert few.is_rare.tolist() == all_known.is_rare.tolist()[: 1 + max_words]


def test_what_is_learnt_comes_after_what_is_known(vocabulary: Vocabulary) -> None:
    before = {part: dict(getattr(vocabulary, part)) for part in PARTS}
    n_rare = int(vocabulary.is_rare.sum())
    news = News(["newt", "owl"], ["<ne"], ["é"], frequent=["owl", "bird"])
    sizes = vocabulary.sizes_with(news)
    vocabulary.learn(news)
    assert vocabulary.sizes == sizes
    for part in PARTS:
        keys = [*before[part], *getattr(news, part)]
        assert getattr(vocabulary, part) == {key: i for i, key in enumerate(keys, 1)}
    assert vocabulary.is_rare.sum() == n_rare + 2 - 2
    assert vocabulary.is_rare[vocabulary.words["newt"]]
    assert not vocabulary.is_rare[[vocabulary.words["owl"], vocabulary.words["bird"]]].any()


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

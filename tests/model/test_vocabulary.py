"""Tests of `vocabulary.py`: ids of words, affixes and characters."""

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
    KINDS,
    MAX_SPELLING,
    UNKNOWN,
    News,
    Vocabulary,
    affixes,
    from_lists,
    learn_vocabulary,
    merge,
    shape,
    spelling,
    to_lists,
)

MakeDocs = Callable[..., list[Doc]]

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
def test_words_below_the_minimum_frequency_are_left_out(
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
def test_affixes_and_characters_are_counted_per_token(docs: list[Doc], min_frequency: int) -> None:
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
def test_words_of_equal_frequency_keep_their_order(make_docs: MakeDocs, texts: list[str]) -> None:
    assert learn_vocabulary(make_docs(*texts)).words == {"b": 1, "a": 2}


def test_the_vocabulary_is_the_same_in_every_process(docs: list[Doc]) -> None:
    command = [sys.executable, "-c", LEARN, json.dumps([doc.text for doc in docs])]
    environment = {**os.environ, "PYTHONHASHSEED": "1"}
    printed = subprocess.check_output(command, env=environment, text=True)
    assert printed.strip() == str(list(learn_vocabulary(docs).affixes))


def test_docs_can_come_from_a_generator(docs: list[Doc], vocabulary: Vocabulary) -> None:
    assert to_lists(learn_vocabulary(doc for doc in docs)) == to_lists(vocabulary)


def test_a_vocabulary_is_restored_from_msgpack(docs: list[Doc], odd_words: list[str]) -> None:
    vocabulary = learn_vocabulary([*docs, Doc(docs[0].vocab, words=odd_words)])
    lists = srsly.msgpack_loads(srsly.msgpack_dumps(to_lists(vocabulary)))
    restored = from_lists(lists, vocabulary.sizes)
    assert restored.words == vocabulary.words
    assert restored.is_rare.tolist() == vocabulary.is_rare.tolist()
    assert to_lists(restored) == to_lists(vocabulary)


@pytest.mark.parametrize("texts", [[], [""], ["", ""]])
def test_without_words_the_vocabulary_is_empty(make_docs: MakeDocs, texts: list[str]) -> None:
    assert set(learn_vocabulary(make_docs(*texts)).sizes.values()) == {0}


def test_whitespace_is_not_learnt(docs: list[Doc], vocabulary: Vocabulary) -> None:
    spaces = Doc(docs[0].vocab, words=[" ", "\n\t", "\u3000"])
    assert to_lists(learn_vocabulary([spaces, *docs, spaces])) == to_lists(vocabulary)


@pytest.mark.parametrize("max_words", [1, 2, 3])
def test_only_the_most_frequent_get_ids_if_there_are_too_many(
    docs: list[Doc], max_words: int
) -> None:
    few, all_known = learn_vocabulary(docs, max_words=max_words), learn_vocabulary(docs)
    for kind in KINDS:
        assert list(getattr(few, kind)) == list(getattr(all_known, kind))[:max_words]
    assert few.is_rare.tolist() == all_known.is_rare.tolist()[: 1 + max_words]


def test_news_get_ids_after_known_keys(vocabulary: Vocabulary) -> None:
    before = {kind: dict(getattr(vocabulary, kind)) for kind in KINDS}
    n_rare = int(vocabulary.is_rare.sum())
    news = News(["newt", "owl"], ["<ne"], ["é"], frequent=["owl", "bird"])
    sizes = vocabulary.sizes_with(news)
    vocabulary.learn(news)
    assert vocabulary.sizes == sizes
    for kind in KINDS:
        keys = [*before[kind], *getattr(news, kind)]
        assert getattr(vocabulary, kind) == {key: i for i, key in enumerate(keys, 1)}
    assert vocabulary.is_rare.sum() == n_rare + 2 - 2
    assert vocabulary.is_rare[vocabulary.words["newt"]]
    assert not vocabulary.is_rare[[vocabulary.words["owl"], vocabulary.words["bird"]]].any()


@pytest.mark.parametrize(
    "kind, part",
    [(0, lambda form: form.lower()[:2]), (1, lambda form: form.lower()[-3:]), (2, word_shape)],
)
def test_affixes_are_prefix_suffix_and_shape(
    odd_words: list[str], kind: int, part: Callable[[str], str]
) -> None:
    pairs = {(affixes(form)[kind], part(form)) for form in [*SHORT_FORMS, *odd_words]}
    assert len({affix for affix, _ in pairs}) == len({part for _, part in pairs}) == len(pairs)


@pytest.mark.parametrize(
    "form", ["", "ǅab", "ªb", "A", "Ab", "aB", "ßab", "ἈᾼΑ", "x" * 99, "x" * 100]
)
@pytest.mark.parametrize("upper", [False, True])
def test_shapes_are_those_of_spacy(odd_words: list[str], form: str, upper: bool) -> None:
    for one in (form.upper() if upper else form, f"X{form}", f"{form}X", *SHORT_FORMS, *odd_words):
        assert shape(one) == word_shape(one)


def test_affixes_of_different_kinds_are_never_equal() -> None:
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
def test_a_long_form_is_spelt_by_both_ends(length: int) -> None:
    form = "".join(chr(0x4E00 + i) for i in range(length))
    begin, end = spelling(form)[: MAX_SPELLING // 2], spelling(form)[MAX_SPELLING // 2 :]
    assert form.startswith(begin) and form.endswith(end)
    assert len(begin) == len(end) == MAX_SPELLING // 2


def merged(max_words: int) -> tuple[Vocabulary, list[int]]:
    """Merge two vocabularies; return also the old ids of words."""
    pretrained = Vocabulary(["the", "dog", "saw", "cat"], ["<th"], "abc", n_frequent=4)
    labelled = Vocabulary(["wug", "dog", "newt"], [">ug", "<th"], "ua", n_frequent=2)
    vocabulary, rows = merge(pretrained, labelled, max_words)
    for kind in KINDS:
        assert vocabulary.ids(kind) == {key: i for i, key in enumerate(vocabulary.ids(kind), 1)}
        assert len(rows[kind]) == 1 + len(vocabulary.ids(kind))
        for key, i in vocabulary.ids(kind).items():
            assert rows[kind][i] == pretrained.ids(kind).get(key, UNKNOWN)
        assert rows[kind][0] == UNKNOWN
    for word, i in vocabulary.words.items():
        assert vocabulary.is_rare[i] == labelled.is_rare[labelled.words.get(word, UNKNOWN)]
    return vocabulary, rows["words"].tolist()


def test_merged_vocabularies_have_all_keys_pretrained_ones_first() -> None:
    vocabulary, rows = merged(100)
    assert list(vocabulary.words) == ["the", "dog", "saw", "cat", "wug", "newt"]
    assert rows == [0, 1, 2, 3, 4, 0, 0]
    assert list(vocabulary.affixes) == ["<th", ">ug"]
    assert list(vocabulary.characters) == ["a", "b", "c", "u"]
    assert vocabulary.is_rare.tolist() == [True, True, False, True, True, False, True]


@pytest.mark.parametrize(
    ("max_words", "words"),
    [
        (5, ["the", "dog", "saw", "wug", "newt"]),
        (4, ["the", "dog", "wug", "newt"]),
        (3, ["dog", "wug", "newt"]),
    ],
)
def test_labelled_words_take_precedence_in_a_full_vocabulary(
    max_words: int, words: list[str]
) -> None:
    vocabulary, _ = merged(max_words)
    assert list(vocabulary.words) == words


def test_merging_with_an_empty_vocabulary_changes_no_ids(vocabulary: Vocabulary) -> None:
    for pair in ((vocabulary, Vocabulary()), (Vocabulary(), vocabulary)):
        result, rows = merge(*pair, 1000)
        assert all(result.ids(kind) == vocabulary.ids(kind) for kind in KINDS)
        known = (
            [*range(1 + len(vocabulary.words))]
            if pair[0] is vocabulary
            else [0] * len(rows["words"])
        )
        assert rows["words"].tolist() == known

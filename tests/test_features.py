"""Tests of `features.py`: the vocabulary, and the integers that Docs become."""

import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from itertools import chain, pairwise, permutations, product
from typing import Any, NamedTuple

import numpy
import pytest
import srsly
from spacy.lang.lex_attrs import word_shape
from spacy.tokens import Doc
from spacy.vectors import Vectors
from thinc.types import Floats2d, Ints1d

from spacy_lstm_tagger.features import (
    MAX_SPELLING,
    UNKNOWN,
    Vocabulary,
    Windows,
    affixes,
    cut,
    find_types,
    learn_vocabulary,
    spelling,
    split,
    static_vectors,
    type_ids,
    windows_of,
)

MakeDocs = Callable[..., list[Doc]]

TEXTS = ["the dog saw the cat", "The cat saw a bird", "a dog"]
FREQUENCIES = {"the": 3, "dog": 2, "saw": 2, "cat": 2, "a": 2, "bird": 1}
ODD_WORDS = [" ", "\n\t", "🙂👍🏽", "e\u0301\u0323", "ⵣⴰⵎ", "İ", "ß" * 40, "x" * 10_000]
SHORT_FORMS = ["".join(form) for n in range(5) for form in product("xXd-1", repeat=n)]
LENGTHS = [*product(range(6), repeat=3), *((length,) for length in range(40)), (0, 17, 0, 23)]
LEARN = """
import json, sys
from spacy.tokens import Doc
from spacy.vocab import Vocab
from spacy_lstm_tagger.features import learn_vocabulary
vocab = Vocab()
docs = [Doc(vocab, words=text.split()) for text in json.loads(sys.argv[1])]
print(json.dumps(learn_vocabulary(docs, more_forms=["Fish", "fowl"])))
"""


@pytest.fixture
def docs(make_docs: MakeDocs) -> list[Doc]:
    return make_docs(*TEXTS)


@pytest.fixture
def vocabulary(docs: list[Doc]) -> Vocabulary:
    return learn_vocabulary(docs)


def with_vectors(docs: list[Doc], vectors: dict[str, list[float]], attr: str = "ORTH") -> list[Doc]:
    """Give the Docs' vocab a table of vectors."""
    table = numpy.asarray(list(vectors.values()), dtype="float64")
    docs[0].vocab.vectors = Vectors(
        strings=docs[0].vocab.strings, data=table, keys=list(vectors), attr=attr
    )
    return docs


class TokenIds(NamedTuple):
    """All ids of a batch: those of its types, and its windows."""

    words: Ints1d
    affixes: Ints1d
    spellings: Ints1d
    spelling_lengths: Ints1d
    vectors: Floats2d
    types: Ints1d
    window_lengths: Ints1d
    kept: Ints1d


def token_ids(
    docs: list[Doc],
    vocabulary: Vocabulary,
    *,
    window_length: int,
    context: int = 0,
    **settings: Any,
) -> TokenIds:
    orths, tokens, types = find_types(docs)
    ids = type_ids(docs, orths, tokens, vocabulary, **settings)
    return TokenIds(*ids, *windows_of(docs, types, window_length, context))


def assert_same(ids: TokenIds, others: TokenIds) -> None:
    for array, other in zip(ids, others, strict=True):
        numpy.testing.assert_array_equal(array, other)


@pytest.mark.parametrize("min_frequency", [1, 2, 3, 4])
def test_words_less_frequent_than_the_minimum_are_left_out(
    docs: list[Doc], min_frequency: int
) -> None:
    words = learn_vocabulary(docs, min_frequency=min_frequency)["words"]
    assert set(words) == {word for word, n in FREQUENCIES.items() if n >= min_frequency}


@pytest.mark.parametrize("min_frequency", [1, 2, 3, 4])
def test_ids_up_to_n_frequent_are_the_words_above_the_minimum(
    docs: list[Doc], min_frequency: int
) -> None:
    vocabulary = learn_vocabulary(docs, min_frequency=min_frequency)
    frequent = {word for word, i in vocabulary["words"].items() if i <= vocabulary["n_frequent"]}
    assert frequent == {word for word, n in FREQUENCIES.items() if n > min_frequency}


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


def test_the_most_frequent_words_come_first(vocabulary: Vocabulary) -> None:
    frequencies = [FREQUENCIES[word] for word in vocabulary["words"]]
    assert frequencies == sorted(frequencies, reverse=True)


@pytest.mark.parametrize("texts", [["b a"], ["b", "a"], ["B a A b"]])
def test_words_of_equal_frequency_come_in_their_first_order(
    make_docs: MakeDocs, texts: list[str]
) -> None:
    assert learn_vocabulary(make_docs(*texts))["words"] == {"b": 1, "a": 2}


def test_the_vocabulary_is_the_same_in_every_process(docs: list[Doc]) -> None:
    command = [sys.executable, "-c", LEARN, json.dumps(TEXTS)]
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


def test_each_token_gets_the_id_of_its_word_in_lower_case(
    make_docs: MakeDocs, vocabulary: Vocabulary
) -> None:
    docs = make_docs("THE Dog flew", "dog the", "unheard of A")
    ids = token_ids(docs, vocabulary, window_length=2)
    expected = [vocabulary["words"].get(token.text.lower(), 0) for token in chain(*docs)]
    assert ids.words[ids.types[ids.kept]].tolist() == expected
    assert UNKNOWN in expected


def test_each_token_gets_the_ids_of_its_affixes(
    make_docs: MakeDocs, vocabulary: Vocabulary
) -> None:
    docs = make_docs("THE Dog flew", "dog the", "unheard of A")
    ids = token_ids(docs, vocabulary, window_length=2)
    known = vocabulary["affixes"]
    expected = [[known.get(affix, 0) for affix in affixes(t.text)] for t in chain(*docs)]
    assert ids.affixes[ids.types[ids.kept]].tolist() == expected


def test_each_token_gets_the_ids_of_its_characters(
    make_docs: MakeDocs, vocabulary: Vocabulary
) -> None:
    docs = make_docs("THE Dog flew", "dog the", "ünheard of A " + "x" * 50)
    ids = token_ids(docs, vocabulary, window_length=2)
    spellings = numpy.split(ids.spellings, ids.spelling_lengths.cumsum()[:-1])
    known = vocabulary["characters"]
    for token, i in zip(chain(*docs), ids.types[ids.kept], strict=True):
        assert spellings[i].tolist() == [known.get(c, 0) for c in spelling(token.text)]


def test_there_is_one_type_for_each_distinct_form(
    make_docs: MakeDocs, vocabulary: Vocabulary
) -> None:
    docs = make_docs("the The the dog", "dog The new old new")
    ids = token_ids(docs, vocabulary, window_length=9)
    types = ids.types[ids.kept].tolist()
    forms = [token.text for token in chain(*docs)]
    assert len(ids.words) == len(ids.affixes) == len(ids.spelling_lengths) == len(set(forms))
    assert len(set(zip(forms, types, strict=True))) == len(set(forms)) == len(set(types))


@pytest.mark.parametrize("window_length, context", [(2, 0), (2, 1), (3, 5), (100, 1)])
def test_windows_are_those_of_cut(
    docs: list[Doc], vocabulary: Vocabulary, window_length: int, context: int
) -> None:
    ids = token_ids(docs, vocabulary, window_length=window_length, context=context)
    lengths = numpy.asarray([len(doc) for doc in docs])
    positions, window_lengths, kept = cut(lengths, window_length, context)
    whole = token_ids(docs, vocabulary, window_length=100)
    assert ids.types.tolist() == whole.types[positions].tolist()
    assert ids.window_lengths.tolist() == window_lengths.tolist()
    assert ids.kept.tolist() == kept.tolist()


@pytest.mark.parametrize("context", [0, 2])
@pytest.mark.parametrize("max_positions", [1, 2, 3, 5, 8, 100])
def test_parts_of_a_batch_are_the_batch(docs: list[Doc], max_positions: int, context: int) -> None:
    _, _, types = find_types(docs)
    windows = windows_of(docs, types, 2, context)
    parts = list(split(windows, max_positions))
    of_parts = [window for _, part in parts for window in spelled(part)]
    assert sorted(of_parts) == sorted(spelled(windows))
    found = {}
    for tokens, part in parts:
        assert len(part.types) < max_positions + max(part.lengths)
        assert (numpy.diff(part.kept) > 0).all()
        found.update(zip(tokens.tolist(), part.types[part.kept].tolist(), strict=True))
    assert found == dict(enumerate(windows.types[windows.kept].tolist()))
    lengths = [n for _, part in parts for n in part.lengths]
    assert len(parts) == 1 or lengths == sorted(lengths, reverse=True)


def spelled(windows: Windows) -> list[tuple[list[int], list[int]]]:
    """Return the types of each window, and which of its positions count."""
    ends = windows.lengths.cumsum()
    return [
        (windows.types[begin:end].tolist(), [k - begin for k in windows.kept if begin <= k < end])
        for begin, end in zip(ends - windows.lengths, ends, strict=True)
    ]


def test_batch_of_empty_docs_has_no_parts(docs: list[Doc]) -> None:
    empty = [Doc(docs[0].vocab)]
    _, _, types = find_types(empty)
    assert not list(split(windows_of(empty, types, 2), 1))


def test_some_types_are_described_as_all_are(docs: list[Doc], vocabulary: Vocabulary) -> None:
    with_vectors(docs, {"dog": [1.0, 2.0], "the": [3.0, 4.0]})
    orths, tokens, _ = find_types(docs)
    whole = type_ids(docs, orths, tokens, vocabulary, include_static_vectors=True)
    ends = whole.spelling_lengths.cumsum()
    for chosen in ([0], [2, 1], [*range(len(orths))][::-1], []):
        some = type_ids(
            docs, orths[chosen], tokens[chosen], vocabulary, include_static_vectors=True
        )
        for name in ("words", "affixes", "spelling_lengths", "vectors"):
            assert getattr(some, name).tolist() == getattr(whole, name)[chosen].tolist()
        spelt = [whole.spellings[ends[i] - whole.spelling_lengths[i] : ends[i]] for i in chosen]
        assert some.spellings.tolist() == [c for characters in spelt for c in characters]


@pytest.mark.parametrize("window_length", [1, 2, 9])
@pytest.mark.parametrize("empty_at", [(0,), (1,), (3,), (0, 3), (0, 0, 1, 2, 2, 3)])
def test_empty_docs_anywhere_change_nothing(
    docs: list[Doc], vocabulary: Vocabulary, empty_at: tuple[int, ...], window_length: int
) -> None:
    mixed = list(docs)
    for place in sorted(empty_at, reverse=True):
        mixed.insert(place, Doc(docs[0].vocab))
    with_empty = token_ids(mixed, vocabulary, window_length=window_length, context=1)
    assert_same(with_empty, token_ids(docs, vocabulary, window_length=window_length, context=1))


@pytest.mark.parametrize("n_docs", [1, 2, 5])
@pytest.mark.parametrize("include_static_vectors", [False, True])
def test_empty_docs_alone_have_no_ids(
    make_docs: MakeDocs, vocabulary: Vocabulary, n_docs: int, include_static_vectors: bool
) -> None:
    docs = with_vectors(make_docs(*[""] * n_docs), {"dog": [1.0, 2.0]})
    ids = token_ids(
        docs, vocabulary, window_length=3, include_static_vectors=include_static_vectors
    )
    assert all(len(array) == 0 for array in ids)
    assert ids.affixes.shape == (0, 3)
    assert ids.vectors.shape == (0, 2 if include_static_vectors else 0)


def test_odd_words_have_ids(docs: list[Doc]) -> None:
    odd = Doc(docs[0].vocab, words=ODD_WORDS)
    known = token_ids([odd], learn_vocabulary([odd]), window_length=4, context=2)
    assert all((array > 0).all() for array in (known.words, known.affixes, known.spellings))
    unknown = token_ids([odd], learn_vocabulary([]), window_length=4, context=2)
    assert not any(array.any() for array in (unknown.words, unknown.affixes, unknown.spellings))
    assert 1 <= unknown.spelling_lengths.min() <= unknown.spelling_lengths.max() <= MAX_SPELLING


def test_all_ids_are_integers_that_torch_takes(docs: list[Doc], vocabulary: Vocabulary) -> None:
    ids = token_ids(docs, vocabulary, window_length=4, unknown_rate=0.5)
    assert {array.dtype for array in ids._replace(vectors=ids.words)} == {numpy.dtype("int64")}


@pytest.mark.parametrize("min_frequency", [1, 2])
def test_unknown_rate_one_hides_rare_words_and_no_others(
    docs: list[Doc], min_frequency: int
) -> None:
    vocabulary = learn_vocabulary(docs, min_frequency=min_frequency)
    ids = token_ids(docs, vocabulary, window_length=9, unknown_rate=1.0)
    seen = ids.words[ids.types[ids.kept]].tolist()
    for token, word in zip(chain(*docs), seen, strict=True):
        frequent = FREQUENCIES[token.text.lower()] > min_frequency
        assert word == (vocabulary["words"][token.text.lower()] if frequent else UNKNOWN)


def test_unknown_rate_zero_hides_no_words(docs: list[Doc], vocabulary: Vocabulary) -> None:
    ids = token_ids(docs, vocabulary, window_length=9, unknown_rate=0.0)
    assert (ids.words != UNKNOWN).all()


def test_unknown_rate_changes_nothing_but_words(docs: list[Doc], vocabulary: Vocabulary) -> None:
    ids = token_ids(docs, vocabulary, window_length=9, unknown_rate=1.0)
    whole = token_ids(docs, vocabulary, window_length=9)
    assert_same(ids._replace(words=whole.words), whole)


@pytest.mark.parametrize("unknown_rate", [0.2, 0.7])
def test_unknown_rate_is_a_probability_drawn_afresh(
    make_docs: MakeDocs, unknown_rate: float
) -> None:
    docs = make_docs(" ".join(f"w{i}" for i in range(2000)))
    vocabulary = learn_vocabulary(docs)
    numpy.random.seed(0)
    first, second = (
        token_ids(docs, vocabulary, window_length=9, unknown_rate=unknown_rate).words == UNKNOWN
        for _ in range(2)
    )
    assert abs(first.mean() - unknown_rate) < 0.05
    assert abs((first & second).mean() - unknown_rate**2) < 0.05


def test_static_vectors_are_those_of_the_words(make_docs: MakeDocs, vocabulary: Vocabulary) -> None:
    table = {"dog": [1.0, 2.0], "the": [3.0, 4.0], "cat": [5.0, 6.0]}
    docs = with_vectors(make_docs("the the the dog", "dog cat the"), table)
    ids = token_ids(docs, vocabulary, window_length=2, include_static_vectors=True)
    vectors = ids.vectors[ids.types[ids.kept]].tolist()
    assert vectors == [table[token.text] for token in chain(*docs)]


def test_words_without_a_vector_are_zero(make_docs: MakeDocs) -> None:
    docs = with_vectors(make_docs("a dog", "dog barks"), {"a": [5.0, 6.0], "dog": [1.0, 2.0]})
    vectors = static_vectors(docs, numpy.arange(4))
    assert vectors.tolist() == [[5.0, 6.0], [1.0, 2.0], [1.0, 2.0], [0.0, 0.0]]


@pytest.mark.parametrize(
    "attr, expected", [("ORTH", [[1.0], [0.0], [2.0]]), ("LOWER", [[1.0], [1.0], [1.0]])]
)
def test_static_vectors_are_keyed_as_the_table_says(
    make_docs: MakeDocs, attr: str, expected: list[list[float]]
) -> None:
    docs = make_docs("dog Dog DOG")
    for token in docs[0]:
        token.lex.lower = docs[0].vocab.strings.add("dog")
    with_vectors(docs, {"dog": [1.0], "DOG": [2.0]}, attr)
    assert static_vectors(docs, numpy.arange(3)).tolist() == expected


@pytest.mark.parametrize("dtype", ["float16", "float32", "float64"])
def test_static_vectors_are_float32_and_leave_the_table_alone(
    make_docs: MakeDocs, dtype: str
) -> None:
    docs = with_vectors(make_docs("dog cat"), {"dog": [1.0], "bird": [2.0]})
    docs[0].vocab.vectors.data = docs[0].vocab.vectors.data.astype(dtype)
    assert static_vectors(docs, numpy.arange(2)).dtype == "float32"
    assert docs[0].vocab.vectors.data.tolist() == [[1.0], [2.0]]


def test_floret_vectors_are_those_of_the_vocab(make_docs: MakeDocs) -> None:
    docs = make_docs("dog cat unheard-of")
    table = numpy.random.RandomState(0).normal(size=(10, 4)).astype("float32")
    docs[0].vocab.vectors = Vectors(
        strings=docs[0].vocab.strings, data=table, mode="floret", hash_count=2, minn=2, maxn=3
    )
    expected = [docs[0].vocab.get_vector(token.text) for token in docs[0]]
    numpy.testing.assert_allclose(static_vectors(docs, numpy.arange(3)), expected, rtol=1e-6)


def test_without_static_vectors_none_are_looked_up(
    make_docs: MakeDocs, vocabulary: Vocabulary
) -> None:
    docs = with_vectors(make_docs("dog"), {"dog": [1.0]})
    assert token_ids(docs, vocabulary, window_length=2).vectors.shape == (0, 0)


def cut_slowly(
    lengths: tuple[int, ...], window_length: int, context: int
) -> tuple[list[int], list[int], list[int]]:
    """Do what `cut` does, token by token."""
    positions: list[int] = []
    window_lengths: list[int] = []
    kept: list[int] = []
    text_start = 0
    for length in lengths:
        n_windows = next(n for n in range(length + 1) if n * window_length >= length)
        cuts = [length * n // n_windows for n in range(n_windows + 1)] if length else []
        for begin, end in pairwise(cuts):
            window = []
            for token in range(begin - context, end + context):
                if 0 <= token < length:
                    if begin <= token < end:
                        kept.append(len(positions) + len(window))
                    window.append(text_start + token)
            positions += window
            window_lengths.append(len(window))
        text_start += length
    return positions, window_lengths, kept


def tokens_of(
    cut_texts: tuple[Ints1d, Ints1d, Ints1d],
) -> list[tuple[list[int], list[int]]]:
    """Return the tokens of each window, and those of them that count."""
    positions, window_lengths, kept = cut_texts
    windows = numpy.split(numpy.arange(len(positions)), window_lengths.cumsum()[:-1])
    counting = set(kept.tolist())
    return [
        (positions[window].tolist(), [int(positions[i]) for i in window if int(i) in counting])
        for window in windows
        if len(window)
    ]


@pytest.mark.parametrize("context", [0, 1, 2, 7])
@pytest.mark.parametrize("window_length", [1, 2, 3, 4, 7, 50])
def test_cut_equals_a_slow_reference(window_length: int, context: int) -> None:
    for lengths in LENGTHS:
        found = cut(numpy.asarray(lengths), window_length, context)
        assert tuple(part.tolist() for part in found) == cut_slowly(lengths, window_length, context)


@pytest.mark.parametrize("context", [0, 1, 3])
@pytest.mark.parametrize("window_length", [1, 2, 3, 5])
def test_every_token_is_kept_exactly_once(window_length: int, context: int) -> None:
    for lengths in LENGTHS:
        positions, _, kept = cut(numpy.asarray(lengths), window_length, context)
        assert positions[kept].tolist() == list(range(sum(lengths)))


@pytest.mark.parametrize("context", [0, 1, 3])
@pytest.mark.parametrize("window_length", [1, 2, 3, 5])
def test_a_window_sees_its_context_and_nothing_of_other_texts(
    window_length: int, context: int
) -> None:
    for lengths in LENGTHS:
        ends = numpy.cumsum(lengths)
        for seen, counting in tokens_of(cut(numpy.asarray(lengths), window_length, context)):
            text = numpy.searchsorted(ends, counting[0], side="right")
            begin, end = ends[text] - lengths[text], ends[text]
            first, last = max(counting[0] - context, begin), min(counting[-1] + context, end - 1)
            assert seen == list(range(first, last + 1))


@pytest.mark.parametrize("window_length", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("length", range(1, 34))
def test_windows_are_bounded_few_and_balanced(length: int, window_length: int) -> None:
    windows = tokens_of(cut(numpy.asarray([length]), window_length, 2))
    sizes = [len(counting) for _, counting in windows]
    assert len(sizes) == -(-length // window_length)
    assert max(sizes) <= window_length
    assert max(sizes) - min(sizes) <= 1


@pytest.mark.parametrize("context", [0, 3])
def test_texts_that_fit_into_a_window_stay_whole(context: int) -> None:
    for lengths in product(range(5), repeat=4):
        positions, window_lengths, kept = cut(numpy.asarray(lengths), 4, context)
        assert positions.tolist() == kept.tolist() == list(range(sum(lengths)))
        assert window_lengths.tolist() == [length for length in lengths if length]

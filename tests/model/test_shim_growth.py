"""Tests of `shim.py`: networks whose vocabulary grows, or is merged with a pretrained one."""

from collections.abc import Callable
from typing import Any

import numpy
import pytest
import torch
from numpy.testing import assert_allclose
from spacy.tokens import Doc
from spacy.vectors import Vectors
from spacy.vocab import Vocab
from thinc.api import Adam
from torch import nn

from spacy_lstm_tagger.model.architectures import LSTMTagger
from spacy_lstm_tagger.model.shim import NetworkShim, network_of
from spacy_lstm_tagger.model.types import DocModel
from spacy_lstm_tagger.model.vocabulary import News, Vocabulary, affixes
from spacy_lstm_tagger.model.word_types import ids_of
from spacy_lstm_tagger.prediction.config import EncoderConfig, TaggerConfig
from spacy_lstm_tagger.prediction.types import TypeIds

MakeModel = Callable[..., DocModel]
Function = Callable[..., Any]


def test_a_vocabulary_that_grows_changes_no_score(
    widths: dict[str, int], variant: dict[str, Any]
) -> None:
    docs = [Doc(Vocab(), words=["apple", "ate", "a", "b"])]
    docs[0].vocab.vectors = Vectors(data=numpy.ones((1, 2), "float32"), keys=["apple"])
    settings = {**widths, "unknown_rate": 0.0, **variant, "window_length": 32}
    model = LSTMTagger(**settings)
    shim = network_of(model)
    vector_width = 2 * shim.config.include_static_vectors
    shim.build(Vocabulary("abc", ["<a"], "abc"), vector_width=vector_width, n_labels=3)
    model.set_dim("nO", 3)
    for parameter in shim.network.parameters():
        nn.init.normal_(parameter)
    predicted = model.predict(docs)[0]
    expected = model.ops.softmax(predicted)
    for _ in range(2):
        assert_allclose(model.begin_update(docs)[0][0], expected, atol=1e-6)
    assert list(shim.vocabulary.words) == ["a", "b", "c", "apple", "ate"]
    assert_allclose(model.predict(docs)[0], predicted, atol=1e-6)
    restored = LSTMTagger(**settings).from_bytes(model.to_bytes())
    assert_allclose(restored.predict(docs)[0], predicted, atol=1e-6)


def test_ids_that_a_reader_does_not_have_yet_are_unknown(shim: NetworkShim) -> None:
    reader, unknown = shim.prepare().reader, ids_of(["?"], Vocabulary())
    expected = reader.embed(unknown)
    shim.learn(News(["?"], [*affixes("?")], ["?"], frequent=[]))
    known = ids_of(["?"], shim.vocabulary)
    assert min(known.words.min(), known.affixes.min(), known.spellings.min()) > 0
    assert reader.embed(known).tolist() == expected.tolist()


def test_new_words_are_trained_and_saved(
    make_model: MakeModel, update: Function, docs: list[Doc]
) -> None:
    model, optimizer = make_model(), Adam(0.01)
    docs = [*docs, Doc(docs[0].vocab, words=["wugs", "blicked"])]
    update(model, docs, optimizer, 3)
    assert {"wugs", "blicked"} <= network_of(model).vocabulary.words.keys()
    restored = make_model().from_bytes(model.to_bytes())
    for found, expected in zip(restored.predict(docs), model.predict(docs), strict=True):
        assert_allclose(found, expected, atol=1e-6)
    update(restored, docs, optimizer, 1)
    assert (restored.predict(docs)[-1] != model.predict(docs)[-1]).any()


def test_averages_include_new_rows(
    make_model: MakeModel, update: Function, docs: list[Doc]
) -> None:
    model, optimizer = make_model(), Adam(0.01, use_averages=True)
    update(model, [Doc(docs[0].vocab, words=["wugs"])], optimizer, 3)
    names = [name for name, _ in network_of(model).network.named_parameters()]
    of_words = [name for name in names if name.startswith("words.")]
    assert len(of_words) == 2
    assert all((model.shims[0].id, name) in optimizer.averages for name in of_words)


def pretrained(settings: dict[str, Any], *words: str, vector_width: int = 0) -> NetworkShim:
    """Return the shim of an encoder that knows some words, with weights far from zero."""
    shim = NetworkShim(EncoderConfig(**settings))
    found = dict.fromkeys(affix for word in words for affix in affixes(word))
    vocabulary = Vocabulary(words, found, dict.fromkeys("".join(words)))
    shim.build(vocabulary, vector_width=vector_width)
    torch.manual_seed(1)
    for parameter in shim.network.parameters():
        nn.init.normal_(parameter)
    return shim


def embedded(shim: NetworkShim, words: list[str]) -> Any:
    return shim.prepare().reader.embed(described(shim, words))


def described(shim: NetworkShim, words: list[str]) -> TypeIds:
    vectors = numpy.ones((len(words), shim.vector_width), "float32")
    return ids_of(words, shim.vocabulary, vectors)


@pytest.mark.parametrize(
    "settings",
    [{}, {"depth": 2}, {"affixes": False}, {"character_lstm_width": 0}, {"bidirectional": False}],
    ids=str,
)
def test_a_pretrained_network_embeds_words_as_before(
    widths: dict[str, int], settings: dict[str, Any]
) -> None:
    settings = {**widths, **settings}
    encoder = pretrained(settings, "the", "dog", "saw")
    tagger = NetworkShim(TaggerConfig(**settings))
    tagger.build(Vocabulary(["wug", "dog"]), n_labels=3)
    tagger.take_over(encoder)
    words = ["saw", "the", "dog", "?"]
    assert_allclose(embedded(tagger, words), embedded(encoder, words), rtol=1e-6)
    assert list(tagger.vocabulary.words) == ["the", "dog", "saw", "wug"]
    assert tagger.network.output.out_features == 3
    pairs = (shim.network.layers.state_dict() for shim in (encoder, tagger))
    for own, taken in zip(*(state.values() for state in pairs), strict=True):
        assert torch.equal(own, taken)


def test_a_word_that_pretraining_lacks_begins_as_unknown(widths: dict[str, int]) -> None:
    encoder = pretrained(widths, "the", "dog")
    tagger = NetworkShim(TaggerConfig(**widths))
    tagger.build(Vocabulary(["wug"], affixes("wug"), "wug"), n_labels=3)
    tagger.take_over(encoder)
    ids = described(tagger, ["wug"])
    assert min(ids.words.min(), ids.affixes.min(), ids.spellings.min()) > 0
    assert_allclose(embedded(tagger, ["wug"]), embedded(encoder, ["wug"]), rtol=1e-6)


def test_pretrained_words_make_room_for_labelled_ones(widths: dict[str, int]) -> None:
    encoder = pretrained(widths, "the", "dog", "saw", "cat")
    tagger = NetworkShim(TaggerConfig(**widths, max_words=4))
    tagger.build(Vocabulary(["wug", "dog", "newt"], n_frequent=2), n_labels=3)
    tagger.take_over(encoder)
    assert list(tagger.vocabulary.words) == ["the", "dog", "wug", "newt"]
    assert tagger.vocabulary.is_rare.tolist() == [True, True, False, False, True]
    rows, before = (shim.network.words.weight.tolist() for shim in (tagger, encoder))
    assert rows[:3] == before[:3]  # UNKNOWN, "the" and "dog"
    assert rows[3:] == [[0.0] * widths["word_width"]] * 2


@pytest.mark.parametrize("vector_width", [0, 3])
def test_word_vectors_of_another_width_are_refused(
    widths: dict[str, int], vector_width: int
) -> None:
    settings = {**widths, "include_static_vectors": True}
    tagger = NetworkShim(TaggerConfig(**settings))
    tagger.build(Vocabulary(["wug"]), vector_width=2, n_labels=3)
    encoder = NetworkShim(EncoderConfig(**{**settings, "include_static_vectors": vector_width > 0}))
    encoder.build(Vocabulary(["dog"]), vector_width=vector_width)
    before = tagger.to_bytes()
    with pytest.raises(ValueError, match=f"width {vector_width}, and .* have width 2"):
        tagger.take_over(encoder)
    assert tagger.to_bytes() == before

"""Tests of `pretraining.py`: learning from text without labels."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
from spacy.tokens import Doc
from spacy.training.pretrain import make_update
from spacy.vocab import Vocab
from thinc.api import Adam, Model, fix_random_seed

from spacy_lstm_tagger.model.architectures import LSTMTagger, LSTMTok2Vec
from spacy_lstm_tagger.model.crf import emitter_of
from spacy_lstm_tagger.model.pretraining import PretrainLM, number_words, take_pretrained
from spacy_lstm_tagger.model.shim import network_of
from spacy_lstm_tagger.model.types import DocModel

MakeDocs = Callable[..., list[Doc]]
MakeModel = Callable[..., DocModel]

LSTM_WIDTH = 16


@pytest.fixture
def make_objective(docs: list[Doc], widths: dict[str, int]) -> Callable[..., Model]:
    """Return a function that makes an objective around an encoder for the Docs."""

    def make(**settings: Any) -> Model:
        fix_random_seed(0)
        tok2vec = LSTMTok2Vec(**{**widths, "lstm_width": LSTM_WIDTH, **settings})
        tok2vec.initialize(X=docs)
        model = PretrainLM(n_words=10)(docs[0].vocab, tok2vec)
        model.initialize(X=docs)
        return model

    return make


@pytest.mark.parametrize("bidirectional", [False, True])
def test_neighbours_are_learnt(
    make_objective: Callable[..., Model], docs: list[Doc], bidirectional: bool
) -> None:
    model, optimizer = make_objective(bidirectional=bidirectional), Adam(0.03)
    docs = [Doc(docs[0].vocab), *docs, Doc(docs[0].vocab)]
    losses = [make_update(model, docs, optimizer, model.attrs["loss"]) for _ in range(40)]
    n_pairs = sum(max(0, len(doc) - 1) for doc in docs)
    n_predictions = (1 + bidirectional) * n_pairs
    assert losses[0] / n_predictions > 2 > 0.8 > losses[-1] / n_predictions


def test_gradient_is_that_of_the_mean(
    make_objective: Callable[..., Model], docs: list[Doc]
) -> None:
    model = make_objective()
    before = network_of(model.layers[0]).to_bytes(), model.shims[0].to_bytes()
    loss, backprop = model.begin_update(docs)
    total, d_loss = model.attrs["loss"](model.ops, docs, loss)
    assert total == float(loss[0])
    assert d_loss.tolist() == [pytest.approx(1 / sum(map(len, docs)))]
    backprop(d_loss)
    model.finish_update(Adam(0.1))
    after = network_of(model.layers[0]).to_bytes(), model.shims[0].to_bytes()
    assert after[0] != before[0] and after[1] != before[1]


@pytest.mark.parametrize("changed", range(5))
def test_a_prediction_does_not_depend_on_the_predicted_word(
    make_objective: Callable[..., Model], docs: list[Doc], changed: int
) -> None:
    """The predictor reads only hidden states, not the rest, which contains the neighbours."""
    encoder, width = make_objective().layers[0], LSTM_WIDTH
    words = [token.text for token in docs[0]]
    other = [*words[:changed], "bird", *words[changed + 1 :]]
    first, second = encoder.predict([Doc(docs[0].vocab, words=w) for w in (words, other)])
    forward, backward = slice(width), slice(width, 2 * width)
    assert (first[:changed, forward] == second[:changed, forward]).all()
    assert (first[changed + 1 :, backward] == second[changed + 1 :, backward]).all()
    assert (first[changed, : 2 * width] != second[changed, : 2 * width]).any()


def test_words_get_numbers_while_there_are_any_left() -> None:
    numbers: dict[str, int] = {}
    vocab = Vocab()
    first = [Doc(vocab, words=["The", "dog"]), Doc(vocab), Doc(vocab, words=["the"])]
    assert number_words(first, numbers, 3).tolist() == [1, 2, 1]
    assert number_words([Doc(vocab, words=["a", "dog", "b"])], numbers, 3).tolist() == [0, 2, 0]
    assert numbers == {"the": 1, "dog": 2}


def test_a_deeper_encoder_is_refused(docs: list[Doc]) -> None:
    with pytest.raises(ValueError, match=r"PretrainLM.v1 needs depth = 1, not 2"):
        PretrainLM()(docs[0].vocab, LSTMTok2Vec(depth=2))


def test_other_architectures_are_refused(docs: list[Doc]) -> None:
    with pytest.raises(ValueError, match=r"LSTMTok2Vec.v1; this one is 'lstm_tagger'"):
        PretrainLM()(docs[0].vocab, LSTMTagger())


def test_n_words_is_checked() -> None:
    with pytest.raises(ValueError, match="n_words = 1 must be at least 2"):
        PretrainLM(n_words=1)


@pytest.fixture
def pretrained(make_model: MakeModel, make_docs: MakeDocs, tmp_path: Path) -> Callable[..., Path]:
    """Return a function that saves an encoder for some texts, as `spacy pretrain` does."""

    def save(*texts: str, **settings: Any) -> Path:
        path = tmp_path / "model.bin"
        path.write_bytes(make_model(LSTMTok2Vec, make_docs(*texts), **settings).to_bytes())
        return path

    return save


@pytest.mark.parametrize("crf", [False, True])
def test_a_tagger_takes_over_pretrained_words_and_weights(
    make_model: MakeModel,
    docs: list[Doc],
    widths: dict[str, int],
    pretrained: Callable[..., Path],
    crf: bool,
) -> None:
    path = pretrained("wugs saw the dog", "a wug")
    encoder = LSTMTok2Vec(**widths).from_bytes(path.read_bytes())
    model = make_model(crf=crf)
    take_pretrained(model, path)
    shim = network_of(emitter_of(model))
    assert {"wugs", "wug", "the", "bird"} <= shim.vocabulary.words.keys()
    weights, expected = (s.network.state_dict() for s in (shim, network_of(encoder)))
    for name in expected:
        if "words" not in name and "affixes" not in name and "embedding" not in name:
            assert weights[name].tolist() == expected[name].tolist()
    taken = shim.vocabulary.words["wug"], network_of(encoder).vocabulary.words["wug"]
    assert weights["words.weight"][taken[0]].tolist() == expected["words.weight"][taken[1]].tolist()
    assert numpy.isfinite(numpy.concatenate(model.predict(docs))).all()


def test_labelled_words_are_learnt_although_pretraining_filled_the_vocabulary(
    make_model: MakeModel,
    make_docs: MakeDocs,
    update: Callable[..., None],
    pretrained: Callable[..., Path],
) -> None:
    """Both the words of the first examples, and frequent words of the training."""
    max_words = 12
    path = pretrained(" ".join(f"old{i}" for i in range(30)), max_words=max_words)
    labelled = make_docs("the wug saw the newt", "a wug")
    model = make_model(some=labelled, max_words=max_words)
    take_pretrained(model, path)
    vocabulary = network_of(model).vocabulary
    assert {"the", "wug", "saw", "newt", "a"} <= vocabulary.words.keys()
    assert len(vocabulary.words) == max_words
    frequent = {word for word, i in vocabulary.words.items() if not vocabulary.is_rare[i]}
    assert frequent == {"the", "wug"}
    before = model.predict(make_docs("wug"))[0].tolist()
    update(model, labelled, Adam(0.1), 3)
    rows = network_of(model).network.words.weight
    assert rows[vocabulary.words["wug"]].any()
    assert model.predict(make_docs("wug"))[0].tolist() != before


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"lstm_width": 9}, r"lstm_width = 9 \(here 5\)"),
        ({"depth": 2}, r"depth = 2 \(here 1\)"),
        ({"affixes": False}, r"affixes = False \(here True\)"),
    ],
    ids=str,
)
def test_an_encoder_with_other_settings_is_refused(
    make_model: MakeModel,
    pretrained: Callable[..., Path],
    settings: dict[str, Any],
    message: str,
) -> None:
    model, path = make_model(), pretrained("a wug", **settings)
    before = model.to_bytes()
    with pytest.raises(ValueError, match=rf"model.bin.* can't be used: .*{message}"):
        take_pretrained(model, path)
    assert model.to_bytes() == before


@pytest.mark.parametrize("data", [b"", b"\x80", b"\xc0", b"weights", None])
def test_a_file_that_cannot_be_read_is_refused(
    make_model: MakeModel, tmp_path: Path, data: bytes | None
) -> None:
    model, path = make_model(), tmp_path / "model.bin"
    if data is not None:
        path.write_bytes(data)
    before = model.to_bytes()
    with pytest.raises(ValueError, match=r"pretrained = .*model.bin.* can't be used"):
        take_pretrained(model, path)
    assert model.to_bytes() == before


def test_only_a_tagger_takes_over_a_pretrained_encoder(
    make_model: MakeModel, pretrained: Callable[..., Path]
) -> None:
    with pytest.raises(ValueError, match=r"the model is 'lstm_tok2vec'.*init_tok2vec"):
        take_pretrained(make_model(LSTMTok2Vec), pretrained("a wug"))

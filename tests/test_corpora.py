"""Tests of `corpora.py`: the reference's own tokens, and words that are read beforehand."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
import srsly
from helpers import CNN
from spacy.language import DEFAULT_CONFIG_PRETRAIN_PATH, Language
from spacy.tokens import Doc, DocBin, Token
from spacy.training import Corpus, Example
from spacy.training.initialize import init_nlp
from spacy.training.pretrain import pretrain
from spacy.util import load_config, load_config_from_str, registry
from thinc.api import Adam, Config

from spacy_lstm_tagger import corpora
from spacy_lstm_tagger.corpora import (
    create_labelled_corpus,
    create_mixed_corpus,
    create_reference_tokens_augmenter,
)
from spacy_lstm_tagger.pipeline.soft_labels import soft_labels, store

ROOT = Path(__file__).parent.parent
RAW_TEXT = ["The wug ate a blick.", "Every wug will glorp!"]
PRETRAINING = """
[corpora]

[corpora.pretrain]
@readers = "spacy.JsonlCorpus.v1"
path = "text.jsonl"

[corpora.train]
@readers = "spacy.Corpus.v1"
path = "train.spacy"

[corpora.dev]
@readers = "spacy.Corpus.v1"
path = "train.spacy"

[training]
seed = 0

[pretraining]
max_epochs = 4
component = "tok2vec"

[pretraining.objective]
@architectures = "spacy.PretrainCharacters.v1"
maxout_pieces = 2
hidden_size = 8
n_characters = 2

[initialize]
init_tok2vec = "model-last.bin"
"""


@pytest.fixture
def pretraining_config(shared_config: Config, tmp_path: Path) -> Config:
    """Write a text to pretrain on and Docs to train on; return a config that names them."""
    nlp = spacy.blank("xx")
    srsly.write_jsonl(tmp_path / "text.jsonl", [{"text": text} for text in RAW_TEXT])
    words, tags = ["The", "dog", "ate"], ["DET", "NN", "V"]
    DocBin(docs=[Doc(nlp.vocab, words=words, tags=tags, pos=["DET", "NOUN", "VERB"])]).to_disk(
        tmp_path / "train.spacy"
    )
    text = PRETRAINING
    for name in ("text.jsonl", "train.spacy", "model-last.bin"):
        text = text.replace(f'"{name}"', f'"{(tmp_path / name).as_posix()}"')
    defaults = nlp.config.merge(load_config(DEFAULT_CONFIG_PRETRAIN_PATH))
    config = defaults.merge(shared_config).merge(load_config_from_str(text))
    config["components"]["tok2vec"]["model"]["unknown_rate"] = 0.0
    return config


def test_pretrained_weights_arrive(pretraining_config: Config, tmp_path: Path) -> None:
    pretrain(pretraining_config.copy(), tmp_path)
    nlp = init_nlp(pretraining_config)
    model = nlp.get_pipe("tok2vec").model
    assert model.to_bytes() == (tmp_path / "model-last.bin").read_bytes()
    words = model.shims[0].vocabulary.words
    assert {"wug", "blick", "glorp", "every"} <= words.keys()
    weights = model.shims[0].network.words.weight
    assert weights[words["wug"]].abs().max() > 0  # it was learnt
    assert "dog" not in words  # this wasn't seen
    examples = list(Corpus(tmp_path / "train.spacy")(nlp))
    optimizer = Adam(0.01)
    for _ in range(3):  # spaCy's output layer is zero at first, and so are the first gradients
        nlp.update(examples, sgd=optimizer)
    rows = model.shims[0].network.words.joined()
    assert rows[model.shims[0].vocabulary.words["dog"]].abs().max() > 0


@pytest.mark.parametrize("crf", [False, True])
def test_a_tagger_takes_pretrained_weights(
    pretraining_config: Config, tmp_path: Path, tiny: dict, crf: bool
) -> None:
    pretrain(pretraining_config.copy(), tmp_path)
    encoder = init_nlp(pretraining_config).get_pipe("tok2vec").model.shims[0]
    nlp = spacy.blank("xx")
    tagger = nlp.add_pipe("lstm_tagger", config={"model": {**tiny, "crf": crf}})
    pretrained = {"pretrained": str(tmp_path / "model-last.bin")}
    nlp.config["initialize"]["components"]["lstm_tagger"] = pretrained
    examples = 2 * list(Corpus(tmp_path / "train.spacy")(nlp))
    optimizer = nlp.initialize(lambda: examples)
    (shim,) = (shim for node in tagger.model.walk() for shim in node.shims)
    words = shim.vocabulary.words
    assert words == {**encoder.vocabulary.words, "dog": 1 + len(encoder.vocabulary.words)}
    assert not encoder.vocabulary.is_rare[words["wug"]]
    rare = {word for word in words if shim.vocabulary.is_rare[words[word]]}
    assert rare == {*words} - {"the", "ate", "dog"}  # which the labelled text has twice
    weights = shim.network.state_dict()
    for name, values in encoder.network.state_dict().items():
        assert (weights[name][: len(values)] == values).all()
    assert not weights["words.weight"][words["dog"]].any()  # as an unknown word
    nlp.update(examples, sgd=optimizer)
    assert tagger.predict([example.predicted for example in examples])


@pytest.mark.parametrize(
    "settings, message",
    [
        ({"lstm_width": 9}, r"model-last.bin' can't be used: .*lstm_width = 5 \(here 9\)"),
        (None, r"needs the architecture .*LSTMTagger.v1, and the model is"),
    ],
)
def test_weights_of_another_model_are_refused(
    pretraining_config: Config, tmp_path: Path, tiny: dict, settings: dict | None, message: str
) -> None:
    pretrain(pretraining_config.copy(), tmp_path)
    nlp = spacy.blank("xx")
    model = {"@architectures": "spacy.Tagger.v2", "tok2vec": CNN}
    config = model if settings is None else {**tiny, **settings}
    tagger = nlp.add_pipe("lstm_tagger", config={"model": config})
    examples = list(Corpus(tmp_path / "train.spacy")(nlp))
    with pytest.raises(ValueError, match=message):
        tagger.initialize(lambda: examples, pretrained=tmp_path / "model-last.bin")


@pytest.mark.parametrize("objective", [None, "spacy-lstm-tagger.PretrainLM.v1"])
def test_pretraining_changes_what_the_tagger_reads(
    pretraining_config: Config, tmp_path: Path, objective: str | None
) -> None:
    if objective:
        pretraining_config["pretraining"]["objective"] = {"@architectures": objective}
        pretraining_config["components"]["tok2vec"]["model"]["lstm_width"] = 16
        pretraining_config["components"]["tags"]["model"]["tok2vec"]["width"] = 68
        pretraining_config["components"]["parts"]["model"]["tok2vec"]["width"] = 68
    doc = spacy.blank("xx")("The wug ate.")
    vectors = []
    for max_epochs in (2, 4):
        config = pretraining_config.copy()
        config["pretraining"]["max_epochs"] = max_epochs
        pretrain(config.copy(), tmp_path)
        (found,) = init_nlp(config).get_pipe("tok2vec").model.predict([doc])
        vectors.append(found)
    assert numpy.abs(vectors[0] - vectors[1]).max() > 0


def test_examples_take_the_tokens_of_the_corpus(tmp_path: Path) -> None:
    nlp = spacy.blank("en")
    words, spaces = ["do", "n't", "can not", "!"], [False, True, False, False]
    reference = Doc(nlp.vocab, words=words, spaces=spaces, tags=["A", "B", "C", "D"])
    DocBin(docs=[reference]).to_disk(tmp_path / "train.spacy")
    (example,) = Corpus(tmp_path, augmenter=create_reference_tokens_augmenter())(nlp)
    assert [token.text for token in example.predicted] == words
    assert [bool(token.whitespace_) for token in example.predicted] == spaces
    assert [token.tag_ for token in example.predicted] == [""] * 4
    assert example.get_aligned("TAG", as_string=True) == ["A", "B", "C", "D"]


@pytest.mark.parametrize(
    ("config", "texts"),
    [
        ({"@augmenters": "spacy.lower_case.v1", "level": 1.0}, ["fly to new york"]),
        ({"@augmenters": "spacy.lower_case.v1", "level": 0.0}, ["Fly to New York"]),
        (
            {
                "@augmenters": "spacy.combined_augmenter.v1",
                "lower_level": 1.0,
                "orth_level": 0.0,
                "orth_variants": None,
                "whitespace_level": 1.0,
                "whitespace_per_token": 1.0,
                "whitespace_variants": ["\n"],
            },
            ["fly to new york"],
        ),
    ],
)
def test_another_augmenter_can_come_first(config: dict[str, Any], texts: list[str]) -> None:
    nlp = spacy.blank("en")
    Token.set_extension("place", default=None, force=True)
    reference = Doc(nlp.vocab, words=["Fly", "to", "New", "York"], tags=["A", "B", "C", "D"])
    for token, label in zip(reference, ["O", "O", "B-city", "I-city"], strict=True):
        token._.place = label
    resolved = registry.resolve({"augmenter": config})["augmenter"]
    augmenter = create_reference_tokens_augmenter(resolved)
    examples = list(augmenter(nlp, Example(nlp.make_doc(reference.text), reference)))
    words = [[t.text for t in example.predicted if not t.is_space] for example in examples]
    assert words == [text.split() for text in texts]
    for example in examples:
        assert [t.text for t in example.predicted] == [t.text for t in example.reference]
        found = [(t.tag_, t._.place) for t in example.reference if not t.is_space]
        assert found == [("A", "O"), ("B", "O"), ("C", "B-city"), ("D", "I-city")]
    Token.remove_extension("place")


def reader_of(tag: str, n: int) -> Callable[[Language], Iterator[Example]]:
    """Return a reader of n Docs of one token each, which have a tag and a number."""

    def read(nlp: Language) -> Iterator[Example]:
        for i in range(n):
            doc = Doc(nlp.vocab, words=[f"{tag}{i}"], tags=[tag])
            yield Example(Doc(nlp.vocab, words=[f"{tag}{i}"]), doc)

    return read


def mixed(n_new: int, n_old: int, **settings: Any) -> Callable[[Language], Iterable[Example]]:
    return create_mixed_corpus(new=reader_of("new", n_new), old=reader_of("old", n_old), **settings)


def words_of(examples: Iterable[Example]) -> list[str]:
    return [example.reference[0].text for example in examples]


@pytest.mark.parametrize("ratio, n_old", [(0, 0), (0.01, 1), (0.5, 2), (1.0, 4), (3, 12)])
@pytest.mark.parametrize("draw_anew", [False, True])
def test_a_mixed_corpus_has_all_new_docs_and_some_old_ones(
    nlp: Language, ratio: float, n_old: int, draw_anew: bool
) -> None:
    words = words_of(mixed(4, 20, ratio=ratio, draw_anew=draw_anew)(nlp))
    assert {word for word in words if "new" in word} == {f"new{i}" for i in range(4)}
    assert len(words) == len(set(words)) == 4 + n_old


def test_each_epoch_has_other_old_docs_until_all_were_there(nlp: Language) -> None:
    read = mixed(3, 9, ratio=1.0)
    epochs = [words_of(read(nlp)) for _ in range(3)]
    old = [word for words in epochs for word in words if "old" in word]
    assert sorted(old) == [f"old{i}" for i in range(9)]
    assert len({tuple(words) for words in epochs}) == 3


def test_an_evaluation_has_the_same_docs_each_time(nlp: Language) -> None:
    read = mixed(3, 9, ratio=2.0, draw_anew=False)
    first, second = list(read(nlp)), list(read(nlp))
    assert words_of(first) == words_of(second)
    assert all(a.predicted is not b.predicted for a, b in zip(first, second, strict=True))
    assert len(words_of(mixed(3, 9, ratio=100.0, draw_anew=False)(nlp))) == 12


def test_a_mixture_that_is_none_is_refused(nlp: Language) -> None:
    with pytest.raises(ValueError, match="ratio = -1 must be at least 0"):
        mixed(1, 1, ratio=-1)
    with pytest.raises(ValueError, match="the old corpus has no Docs"):
        list(mixed(1, 0)(nlp))


def test_a_callback_lets_components_get_new_labels(nlp: Language) -> None:
    first, second = (nlp.add_pipe("lstm_tagger", name=name) for name in ("first", "second"))
    registry.callbacks.get("spacy-lstm-tagger.add_new_labels.v1")(["second"])(nlp)
    assert (first.new_labels, second.new_labels) == ("refuse", "add")


@pytest.mark.parametrize("settings", [{"lexicon": {"dog": ["NN"]}}, {"pretrained": None}, {}])
def test_ignored_settings_of_a_sourced_component_are_told(
    saved_pipeline: Path, settings: dict[str, Any]
) -> None:
    callback = {"@callbacks": "spacy-lstm-tagger.add_new_labels.v1", "components": ["lstm_tagger"]}
    corpus = str(ROOT / "corpus" / "tutorial" / "train.spacy")
    config = load_config(ROOT / "configs" / "adapt.cfg")
    config["nlp"]["lang"] = "xx"
    config["paths"].update(pipeline=str(saved_pipeline), train=corpus, dev=corpus)
    config["initialize"] = {"before_init": callback, "components": {"lstm_tagger": settings}}
    told = any(value is not None for value in settings.values())
    message = r"lexicon in \[initialize.components.lstm_tagger\] are ignored"
    with pytest.warns(UserWarning, match=message) if told else nullcontext():
        nlp = init_nlp(config)
    assert nlp.get_pipe("lstm_tagger").new_labels == "add"


@pytest.fixture
def labelled(tmp_path: Path) -> Path:
    """The path of three shards of four Docs each, whose words are their numbers."""
    nlp = spacy.blank("xx")
    for shard in range(3):
        docs = [Doc(nlp.vocab, words=[str(4 * shard + i), "don't"]) for i in range(4)]
        for doc in docs:
            store(doc, "tag", ["A", "B"], numpy.asarray([[0.9, 0.1], [0.2, 0.8]], dtype="f"))
        DocBin(store_user_data=True, docs=docs).to_disk(tmp_path / f"{shard}.spacy")
    return tmp_path


def numbers(examples: Iterable[Example]) -> list[str]:
    return [example.reference[0].text for example in examples]


@pytest.mark.parametrize("buffer", [3, 100])
def test_labelled_docs_come_in_a_random_order_and_with_their_labels(
    labelled: Path, buffer: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(corpora, "BUFFER", buffer)
    read, nlp = create_labelled_corpus(path=labelled), spacy.blank("en")
    orders = [numbers(read(nlp)) for _ in range(3)]
    assert len({*map(tuple, orders)}) == 3
    assert all(sorted(order) == sorted(map(str, range(12))) for order in orders)
    for example in read(nlp):
        assert [token.text for token in example.predicted][1] == "don't"  # not "do" and "n't"
        assert soft_labels(example.reference, "tag").best == ["A", "B"]


def test_gold_docs_are_mixed_with_labelled_ones(labelled: Path, tmp_path: Path) -> None:
    nlp = spacy.blank("xx")
    gold = [Doc(nlp.vocab, words=[word], tags=["X"]) for word in ("gold", "more")]
    (tmp_path / "gold").mkdir()
    DocBin(docs=gold).to_disk(tmp_path / "gold" / "gold.spacy")
    read = create_labelled_corpus(path=str(labelled), gold=str(tmp_path / "gold"), ratio=3)
    for _ in range(3):
        words = numbers(read(nlp))
        assert len(words) == 8 and {"gold", "more"} < set(words)


@pytest.mark.parametrize("path", [None, "nowhere"])
def test_no_labelled_docs_are_an_error(path: str | None) -> None:
    with pytest.raises(ValueError, match=r"LabelledCorpus: .* has no Docs that teachers labelled"):
        list(create_labelled_corpus(path=path)(spacy.blank("xx")))

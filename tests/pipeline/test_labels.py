"""Tests of `labels.py`, by way of the component: labels are read, checked, scored and written."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import srsly
from helpers import ATTRIBUTES, GOLD, WORDS, annotated, annotation, example
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Corpus, Example
from spacy.vocab import Vocab

from spacy_lstm_tagger.pipeline.labels import FACTORIES
from spacy_lstm_tagger.pipeline.tagger import LSTMTagger

WITH_SPACES = ["The", " ", "dog", "\n\n", "ate"]


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_attribute_is_scored(nlp: Language, attribute: str) -> None:
    component = nlp.add_pipe(FACTORIES[attribute])
    gold = GOLD[attribute]
    guess = annotated(nlp, attribute, [gold[1], *gold[1:]])
    scores = component.score([Example(guess, annotated(nlp, attribute, gold))])
    assert scores[f"{attribute}_acc"] == pytest.approx(4 / 5)
    assert not {f"{other}_acc" for other in {*ATTRIBUTES} - {attribute}} & set(scores)


def test_each_morphological_feature_is_scored(nlp: Language) -> None:
    component = nlp.add_pipe("lstm_morph_tagger")
    gold = Doc(nlp.vocab, words=["a", "b"], morphs=["Number=Sing|Case=Nom", "Case=Acc"])
    guess = Doc(nlp.vocab, words=["a", "b"], morphs=["Number=Sing|Case=Acc", "Case=Acc"])
    scores = component.score([Example(guess, gold)])
    assert scores["morph_acc"] == 0.5
    assert scores["morph_per_feat"]["Number"] == {"p": 1, "r": 1, "f": 1}
    assert scores["morph_per_feat"]["Case"] == {"p": 0.5, "r": 0.5, "f": 0.5}


def test_tokens_without_gold_annotation_are_not_scored(nlp: Language) -> None:
    component = nlp.add_pipe("lstm_tagger")
    gold = Doc(nlp.vocab, words=["a", "b", "c"], tags=["X", "", "Y"])
    guess = Doc(nlp.vocab, words=["a", "b", "c"], tags=["X", "X", "X"])
    assert component.score([Example(guess, gold)])["tag_acc"] == 0.5


@pytest.mark.parametrize("scorer, scores", [(None, {}), (lambda _, **__: {"x": 1}, {"x": 1})])
def test_scorer_can_be_replaced(
    nlp: Language, tagger: LSTMTagger, examples: list[Example], scorer: Any, scores: dict
) -> None:
    component = LSTMTagger(nlp.vocab, tagger.model, scorer=scorer)
    assert component.score(examples) == scores


@pytest.mark.parametrize("attribute", ATTRIBUTES)
@pytest.mark.parametrize("overwrite", [True, False])
def test_overwrite(nlp: Language, attribute: str, overwrite: bool) -> None:
    component = nlp.add_pipe(FACTORIES[attribute], config={"overwrite": overwrite})
    labels = GOLD[attribute][:3]
    for label in labels:
        component.add_label(label)
    other = {"tag": "XX", "pos": "INTJ", "morph": "Case=Nom"}[attribute]
    doc = annotated(nlp, attribute, ["", other, labels[0], "", ""])
    component.set_annotations([doc], [numpy.asarray([0, 1, 2, 0, 1])])
    kept = [labels[1], labels[2]] if overwrite else [other, labels[0]]
    assert annotation(doc, attribute) == [labels[0], *kept, labels[0], labels[1]]


def test_empty_morphology_is_annotation(nlp: Language) -> None:
    component = nlp.add_pipe("lstm_morph_tagger")
    component.add_label("Number=Sing")
    doc = annotated(nlp, "morph", ["_", "", "", "", ""])
    component.set_annotations([doc], [numpy.zeros(5, dtype="int64")])
    assert annotation(doc, "morph") == ["", *["Number=Sing"] * 4]


@pytest.mark.parametrize(
    "words, targets",
    [
        (["The", "dogate", "the", "apple"], ["DET", None, "DET", "NN"]),
        (["The", "d", "og", "ate", "the", "apple"], ["DET", "NN", "NN", "V", "DET", "NN"]),
        (["Thed", "og", "ate", "theapple"], [None, "NN", "V", None]),
    ],
)
def test_misaligned_tokens_learn_what_is_certain(
    nlp: Language, tagger: LSTMTagger, words: list[str], targets: list[str]
) -> None:
    reference = Doc(nlp.vocab, words=WORDS, tags=GOLD["tag"])
    batch = [Example(Doc(nlp.vocab, words=words), reference)]
    scores, _ = tagger.model.begin_update([batch[0].predicted])
    _, (gradient,) = tagger.get_loss(batch, scores)
    rises = [tagger.labels[row.argmin()] if row.any() else None for row in gradient]
    assert rises == targets


def test_labels_come_sorted_from_the_data(tagger: LSTMTagger) -> None:
    assert tagger.labels == ("DET", "NN", "V") == tagger.label_data
    assert tagger.model.get_dim("nO") == 3


def test_labels_of_all_examples_count(nlp: Language, tiny: dict[str, Any]) -> None:
    component = nlp.add_pipe("lstm_tagger", config={"model": tiny})
    nlp.initialize(lambda: [example(nlp, ["x"], [f"T{i:02}"]) for i in range(30)])
    assert len(component.labels) == 30


def test_labels_come_from_a_file(
    nlp: Language, tiny: dict[str, Any], examples: list[Example], tmp_path: Path
) -> None:
    labels = ["V", "EXTRA", "NN", "DET"]
    srsly.write_json(tmp_path / "labels.json", labels)
    component = nlp.add_pipe("lstm_tagger", config={"model": tiny})
    reader = {"@readers": "spacy.read_labels.v1", "path": str(tmp_path / "labels.json")}
    nlp.config["initialize"]["components"]["lstm_tagger"] = {"labels": reader}
    nlp.initialize(lambda: examples)
    assert component.labels == tuple(labels) and component.model.get_dim("nO") == 4


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_label_data_initializes_another_component(
    nlp: Language, tiny: dict[str, Any], examples: list[Example], attribute: str
) -> None:
    factory, config = FACTORIES[attribute], {"model": tiny}
    first = nlp.add_pipe(factory, name="first", config=config)
    second = nlp.add_pipe(factory, name="second", config=config)
    first.initialize(lambda: examples)
    second.initialize(lambda: examples[:1], labels=first.label_data)
    assert second.labels == first.labels and len(first.labels) > 2


def test_add_label_before_and_after_initialization(
    nlp: Language, tiny: dict[str, Any], examples: list[Example]
) -> None:
    component = nlp.add_pipe("lstm_tagger", config={"model": tiny})
    assert [component.add_label(label) for label in ("X", "X", "NN")] == [1, 0, 1]
    nlp.initialize(lambda: examples)
    assert component.labels == ("X", "NN", "DET", "V")
    assert component.add_label("NN") == 0
    assert component.add_label("Y") == 1
    assert component.labels == ("X", "NN", "DET", "V", "Y")


def test_morphological_label_is_one_label_in_any_order(nlp: Language) -> None:
    component = nlp.add_pipe("lstm_morph_tagger")
    assert component.add_label("Number=Sing|Case=Nom") == 1
    assert component.add_label("Case=Nom|Number=Sing") == 0
    assert component.labels == ("Case=Nom|Number=Sing",)


@pytest.mark.parametrize("attribute", ATTRIBUTES)
@pytest.mark.parametrize("label", [9, None, b"NN", ["NN"]])
def test_label_that_is_no_string_is_refused(nlp: Language, attribute: str, label: Any) -> None:
    component = nlp.add_pipe(FACTORIES[attribute])
    with pytest.raises(ValueError, match="string"):
        component.add_label(label)
    assert component.labels == ()


@pytest.mark.parametrize("attribute, label", [("pos", "NN"), ("morph", "Plural")])
def test_label_that_the_attribute_cannot_hold_is_refused(
    nlp: Language, attribute: str, label: str
) -> None:
    component = nlp.add_pipe(FACTORIES[attribute], name="mine")
    with pytest.raises(ValueError, match=f"mine.*{label}"):
        component.add_label(label)
    assert component.labels == ()


def test_unknown_gold_label_is_refused(
    nlp: Language, tagger: LSTMTagger, weights_of: Callable
) -> None:
    before = weights_of(tagger.model)
    with pytest.raises(ValueError, match=r"lstm_tagger.*ODD"):
        nlp.update([example(nlp, WORDS, ["ODD", "NN", "V", "DET", "NN"])])
    after = weights_of(tagger.model)
    assert all(numpy.array_equal(before[name], after[name]) for name in before)


def test_no_labels_are_refused(nlp: Language, tiny: dict[str, Any]) -> None:
    nlp.add_pipe("lstm_tagger", config={"model": tiny})
    with pytest.raises(ValueError, match="lstm_tagger"):
        nlp.initialize(lambda: [example(nlp, WORDS, [""] * 5)])


def test_missing_corpus_is_refused(nlp: Language, tiny: dict[str, Any], tmp_path: Path) -> None:
    nlp.add_pipe("lstm_tagger", config={"model": tiny})
    corpus = Corpus(tmp_path / "missing.spacy")
    with pytest.raises(ValueError, match=r"lstm_tagger.*missing\.spacy.*paths\.train"):
        nlp.initialize(lambda: corpus(nlp))


def test_no_examples_are_refused(nlp: Language, tiny: dict[str, Any]) -> None:
    nlp.add_pipe("lstm_tagger", config={"model": tiny})
    with pytest.raises(ValueError, match="lstm_tagger"):
        nlp.initialize(lambda: [])


@pytest.mark.parametrize("wrong", [None, [], [1], "text"])
def test_examples_of_another_type_are_refused(
    nlp: Language, tagger: LSTMTagger, wrong: Any
) -> None:
    with pytest.raises(TypeError):
        tagger.initialize(wrong)


@pytest.mark.parametrize("labels", ["AB", [7], [None]])
def test_labels_that_are_no_list_of_strings_are_refused(
    nlp: Language, examples: list[Example], tiny: dict[str, Any], labels: Any
) -> None:
    component: Any = nlp.add_pipe("lstm_tagger", config={"model": tiny})
    with pytest.raises(ValueError, match="lstm_tagger: a list of labels is needed"):
        component.initialize(lambda: examples, labels=labels)
    assert component.labels == ()


def test_a_label_that_is_no_text_changes_nothing(nlp: Language, train: Callable) -> None:
    component = train(nlp).get_pipe("lstm_tagger")
    with pytest.raises(ValueError, match="surrogates"):
        component.add_label("\ud800")
    assert component.labels == ("DET", "NN", "V") and component.model.get_dim("nO") == 3


@pytest.mark.parametrize("attribute", ["tag", "morph"])
def test_gold_labels_may_come_from_another_vocab(nlp: Language, attribute: str) -> None:
    words, labels = ["The", "dog", "ate"], ["Case=Dat", "Case=Nom", "Case=Dat"]
    gold = {"tags" if attribute == "tag" else "morphs": labels}
    example = Example(Doc(nlp.vocab, words=words), Doc(Vocab(), words=words, **gold))
    component = nlp.add_pipe(FACTORIES[attribute])
    optimizer = nlp.initialize(lambda: [example])
    assert component.labels == ("Case=Dat", "Case=Nom")
    losses = nlp.update([example], sgd=optimizer)
    assert losses[component.name] > 0


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_docs_of_another_vocab_know_their_labels(
    nlp: Language, train: Callable, attribute: str
) -> None:
    component = train(nlp, attribute=attribute).get_pipe("lstm_tagger")
    docs = [nlp.make_doc("dog"), Doc(Vocab(), words=WORDS), Doc(nlp.vocab, words=WORDS)]
    _, other, own = component.pipe(docs)
    assert annotation(other, attribute) == annotation(own, attribute) == GOLD[attribute]


def test_another_number_of_labels_than_tokens_is_refused(trained: Language) -> None:
    doc, label_ids = trained.make_doc("The dog"), numpy.zeros(1, dtype="int64")
    with pytest.raises(ValueError, match="lstm_tagger: 1 labels do not fit 2 tokens"):
        trained.get_pipe("lstm_tagger").set_annotations([doc], [label_ids])


def test_a_corpus_without_the_attribute_is_refused(nlp: Language, tiny: dict[str, Any]) -> None:
    nlp.add_pipe("lstm_pos_tagger", config={"model": tiny})
    batch = [example(nlp, ["dog"], ["NN"])]
    with pytest.raises(
        ValueError,
        match=r"lstm_pos_tagger: no pos found .*; they have tag: use the factory lstm_tagger",
    ):
        nlp.initialize(lambda: batch)


def test_a_tag_that_is_the_prefix_itself_is_refused(nlp: Language, tiny: dict[str, Any]) -> None:
    component = nlp.add_pipe("lstm_tagger", config={"model": tiny})
    batch = [example(nlp, ["Go", "!"], ["V", "!"])]
    with pytest.raises(ValueError, match=r"lstm_tagger: .*label '!', .*Set another neg_prefix"):
        nlp.initialize(lambda: batch)
    component.initialize(lambda: batch, labels=["V", "!"])
    with pytest.raises(ValueError, match=r"lstm_tagger: .*label '!', .*Set another neg_prefix"):
        nlp.update(batch)


@pytest.mark.parametrize("attribute, label", [("tag", "_SP"), ("pos", "SPACE"), ("morph", "")])
@pytest.mark.parametrize("crf", [False, True])
def test_whitespace_is_labelled_as_spacy_does(
    nlp: Language, tiny: dict[str, Any], train: Callable, attribute: str, label: str, crf: bool
) -> None:
    train(nlp, attribute=attribute, model={**tiny, "crf": crf}, store_probabilities=True)
    doc = nlp(Doc(nlp.vocab, words=WITH_SPACES))
    assert annotation(doc, attribute) == [
        *(GOLD[attribute][0], label, GOLD[attribute][1], label, GOLD[attribute][2])
    ]
    assert doc.has_annotation(attribute.upper(), require_complete=True)
    confidence, k_best = (f"{attribute}_{name}" for name in ("confidence", "k_best"))
    assert doc[1]._.get(confidence) == 1
    assert doc[1]._.get(k_best)(2) == [({"morph": "_"}.get(attribute, label), 1)]
    assert 0 < doc[2]._.get(confidence) < 1
    doc[1].tag_, doc[1].pos_ = "NN", "NOUN"
    doc[1].set_morph("Number=Sing")
    assert doc[1]._.get(confidence) == 0


@pytest.mark.parametrize("crf", [False, True])
@pytest.mark.parametrize("labels", [None, ["A", "B", "_SP"]])
def test_gold_labels_of_whitespace_are_not_learnt(
    nlp: Language, tiny: dict[str, Any], crf: bool, labels: list[str] | None
) -> None:
    """In training, a text with labelled whitespace is the text without it."""
    component = nlp.add_pipe("lstm_tagger", config={"model": {**tiny, "crf": crf}})
    batch = [example(nlp, ["a", " ", "b"], ["A", "_SP", "B"])]
    component.initialize(lambda: batch, nlp=nlp, labels=labels)
    assert component.labels == tuple(labels or ("A", "B"))
    component.new_labels = "add"
    for eg in ([example(nlp, ["a", "\n", "b"], ["A", "X", "B"])], batch):
        scores, _ = component.model.begin_update([eg[0].predicted])
        loss, (gradient,) = component.get_loss(eg, scores)
        assert loss > 0 and gradient.any(axis=1).tolist() == [True, False, True]
        assert nlp.update(eg, sgd=False)["lstm_tagger"] == pytest.approx(loss)
    plain = [example(nlp, ["a", "b"], ["A", "B"])]
    assert nlp.update(plain, sgd=False)["lstm_tagger"] == pytest.approx(loss, rel=1e-5)
    assert component.labels == tuple(labels or ("A", "B"))

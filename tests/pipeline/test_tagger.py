"""The component `lstm_tagger`: labels, training, prediction, and its place in a pipeline."""

import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from copy import deepcopy
from itertools import pairwise, permutations
from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
import srsly
from numpy.testing import assert_allclose, assert_array_equal
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Corpus, Example
from spacy.util import load_model_from_config
from spacy.vectors import Vectors
from spacy.vocab import Vocab
from thinc.api import SGD, Adam, Optimizer, fix_random_seed
from thinc.types import Floats2d

from spacy_lstm_tagger.pipeline.labels import FACTORIES
from spacy_lstm_tagger.pipeline.tagger import LSTMTagger

ATTRIBUTES = ["tag", "pos", "morph"]
GOLD = {
    "tag": ["DET", "NN", "V", "DET", "NN"],
    "pos": ["DET", "NOUN", "VERB", "DET", "NOUN"],
    "morph": [
        "Definite=Def",
        "Number=Sing",
        "Tense=Past|VerbForm=Fin",
        "Definite=Def",
        "Number=Sing",
    ],
}
WORDS = ["The", "dog", "ate", "the", "apple"]
EMPTY: list[str] = []
EMPTY_AT = [[EMPTY], [EMPTY, WORDS], [WORDS, EMPTY, ["The", "dog"]], [WORDS, EMPTY]]
ODD_WORDS = {
    "one token": ["dog"],
    "spaces": ["dog", " ", "\n\n", "\t", " " * 50],
    "10,000 characters": ["x" * 10_000, "dog", "y" * 10_000],
    "emoji": ["👍🏽", "👩\u200d👩\u200d👧", "🇫🇷", "dog"],
    "combining characters": ["e\u0301", "\u00e9", "Z\u0351\u036b\u0343\u032a", "\u0301"],
    "unseen scripts": ["สวัสดี", "𒀀𒁀", "שָׁלוֹם", "日本語", "\U0001d518\U0001d52b"],
    "capitals that change length": ["İstanbul", "ß", "ẞ", "ﬃ"],
}


def annotation(doc: Doc, attribute: str) -> list[str]:
    names = {"tag": "tag_", "pos": "pos_", "morph": "morph"}
    return [str(getattr(token, names[attribute])) for token in doc]


def annotated(nlp: Language, attribute: str, labels: list[str]) -> Doc:
    """Return the first sentence with labels; those that are "" are missing."""
    argument = {"tag": "tags", "pos": "pos", "morph": "morphs"}[attribute]
    doc = Doc(nlp.vocab, words=WORDS, **{argument: labels})
    for token, label in zip(doc, labels, strict=True):
        if attribute == "morph" and not label:
            token.set_morph(None)
    return doc


def example(nlp: Language, words: list[str], tags: list[str]) -> Example:
    return Example(Doc(nlp.vocab, words=words), Doc(nlp.vocab, words=words, tags=tags))


def learn(nlp: Language, examples: list[Example], learn_rate: float = 0.03) -> Optimizer:
    """Initialize a pipeline and train it until it knows the examples."""
    fix_random_seed(0)
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = learn_rate
    for _ in range(40):
        nlp.update(examples, sgd=optimizer)
    return optimizer


def gradients(component: LSTMTagger, examples: list[Example]) -> dict[str, numpy.ndarray]:
    """Return the gradient of each parameter after one batch."""
    component.update(examples)
    network = component.model.shims[0].network
    found = {name: p.grad.numpy().copy() for name, p in network.named_parameters()}
    network.zero_grad()
    return found


def predicted(nlp: Language, attribute: str = "tag", words: list[str] = WORDS) -> list[str]:
    return annotation(nlp(Doc(nlp.vocab, words=words)), attribute)


@pytest.fixture
def examples(nlp: Language, make_examples: Callable) -> list[Example]:
    return make_examples(nlp)


@pytest.fixture
def tagger(nlp: Language, examples: list[Example], tiny: dict[str, Any]) -> LSTMTagger:
    """An initialized component whose training has no chance in it."""
    component = nlp.add_pipe("lstm_tagger", config={"model": {**tiny, "unknown_rate": 0}})
    nlp.initialize(lambda: examples)
    return component


@pytest.fixture(scope="module")
def trained(train: Callable) -> Language:
    """A pipeline that knows the two sentences; not to be changed."""
    return train(spacy.blank("xx"))


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_attribute_is_learnt_and_no_other_is_written(
    nlp: Language, train: Callable, attribute: str
) -> None:
    train(nlp, attribute=attribute)
    doc = nlp(Doc(nlp.vocab, words=WORDS))
    assert annotation(doc, attribute) == GOLD[attribute]
    assert not any(doc.has_annotation(other.upper()) for other in {*ATTRIBUTES} - {attribute})


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


@pytest.mark.parametrize("smoothing", [0.0, 0.05, 0.5])
def test_gradient_is_probability_less_smoothed_truth(
    nlp: Language, tagger: LSTMTagger, examples: list[Example], smoothing: float
) -> None:
    component = LSTMTagger(nlp.vocab, tagger.model, label_smoothing=smoothing)
    component.cfg["labels"] = list(tagger.labels)
    scores, _ = tagger.model.begin_update([eg.predicted for eg in examples])
    _, gradient = component.get_loss(examples, scores)
    for eg, doc_scores, doc_gradient in zip(examples, scores, gradient, strict=True):
        for token, row, d_row in zip(eg.reference, doc_scores, doc_gradient, strict=True):
            gold = numpy.asarray([label == token.tag_ for label in tagger.labels])
            truth = numpy.where(gold, 1 - smoothing, smoothing / (len(gold) - 1))
            numpy.testing.assert_allclose(d_row, row - truth, atol=1e-6)


@pytest.mark.parametrize("prefix", ["!", "not-"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_negative_label_moves_only_its_own_score(
    nlp: Language, tagger: LSTMTagger, prefix: str, smoothing: float
) -> None:
    tagger.cfg.update(neg_prefix=prefix, label_smoothing=smoothing)
    batch = [example(nlp, WORDS, ["DET", f"{prefix}NN", "", "", ""])]
    scores, _ = tagger.model.begin_update([eg.predicted for eg in batch])
    loss, (gradient,) = tagger.get_loss(batch, scores)
    expected = numpy.zeros_like(gradient)
    expected[0] = scores[0][0] - [1 - smoothing, smoothing / 2, smoothing / 2]
    expected[1, tagger.labels.index("NN")] = scores[0][1, tagger.labels.index("NN")]
    numpy.testing.assert_allclose(gradient, expected, atol=1e-6)
    assert loss == pytest.approx((expected**2).sum(), rel=1e-5)


def test_negative_label_is_unlearnt(nlp: Language, train: Callable) -> None:
    optimizer = train(nlp).resume_training()
    assert predicted(nlp)[1] == "NN"
    batch = [example(nlp, WORDS, ["DET", "!NN", "V", "DET", "NN"])]
    for _ in range(30):
        nlp.update(batch, sgd=optimizer)
    assert predicted(nlp)[1] != "NN" and predicted(nlp)[2:] == GOLD["tag"][2:]


def test_denied_labels_are_labels(nlp: Language, tiny: dict[str, Any]) -> None:
    component = nlp.add_pipe("lstm_tagger", config={"model": tiny})
    batch = [example(nlp, ["a", "b", "c"], ["A", "!B", ""])]
    optimizer = nlp.initialize(lambda: batch)
    assert component.labels == ("A", "B")
    assert nlp.update(batch, sgd=optimizer)["lstm_tagger"] > 0


def test_exclamation_mark_is_a_tag_under_another_prefix(
    nlp: Language, tiny: dict[str, Any]
) -> None:
    component = nlp.add_pipe("lstm_tagger", config={"model": tiny, "neg_prefix": "~"})
    batch = [example(nlp, ["Go", "!"], ["V", "!"])]
    learn(nlp, batch)
    assert component.labels == ("!", "V")
    assert predicted(nlp, words=["Go", "!"]) == ["V", "!"]


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_missing_labels_have_no_gradient(
    nlp: Language, tiny: dict[str, Any], make_examples: Callable, attribute: str
) -> None:
    component = nlp.add_pipe(FACTORIES[attribute], config={"model": tiny})
    nlp.initialize(lambda: make_examples(nlp))
    labels = [GOLD[attribute][0], "", GOLD[attribute][2], "", ""]
    reference = annotated(nlp, attribute, labels)
    batch = [Example(Doc(nlp.vocab, words=WORDS), reference)]
    scores, _ = component.model.begin_update([batch[0].predicted])
    _, (gradient,) = component.get_loss(batch, scores)
    assert gradient.any(axis=1).tolist() == [True, False, True, False, False]


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


@pytest.mark.parametrize("crf", [False, True])
def test_partial_annotation_is_learnt(nlp: Language, tiny: dict[str, Any], crf: bool) -> None:
    nlp.add_pipe("lstm_tagger", config={"model": {**tiny, "crf": crf}})
    batch = [
        example(nlp, ["I", "like", "green", "eggs"], ["", "V", "J", ""]),
        Example(
            Doc(nlp.vocab, words=["He", "hates", "green", "eggs"]),
            Doc(
                nlp.vocab,
                words=["He", "hate", "s", "green", "eggs"],
                tags=["", "V", "S", "J", ""],
            ),
        ),
    ]
    learn(nlp, batch)
    assert predicted(nlp, words=["I", "like", "green", "eggs"])[1:3] == ["V", "J"]


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


def test_single_label_is_learnt_with_label_smoothing(nlp: Language, tiny: dict[str, Any]) -> None:
    tagger = nlp.add_pipe("lstm_tagger", config={"model": tiny, "label_smoothing": 0.1})
    doc = Doc(nlp.vocab, words=["one", "two"], tags=["X", "X"])
    example = Example(Doc(nlp.vocab, words=["one", "two"]), doc)
    nlp.initialize(lambda: [example])
    assert nlp.update([example]) == {"lstm_tagger": 0.0}
    assert [token.tag_ for token in tagger(nlp.make_doc("one two"))] == ["X", "X"]


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


def test_unknown_attribute_is_refused(nlp: Language, tagger: LSTMTagger) -> None:
    with pytest.raises(ValueError, match=r"mine.*dep.*tag, pos, morph"):
        LSTMTagger(nlp.vocab, tagger.model, "mine", attribute="dep")


def test_initialization_without_data(nlp: Language, tiny: dict[str, Any]) -> None:
    component = nlp.add_pipe("lstm_tagger", config={"model": tiny})
    component.add_label("A")
    component.add_label("B")
    nlp.initialize()
    assert set(predicted(nlp)) <= {"A", "B"}


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


@pytest.mark.parametrize("n_labels", [2, 10])
@pytest.mark.parametrize("crf", [False, True])
def test_another_number_of_outputs_than_labels_is_refused(
    nlp: Language, examples: list[Example], tiny: dict[str, Any], n_labels: int, crf: bool
) -> None:
    model = {**tiny, "nO": n_labels, "crf": crf}
    nlp.add_pipe("lstm_tagger", config={"model": model})
    with pytest.raises(ValueError, match=f"nO = {n_labels} is not the number of labels, 3"):
        nlp.initialize(lambda: examples)


@pytest.mark.parametrize("smoothing", [-0.1, 1.0])
def test_label_smoothing_is_a_probability(nlp: Language, smoothing: float) -> None:
    with pytest.raises(ValueError, match=f"lstm_tagger: label_smoothing = {smoothing} must be"):
        nlp.add_pipe("lstm_tagger", config={"label_smoothing": smoothing})


@pytest.mark.parametrize("value", ["no", None])
def test_probabilities_are_stored_or_not(nlp: Language, value: Any) -> None:
    component: Any = nlp.add_pipe("lstm_tagger")
    with pytest.raises(ValueError, match=f"store_probabilities = {value!r} must be true or false"):
        component.store_probabilities = value


@pytest.mark.parametrize("batch_size", [0, -1])
def test_a_batch_has_one_doc_at_least(trained: Language, batch_size: int) -> None:
    with pytest.raises(ValueError, match=f"lstm_tagger: batch_size = {batch_size} must be at"):
        list(trained.pipe(["The dog"], batch_size=batch_size))


@pytest.mark.filterwarnings("ignore:invalid value")
def test_weights_that_are_not_finite_tag_nothing(
    nlp: Language, examples: list[Example], train: Callable
) -> None:
    train(nlp).get_pipe("lstm_tagger").update(examples, sgd=SGD(float("inf")))
    with pytest.raises(ValueError, match="weights are no finite numbers"):
        nlp("The dog")


def test_examples_are_read_once(nlp: Language, examples: list[Example], train: Callable) -> None:
    component = train(nlp).get_pipe("lstm_tagger")
    nlp.resume_training()
    scores, _ = component.model.begin_update([example.x for example in examples])
    assert component.get_loss(iter(examples), scores)[0] > 0
    nlp.update(examples, sgd=SGD(0.1))
    assert component.rehearse(iter(examples))["lstm_tagger"] > 0


def test_a_listener_is_not_rehearsed_while_its_encoder_is_trained(
    shared: Language, make_examples: Callable
) -> None:
    examples = make_examples(shared)
    shared.initialize(lambda: examples)
    optimizer = shared.resume_training()
    shared.update(examples, sgd=optimizer)
    with pytest.raises(ValueError, match="it can't be rehearsed while the encoder is trained"):
        shared.rehearse(examples, sgd=optimizer)


def test_initialization_again_forgets(
    nlp: Language, train: Callable, make_examples: Callable
) -> None:
    train(nlp)
    component = nlp.get_pipe("lstm_tagger")
    words = ["one", "two"]
    optimizer = nlp.initialize(lambda: [example(nlp, words, ["NN", "V"])])
    assert component.model.shims[0].vocabulary.words.keys() == {"one", "two"}
    assert nlp.update([example(nlp, words, ["NN", "V"])], sgd=optimizer)["lstm_tagger"] > 0.1


def test_prediction_before_initialization_is_refused(nlp: Language) -> None:
    nlp.add_pipe("lstm_tagger").add_label("A")
    with pytest.raises(ValueError, match="initialize"):
        nlp("a dog")


def test_update_before_initialization_is_refused(nlp: Language, examples: list[Example]) -> None:
    nlp.add_pipe("lstm_tagger").add_label("NN")
    with pytest.raises(ValueError, match="initialize"):
        nlp.update(examples, sgd=SGD(0.1))


@pytest.mark.parametrize("texts", EMPTY_AT)
def test_empty_docs_are_tagged(trained: Language, texts: list[list[str]]) -> None:
    docs = list(trained.pipe(Doc(trained.vocab, words=words) for words in texts))
    assert [annotation(doc, "tag") for doc in docs] == [
        predicted(trained, words=words) for words in texts
    ]
    assert annotation(trained(""), "tag") == []


@pytest.mark.parametrize("texts", EMPTY_AT)
def test_empty_docs_train(
    nlp: Language, tiny: dict[str, Any], examples: list[Example], texts: list[list[str]]
) -> None:
    nlp.add_pipe("lstm_tagger", config={"model": tiny})
    batch = [example(nlp, words, GOLD["tag"][: len(words)]) for words in texts]
    optimizer = nlp.initialize(lambda: [*batch, *examples])
    losses = nlp.update(batch, drop=0.2, sgd=optimizer)
    assert (losses["lstm_tagger"] > 0) == any(texts)


def test_empty_reference_teaches_nothing(
    nlp: Language, tagger: LSTMTagger, weights_of: Callable
) -> None:
    before = weights_of(tagger.model)
    batch = [Example(Doc(nlp.vocab, words=WORDS), Doc(nlp.vocab, words=WORDS))]
    assert nlp.update(batch, sgd=SGD(0.1, L2=0))["lstm_tagger"] == 0
    after = weights_of(tagger.model)
    assert all(numpy.array_equal(before[name], after[name]) for name in before)


def test_component_can_be_initialized_on_an_empty_doc_first(
    nlp: Language, tiny: dict[str, Any], examples: list[Example]
) -> None:
    component = nlp.add_pipe("lstm_tagger", config={"model": tiny})
    nlp.initialize(lambda: [example(nlp, [], []), *examples])
    assert component.labels == ("DET", "NN", "V")
    assert set(predicted(nlp)) <= set(component.labels)


def test_gradients_add_up_around_an_empty_doc(
    nlp: Language, tagger: LSTMTagger, examples: list[Example]
) -> None:
    first, second = examples
    together = gradients(tagger, [first, example(nlp, [], []), second])
    apart = [gradients(tagger, [eg]) for eg in (first, second)]
    assert together.keys() == apart[0].keys()
    for name, gradient in together.items():
        numpy.testing.assert_allclose(gradient, sum(g[name] for g in apart), atol=1e-5)
        assert gradient.any()


@pytest.mark.parametrize("words", ODD_WORDS.values(), ids=ODD_WORDS.keys())
def test_odd_words_are_learnt(nlp: Language, tiny: dict[str, Any], words: list[str]) -> None:
    nlp.add_pipe("lstm_tagger", config={"model": tiny})
    tags = [f"T{i}" for i in range(len(words))]
    batch = [example(nlp, words, tags)]
    learn(nlp, batch, learn_rate=0.1)
    assert predicted(nlp, words=words) == tags


@pytest.mark.parametrize("words", ODD_WORDS.values(), ids=ODD_WORDS.keys())
def test_odd_words_are_tagged_unseen(trained: Language, words: list[str]) -> None:
    assert set(predicted(trained, words=words)) <= {"DET", "NN", "V"}
    assert all(token.tag_ for token in trained(" ".join(words)))


def test_rehearsal_brings_back_what_was_known(
    nlp: Language, train: Callable, tiny: dict[str, Any], examples: list[Example]
) -> None:
    train(nlp, label_smoothing=0.1, model={**tiny, "unknown_rate": 0})
    model = nlp.get_pipe("lstm_tagger").model

    def probabilities() -> Floats2d:
        return model.ops.flatten(model.begin_update([eg.predicted for eg in examples])[0])

    known = probabilities()
    optimizer = nlp.resume_training()
    optimizer.learn_rate = 0.01
    for _ in range(10):
        nlp.update([example(nlp, WORDS, ["V"] * 5)], sgd=optimizer)
    drift = numpy.abs(probabilities() - known).sum()
    for _ in range(40):
        losses = nlp.rehearse(examples, sgd=optimizer)
    assert losses["lstm_tagger"] > 0
    assert numpy.abs(probabilities() - known).sum() < drift / 2


def test_rehearsal_needs_resumed_training(nlp: Language, train: Callable) -> None:
    train(nlp)
    batch = [example(nlp, WORDS, GOLD["tag"])]
    assert nlp.get_pipe("lstm_tagger").rehearse(batch, sgd=SGD(0.1)) == {"lstm_tagger": 0.0}


def test_training_leaves_the_rehearsal_model_alone(
    nlp: Language, tagger: LSTMTagger, examples: list[Example], weights_of: Callable
) -> None:
    optimizer = nlp.resume_training()
    before = weights_of(tagger._rehearsal_model)
    nlp.update(examples, sgd=optimizer)
    after, trained = weights_of(tagger._rehearsal_model), weights_of(tagger.model)
    assert all(numpy.array_equal(before[name], after[name]) for name in before)
    assert not any(numpy.array_equal(before[name], trained[name]) for name in before)


def test_resumed_training_adds_to_what_is_known(
    nlp: Language, train: Callable, examples: list[Example]
) -> None:
    train(nlp)
    optimizer = nlp.resume_training()
    words, tags = ["slept", "A", "cat"], ["V", "DET", "NN"]
    assert predicted(nlp) == GOLD["tag"] and predicted(nlp, words=words) != tags
    for _ in range(40):
        nlp.update([example(nlp, words, tags), *examples], sgd=optimizer)
    assert predicted(nlp) == GOLD["tag"] and predicted(nlp, words=words) == tags


def test_trained_component_is_sourced(trained: Language, nlp: Language) -> None:
    nlp.add_pipe("lstm_tagger", source=trained)
    assert predicted(nlp) == GOLD["tag"]
    assert nlp.config["training"]["score_weights"] == {"tag_acc": 1.0}


def test_trained_component_is_sourced_by_config(trained: Language, tmp_path: Path) -> None:
    trained.to_disk(tmp_path)
    config = {
        "nlp": {"lang": "xx", "pipeline": ["mine"]},
        "components": {"mine": {"source": str(tmp_path), "component": "lstm_tagger"}},
    }
    assert predicted(load_model_from_config(config, auto_fill=True)) == GOLD["tag"]


def test_frozen_component_does_not_change(
    nlp: Language, tagger: LSTMTagger, examples: list[Example], weights_of: Callable
) -> None:
    before = weights_of(tagger.model)
    losses = nlp.update(examples, sgd=nlp.resume_training(), exclude=["lstm_tagger"])
    assert "lstm_tagger" not in losses
    after = weights_of(tagger.model)
    assert all(numpy.array_equal(before[name], after[name]) for name in before)


def test_annotating_component_shows_its_labels_to_the_next(
    nlp: Language, train: Callable, examples: list[Example], monkeypatch: pytest.MonkeyPatch
) -> None:
    train(nlp)
    following = nlp.add_pipe("lstm_tagger", name="following")
    seen: list[list[str]] = []
    monkeypatch.setattr(
        following,
        "update",
        lambda batch, **_: seen.extend(annotation(eg.predicted, "tag") for eg in batch),
    )
    nlp.update(examples, sgd=False, exclude=["lstm_tagger"], annotates=["lstm_tagger"])
    assert seen == [annotation(eg.reference, "tag") for eg in examples]


def test_disabled_component_does_not_tag(nlp: Language, train: Callable) -> None:
    train(nlp)
    with nlp.select_pipes(disable=["lstm_tagger"]):
        assert predicted(nlp) == [""] * 5
    assert predicted(nlp) == GOLD["tag"]


def test_renamed_component_tags_and_trains(
    nlp: Language, train: Callable, examples: list[Example], tmp_path: Path
) -> None:
    train(nlp).rename_pipe("lstm_tagger", "renamed")
    assert nlp.pipe_names == ["renamed"] and predicted(nlp) == GOLD["tag"]
    assert nlp.update(examples, sgd=nlp.resume_training())
    nlp.to_disk(tmp_path)
    assert predicted(spacy.load(tmp_path)) == GOLD["tag"]


def test_two_components_share_a_pipeline(nlp: Language, train: Callable) -> None:
    train(train(nlp, name="tags"), name="parts", attribute="pos")
    doc = nlp(Doc(nlp.vocab, words=WORDS))
    assert (annotation(doc, "tag"), annotation(doc, "pos")) == (GOLD["tag"], GOLD["pos"])
    assert nlp.config["training"]["score_weights"] == {"tag_acc": 0.5, "pos_acc": 0.5}


def test_two_components_have_a_loss_each(
    nlp: Language, tagger: LSTMTagger, tiny: dict[str, Any], examples: list[Example]
) -> None:
    nlp.add_pipe("lstm_pos_tagger", name="parts", config={"model": tiny})
    losses = nlp.update(examples, sgd=nlp.initialize(lambda: examples))
    assert losses.keys() == {"lstm_tagger", "parts"} and all(losses.values())


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


def test_labels_that_were_added_to_a_sourced_component_are_known(
    nlp: Language, trained: Language
) -> None:
    component = nlp.add_pipe("lstm_tagger", source=deepcopy(trained))
    component.add_label("NEW")
    doc = nlp.make_doc("dog")
    doc[0]._.tag_allowed = ["NEW"]
    assert component(doc)[0].tag_ == "NEW"


def test_another_number_of_labels_than_tokens_is_refused(trained: Language) -> None:
    doc, label_ids = trained.make_doc("The dog"), numpy.zeros(1, dtype="int64")
    with pytest.raises(ValueError, match="lstm_tagger: 1 labels do not fit 2 tokens"):
        trained.get_pipe("lstm_tagger").set_annotations([doc], [label_ids])


def test_listeners_share_one_encoder(shared: Language, make_examples: Callable) -> None:
    learn(shared, make_examples(shared))
    doc = shared(Doc(shared.vocab, words=WORDS))
    assert (annotation(doc, "tag"), annotation(doc, "pos")) == (GOLD["tag"], GOLD["pos"])


def test_listeners_train_the_encoder(
    shared: Language, make_examples: Callable, weights_of: Callable
) -> None:
    examples = make_examples(shared)
    shared.initialize(lambda: examples)
    encoder = shared.get_pipe("tok2vec").model
    before = weights_of(encoder)
    optimizer = Adam(0.01, L2=0)
    for _ in range(3):  # output layers begin at zero, and spaCy moves the encoder an update late
        shared.update(examples, sgd=optimizer)
    after = weights_of(encoder)
    assert before and not any(numpy.array_equal(before[name], after[name]) for name in before)


def test_replaced_listeners_predict_the_same(shared: Language, make_examples: Callable) -> None:
    learn(shared, make_examples(shared))
    docs = [Doc(shared.vocab, words=words) for words in (WORDS, ["A", "cat"], [], ["dog"])]
    expected = [annotation(doc, "pos") for doc in shared.pipe(doc.copy() for doc in docs)]
    shared.replace_listeners("tok2vec", "parts", ["model.tok2vec"])
    assert [annotation(doc, "pos") for doc in shared.pipe(docs)] == expected
    assert expected[0] == GOLD["pos"]


def test_replaced_listeners_train_apart(
    shared: Language, make_examples: Callable, weights_of: Callable
) -> None:
    examples = make_examples(shared)
    shared.initialize(lambda: examples)
    shared.replace_listeners("tok2vec", "parts", ["model.tok2vec"])
    encoder, own = shared.get_pipe("tok2vec").model, shared.get_pipe("parts").model
    before, own_before = weights_of(encoder), weights_of(own)
    optimizer = Adam(0.01, L2=0)
    for _ in range(2):
        shared.update(examples, sgd=optimizer, exclude=["tok2vec", "tags"])
    after, own_after = weights_of(encoder), weights_of(own)
    assert all(numpy.array_equal(before[name], after[name]) for name in before)
    assert own_before
    assert not any(numpy.array_equal(own_before[name], own_after[name]) for name in own_before)


def test_model_serves_the_tagger_of_spacy(
    nlp: Language, tiny: dict[str, Any], examples: list[Example]
) -> None:
    nlp.add_pipe("tagger", config={"model": tiny})
    learn(nlp, examples)
    assert predicted(nlp) == GOLD["tag"]
    assert nlp.evaluate(examples)["tag_acc"] == 1.0


def test_scores_do_not_depend_on_the_batch(
    nlp: Language, tiny: dict[str, Any], examples: list[Example]
) -> None:
    component = nlp.add_pipe("lstm_tagger", config={"model": {**tiny, "window_length": 2}})
    nlp.initialize(lambda: examples)
    texts = [WORDS, EMPTY, ["dog"], WORDS * 20]
    docs = [Doc(nlp.vocab, words=words) for words in texts]
    alone = [component.model.predict([doc])[0] for doc in docs]
    for order in permutations(range(len(docs))):
        batch = component.model.predict([docs[i] for i in order])
        for i, scores in zip(order, batch, strict=True):
            assert scores.shape == (len(docs[i]), 3)
            numpy.testing.assert_allclose(scores, alone[i], atol=1e-6)


def test_pipe_equals_call_in_any_batch_size(trained: Language) -> None:
    texts = [WORDS[i:] + WORDS[:i] * j for i in range(5) for j in range(3)]
    single = [predicted(trained, words=words) for words in texts]
    for batch_size in (1, 2, 7, 100):
        docs = [Doc(trained.vocab, words=words) for words in texts]
        tagged = trained.pipe(docs, batch_size=batch_size)
        assert [annotation(doc, "tag") for doc in tagged] == single


@pytest.mark.parametrize("second_seed, same", [(1, True), (2, False)])
def test_seed_decides_the_weights(
    tiny: dict[str, Any],
    make_examples: Callable,
    weights_of: Callable,
    second_seed: int,
    same: bool,
) -> None:
    weights = []
    for seed in (1, second_seed):
        fix_random_seed(seed)
        nlp = spacy.blank("xx")
        component = nlp.add_pipe("lstm_tagger", config={"model": tiny})
        batch = make_examples(nlp)
        optimizer = nlp.initialize(lambda batch=batch: batch)
        for _ in range(3):
            nlp.update(batch, drop=0.2, sgd=optimizer)
        weights.append(weights_of(component.model))
    first, second = weights
    assert all(numpy.array_equal(first[name], second[name]) == same for name in first)


def test_full_dropout_leaves_only_the_bias_to_learn(
    nlp: Language, tagger: LSTMTagger, examples: list[Example], weights_of: Callable
) -> None:
    before = weights_of(tagger.model)
    nlp.update(examples, drop=1.0, sgd=SGD(0.1, L2=0))
    after = weights_of(tagger.model)
    changed = [name for name in before if not numpy.array_equal(before[name], after[name])]
    assert changed == ["0 output.bias"]


def test_dropout_ends_with_the_update(
    nlp: Language, tagger: LSTMTagger, examples: list[Example]
) -> None:
    docs = [eg.predicted for eg in examples]
    before = tagger.model.predict(docs)
    nlp.update(examples, drop=0.9, sgd=False)
    for first, second in zip(before, tagger.model.predict(docs), strict=True):
        assert numpy.array_equal(first, second)
    first, second = (nlp.update(examples, sgd=False)["lstm_tagger"] for _ in range(2))
    assert first == second > 0


def test_averages_reach_the_weights(
    nlp: Language, tagger: LSTMTagger, examples: list[Example], weights_of: Callable
) -> None:
    optimizer = SGD(0.5, use_averages=True)
    initial = weights_of(tagger.model)
    history = []
    for _ in range(3):
        nlp.update(examples, sgd=optimizer)
        history.append(weights_of(tagger.model))
    averages = {f"0 {name}": value for (_, name), value in optimizer.averages.items()}
    with nlp.use_params(optimizer.averages):
        within = weights_of(tagger.model)
    assert within.keys() == averages.keys() == initial.keys()
    for name, value in within.items():
        assert numpy.array_equal(value, averages[name])
        assert not numpy.array_equal(value, history[-1][name])
        assert numpy.array_equal(weights_of(tagger.model)[name], history[-1][name])


def test_averages_are_what_is_saved_and_predicts(
    nlp: Language, tagger: LSTMTagger, examples: list[Example], weights_of: Callable
) -> None:
    optimizer = SGD(0.5, use_averages=True)
    for _ in range(3):
        nlp.update(examples, sgd=optimizer)
    docs = [eg.predicted for eg in examples]
    plain = tagger.model.predict(docs)
    with nlp.use_params(optimizer.averages):
        averaged = tagger.model.predict(docs)
        saved = tagger.model.to_bytes()
    assert not numpy.allclose(plain[0], averaged[0])
    loaded = tagger.model.copy().from_bytes(saved)
    assert numpy.array_equal(loaded.predict(docs)[0], averaged[0])


@pytest.mark.parametrize("of_the_model", [True, False])
def test_weights_come_back_after_an_exception(
    nlp: Language,
    tagger: LSTMTagger,
    examples: list[Example],
    weights_of: Callable,
    of_the_model: bool,
) -> None:
    optimizer = SGD(0.5, use_averages=True)
    nlp.update(examples, sgd=optimizer)
    nlp.update(examples, sgd=optimizer)
    before = weights_of(tagger.model)
    use_params = tagger.model.use_params if of_the_model else nlp.use_params
    with suppress(KeyError), use_params(optimizer.averages):
        within = weights_of(tagger.model)
        raise KeyError
    after = weights_of(tagger.model)
    assert not any(numpy.array_equal(before[name], within[name]) for name in before)
    assert all(numpy.array_equal(before[name], after[name]) for name in before)


def test_eight_threads_predict_what_one_does(
    nlp: Language, tagger: LSTMTagger, examples: list[Example]
) -> None:
    nlp.update(examples, drop=0.5)
    texts = [WORDS[i % 5 :] * (1 + i % 7) for i in range(64)]
    docs = [Doc(nlp.vocab, words=words) for words in texts]
    serial = [tagger.model.predict([doc])[0] for doc in docs]
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    try:
        with ThreadPoolExecutor(8) as pool:
            threaded = list(pool.map(lambda doc: tagger.model.predict([doc])[0], docs))
    finally:
        sys.setswitchinterval(interval)
    assert all(map(numpy.array_equal, serial, threaded))


def test_probabilities_are_stored_if_the_config_says_so(trained: Language, tmp_path: Path) -> None:
    trained.to_disk(tmp_path)
    changes = {"components": {"lstm_tagger": {"store_probabilities": True}}}
    nlp = spacy.load(tmp_path, config=changes)
    doc = nlp("The dog ate the apple")
    assert doc[1]._.tag_k_best(1)[0] == ("NN", doc[1]._.tag_confidence)
    assert not spacy.load(tmp_path)("The dog").user_data


def test_label_smoothing_is_taken_back(nlp: Language, train: Callable) -> None:
    train(nlp, label_smoothing=0.3)
    tagger = nlp.get_pipe("lstm_tagger")
    (probabilities,) = tagger.predict_probabilities([nlp.make_doc("The dog ate the apple")])
    assert (probabilities.max(axis=1) > 0.9).all()
    assert (probabilities > 0).all()
    tagger.cfg["label_smoothing"] = 0.0
    (raw,) = tagger.predict_probabilities([nlp.make_doc("The dog ate the apple")])
    assert (raw.max(axis=1) < 0.8).all()
    assert_array_equal(probabilities.argsort(axis=1), raw.argsort(axis=1))


@pytest.mark.parametrize("normalize", [False, True])
def test_probabilities_of_a_model_of_spacy(
    nlp: Language, examples: list[Example], normalize: bool
) -> None:
    encoder = {
        "@architectures": "spacy.HashEmbedCNN.v2",
        **{"width": 8, "depth": 1, "embed_size": 50, "window_size": 1, "maxout_pieces": 2},
        **{"subword_features": False, "pretrained_vectors": None},
    }
    model = {"@architectures": "spacy.Tagger.v2", "tok2vec": encoder, "normalize": normalize}
    tagger = nlp.add_pipe("lstm_tagger", config={"model": model, "label_smoothing": 0.0})
    learn(nlp, examples)
    docs = [nlp.make_doc(text) for text in ("The dog", "Everybody read that book")]
    expected, _ = tagger.model(docs, is_train=True)
    for own, probabilities in zip(tagger.predict_probabilities(docs), expected, strict=True):
        assert_allclose(own, probabilities, rtol=1e-4, atol=1e-6)


def test_lexicon_is_kept_to_and_saved(nlp: Language, examples: list[Example], tiny: dict) -> None:
    tagger = nlp.add_pipe("lstm_tagger", config={"model": tiny})
    lexicon = {"dog": ["V"], "apple": ["DET", "V"]}
    tagger.initialize(lambda: examples, nlp=nlp, lexicon=lexicon)
    copy = spacy.util.load_model_from_config(nlp.config).from_bytes(nlp.to_bytes())
    for pipeline in (nlp, copy):
        tags = predicted(pipeline, words=["dog", "The", "apple", "dog"])
        assert (tags[0], tags[3]) == ("V", "V")
        assert tags[2] != "NN"
    tagger.initialize(lambda: examples, nlp=nlp)
    assert tagger.cfg["lexicon"] == {}


def test_lexicon_comes_from_the_config(
    nlp: Language, examples: list[Example], tiny: dict, tmp_path: Path
) -> None:
    srsly.write_json(tmp_path / "lexicon.json", {"dog": ["V"]})
    nlp.add_pipe("lstm_tagger", config={"model": tiny})
    reader = {"@readers": "srsly.read_json.v1", "path": str(tmp_path / "lexicon.json")}
    nlp.config["initialize"]["components"] = {"lstm_tagger": {"lexicon": reader}}
    nlp.initialize(lambda: examples)
    assert predicted(nlp, words=["dog"]) == ["V"]


@pytest.mark.parametrize("labels", [[], ["XX"]])
def test_bad_lexicon_is_refused(
    tagger: LSTMTagger, examples: list[Example], labels: list[str]
) -> None:
    with pytest.raises(ValueError, match="lstm_tagger: the lexicon's entry 'dog'"):
        tagger.initialize(lambda: examples, lexicon={"dog": labels})


def test_bad_labels_of_a_token_are_refused(trained: Language) -> None:
    doc = trained.make_doc("The dog")
    doc[1]._.tag_allowed = ["XX"]
    with pytest.raises(ValueError, match=r"lstm_tagger: token 1 .'dog'.*no label 'XX'"):
        trained(doc)


def test_lexicon_has_morphological_features_in_any_order(nlp: Language, tiny: dict) -> None:
    doc = annotated(nlp, "morph", ["A=b|C=d", "A=b", "A=b|C=d", "A=b", "A=b"])
    tagger = nlp.add_pipe("lstm_morph_tagger", config={"model": tiny})
    examples = [Example(Doc(nlp.vocab, words=WORDS), doc)]
    tagger.initialize(lambda: examples, nlp=nlp, lexicon={"dog": ["C=d|A=b"]})
    assert [str(token.morph) for token in nlp("dog dog")] == ["A=b|C=d"] * 2


def test_crf_learns_with_missing_and_denied_labels(nlp: Language, tiny: dict) -> None:
    examples = [
        example(nlp, ["a", "b", "c"], ["A", "", "C"]),
        example(nlp, ["b", "c"], ["B", "C"]),
        example(nlp, ["b"], ["!A"]),
    ]
    nlp.add_pipe("lstm_tagger", config={"model": {**tiny, "crf": True}})
    learn(nlp, examples)
    assert predicted(nlp, words=["a", "b", "c"]) == ["A", "B", "C"]


def test_crf_knows_what_follows_what(nlp: Language, tiny: dict) -> None:
    """Where words say nothing, the transitions must: labels take turns."""
    model = {**tiny, "crf": True, "affixes": False, "character_lstm_width": 0}
    nlp.add_pipe("lstm_tagger", config={"model": model})
    learn(nlp, [example(nlp, ["x"] * 6, list("ABABAB")), example(nlp, ["x"] * 5, list("BABAB"))])
    transitions = nlp.get_pipe("lstm_tagger").model.get_param("transitions")
    assert transitions[0, 1] > transitions[0, 0]
    assert transitions[1, 0] > transitions[1, 1]
    tags = predicted(nlp, words=["x"] * 9)
    assert all(a != b for a, b in pairwise(tags))


def test_crf_serves_the_tagger_of_spacy(nlp: Language, examples: list[Example], tiny: dict) -> None:
    nlp.add_pipe("tagger", config={"model": {**tiny, "crf": True}})
    learn(nlp, examples)
    assert [t.tag_ for t in nlp("The dog ate the apple")] == ["DET", "NN", "V", "DET", "NN"]


@pytest.mark.parametrize("wrong", [[1], [0, 2], [0, 1, 2]])
def test_a_doc_that_cannot_be_tagged_does_not_stop_the_others(
    trained: Language, wrong: list[int]
) -> None:
    given: list[Doc] = []
    component = trained.get_pipe("lstm_tagger")
    component.set_error_handler(lambda name, pipe, docs, error: given.extend(docs))
    docs = [Doc(trained.vocab, words=WORDS) for _ in range(3)]
    for i in wrong:
        docs[i][0]._.tag_allowed = ["no such tag"]
    try:
        found = list(component.pipe(iter(docs), batch_size=3))
    finally:
        del component.error_handler
    assert found == [doc for i, doc in enumerate(docs) if i not in wrong]
    assert given == [docs[i] for i in wrong]
    assert all(annotation(doc, "tag") == GOLD["tag"] for doc in found)


def test_a_doc_that_cannot_be_tagged_raises_by_default(trained: Language) -> None:
    docs = [trained.make_doc("The dog"), trained.make_doc("dog")]
    docs[1][0]._.tag_allowed = ["no such tag"]
    stream = trained.pipe(docs)
    assert next(stream) is docs[0]
    with pytest.raises(ValueError, match=r"lstm_tagger: token 0 .*no such tag"):
        next(stream)


@pytest.mark.parametrize("call", ["k_best", "predict_probabilities"])
@pytest.mark.parametrize("text", ["text", ["text"]])
def test_a_text_is_no_doc(trained: Language, call: str, text: Any) -> None:
    arguments = (text, 2) if call == "k_best" else (text,)
    with pytest.raises(ValueError, match=r"lstm_tagger: a Doc is needed, not .*nlp\(text\)"):
        getattr(trained.get_pipe("lstm_tagger"), call)(*arguments)


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


@pytest.mark.parametrize("width, found", [(5, "they are 5 wide"), (0, "it has none")])
def test_vectors_that_do_not_fit_are_refused(
    nlp: Language, examples: list[Example], tiny: dict[str, Any], width: int, found: str
) -> None:
    nlp.vocab.set_vector("dog", numpy.ones(3, dtype="float32"))
    nlp.add_pipe("lstm_tagger", config={"model": {**tiny, "include_static_vectors": True}})
    nlp.initialize(lambda: examples)
    nlp.vocab.vectors = Vectors(shape=(1, width)) if width else Vectors()
    for call in (lambda: nlp("The dog"), lambda: nlp.update(examples)):
        with pytest.raises(ValueError, match=f"word vectors 3 wide, .*{found}"):
            call()

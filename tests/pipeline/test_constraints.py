"""Tests of `constraints.py`: the labels that tokens may have."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import spacy
import srsly
from helpers import WORDS, annotated, predicted
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.vocab import Vocab

from spacy_lstm_tagger.pipeline.constraints import allowed_labels, check_lexicon, register_allowed
from spacy_lstm_tagger.pipeline.tagger import LSTMTagger

LABELS = ("A", "B", "C")


@pytest.fixture
def docs() -> list[Doc]:
    register_allowed("tag")
    vocab = Vocab()
    return [Doc(vocab, words=words.split()) for words in ("x y", "", "y z X")]


def allowed(docs: list[Doc], lexicon: dict[str, list[str]]) -> list[str] | None:
    """Spell out the labels that each token may have."""
    mask = allowed_labels(docs, lexicon, "tag", LABELS, str)
    if mask is None:
        return None
    return ["".join(label for label, a in zip(LABELS, row, strict=True) if a) for row in mask]


def test_any_label_is_allowed_where_nothing_is_said(docs: list[Doc]) -> None:
    assert allowed(docs, {}) is None


def test_a_lexicon_speaks_of_word_forms_as_they_are_spelled(docs: list[Doc]) -> None:
    lexicon = {"x": ["A"], "y": ["B", "A"], "w": ["C"]}
    assert allowed(docs, lexicon) == ["A", "AB", "AB", "ABC", "ABC"]


def test_a_token_may_have_labels_of_its_own(docs: list[Doc]) -> None:
    docs[2][0]._.tag_allowed = ["C"]
    assert allowed(docs, {}) == ["ABC", "ABC", "C", "ABC", "ABC"]
    assert allowed(docs, {"y": ["B"]}) == ["ABC", "B", "C", "ABC", "ABC"]


def test_a_doc_may_stand_in_a_batch_twice(docs: list[Doc]) -> None:
    docs[0][1]._.tag_allowed = ["C"]
    assert allowed([docs[0], docs[2], docs[0]], {}) == ["ABC", "C", *["ABC"] * 4, "C"]


def test_what_is_allowed_goes_with_the_doc(docs: list[Doc]) -> None:
    docs[2][1]._.tag_allowed = ["A"]
    copy = Doc(docs[2].vocab).from_bytes(docs[2].to_bytes())
    assert allowed([copy], {}) == ["ABC", "A", "ABC"]


def test_other_user_data_say_nothing(docs: list[Doc]) -> None:
    docs[0].user_data.update({"tag_allowed": ["A"], 3: 4, ("._.", "other", 0, None): ["A"]})
    assert allowed(docs, {}) is None


@pytest.mark.parametrize("docs", [[], [Doc(Vocab())]])
def test_docs_without_tokens_have_no_labels(docs: list[Doc]) -> None:
    assert allowed(docs, {"x": ["A"]}) is None


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        ([], "'x'.*no label is allowed"),
        (["Z", "A", "Q"], "'x'.*has no label 'Q', 'Z'"),
        ("A", "'x'.*a list of labels is needed, not 'A'"),
        (7, "'x'.*a list of labels is needed, not 7"),
        ([7], "'x'.*a list of labels is needed"),
    ],
)
def test_bad_labels_are_refused(docs: list[Doc], labels: Any, message: str) -> None:
    with pytest.raises(ValueError, match=f"the lexicon's entry {message}"):
        check_lexicon({"y": ["B"], "x": labels}, LABELS, str)
    docs[0][0]._.tag_allowed = labels
    with pytest.raises(ValueError, match=rf"token 0 \({message}".replace("'x'", r"'x'\)", 1)):
        allowed(docs, {})


@pytest.mark.parametrize("lexicon", [["x"], "x", 3])
def test_a_lexicon_is_a_mapping(lexicon: Any) -> None:
    with pytest.raises(ValueError, match="maps words to lists of labels"):
        check_lexicon(lexicon, LABELS, str)


def test_the_lexicons_words_are_strings() -> None:
    with pytest.raises(ValueError, match="entry 1: its word must be a string"):
        check_lexicon({1: ["A"]}, LABELS, str)  # type: ignore[dict-item]


def test_labels_are_brought_to_their_normal_form() -> None:
    assert check_lexicon({"x": ("a", "b")}, LABELS, str.upper) == {"x": ["A", "B"]}


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


def test_labels_that_were_added_to_a_sourced_component_are_known(
    nlp: Language, trained: Language
) -> None:
    component = nlp.add_pipe("lstm_tagger", source=deepcopy(trained))
    component.add_label("NEW")
    doc = nlp.make_doc("dog")
    doc[0]._.tag_allowed = ["NEW"]
    assert component(doc)[0].tag_ == "NEW"

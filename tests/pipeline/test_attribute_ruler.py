"""Tests of `attribute_ruler.py`: what it writes is what spaCy's own writes."""

from pathlib import Path
from typing import Any

import pytest
import spacy
from numpy.testing import assert_array_equal
from spacy.language import Language
from spacy.pipeline import AttributeRuler
from spacy.tokens import Doc, Token

from spacy_lstm_tagger.pipeline import attribute_ruler
from spacy_lstm_tagger.pipeline.attribute_ruler import CachedAttributeRuler

KEYS: list[Any] = ["TAG", "POS", "MORPH", "LEMMA", "DEP", "NORM"]
PATTERNS: list[dict[str, Any]] = [
    {"patterns": [[{"TAG": "NN"}]], "attrs": {"POS": "NOUN", "MORPH": "Number=Sing"}},
    {"patterns": [[{"TAG": "NN"}, {"TAG": "NN"}]], "attrs": {"POS": "PROPN"}, "index": 1},
    {"patterns": [[{"LOWER": {"IN": ["dog", "cat"]}, "TAG": "NN"}]], "attrs": {"LEMMA": "pet"}},
    {"patterns": [[{"DEP": {"NOT_IN": ["", "det"]}}]], "attrs": {"POS": "PRON"}},
    {"patterns": [[{"ORTH": "The"}], [{"TEXT": {"REGEX": "^b"}}]], "attrs": {"MORPH": "A=B"}},
    {"patterns": [[{"LOWER": "ca"}, {"OP": "?"}, {"LOWER": "n't"}]], "attrs": {"LEMMA": "can"}},
    {
        "patterns": [[{"TAG": "NN", "OP": "+"}, {"TAG": "V"}]],
        "attrs": {"LEMMA": "run"},
        "index": -1,
    },
    {"patterns": [[{"IS_SPACE": True}]], "attrs": {"TAG": "_SP", "POS": "SPACE"}},
    {"patterns": [[{"IS_SPACE": True, "DEP": {"NOT_IN": [""]}}]], "attrs": {"DEP": "dep"}},
    {"patterns": [[{"POS": "X", "MORPH": {"IS_SUPERSET": ["A=B"]}}]], "attrs": {"TAG": "FOUND"}},
    {"patterns": [[{"_": {"marked": True}}]], "attrs": {"LEMMA": "marked"}},
    {"patterns": [[{"NORM": "odd"}]], "attrs": {"LEMMA": "odd"}},
    {"patterns": [[{"LENGTH": {">=": 7}}]], "attrs": {"NORM": "long"}},
    {"patterns": [[{"TAG": "V"}], [{"LOWER": "the"}, {"LOWER": "dog"}]], "attrs": {"POS": "VERB"}},
]


def texts() -> list[tuple[list[str], list[str]]]:
    return [
        (["The", "dog", "ate"], ["DT", "NN", "V"]),
        (["ca", "n't", "the", "dog"], ["V", "RB", "DT", "NN"]),
        (["ca", "really", "n't"], ["V", "RB", "RB"]),
        (["dog", "book", "bites", "\n", "cat"], ["NN", "NN", "V", "", "V"]),
        (["extraordinary", "book"], ["JJ", "X"]),
        ([], []),
        (["n't", "ca", "dog"], ["", "", ""]),
    ]


@pytest.fixture
def rulers(nlp: Language) -> tuple[AttributeRuler, CachedAttributeRuler]:
    if not Token.has_extension("marked"):
        Token.set_extension("marked", default=False)
    both = AttributeRuler(nlp.vocab), CachedAttributeRuler(nlp.vocab)
    for ruler in both:
        ruler.add_patterns(PATTERNS)
    return both


def make(nlp: Language, words: list[str], tags: list[str], variant: int) -> Doc:
    """Make a Doc that differs in what else it has."""
    doc = Doc(nlp.vocab, words=words, tags=tags)
    for token in doc:
        if variant == 1:
            token.dep_ = "nsubj"
        elif variant == 2:
            token.pos_ = "X"
            token.set_morph("A=B|C=D")
            token.lemma_ = "known"
        elif variant == 3 and token.i == 0:
            token._.marked = True
            token.norm_ = "odd"
    return doc


@pytest.mark.parametrize("variant", range(4))
def test_it_writes_what_spacys_ruler_writes(
    nlp: Language, rulers: tuple[AttributeRuler, CachedAttributeRuler], variant: int
) -> None:
    old, new = rulers
    for _ in range(2):  # the second time, all is known
        for words, tags in texts():
            expected = old(make(nlp, words, tags, variant))
            found = new(make(nlp, words, tags, variant))
            assert_array_equal(found.to_array(KEYS), expected.to_array(KEYS), str(words))


def test_what_was_learnt_of_other_variants_is_not_mixed_up(
    nlp: Language, rulers: tuple[AttributeRuler, CachedAttributeRuler]
) -> None:
    old, new = rulers
    for words, tags in texts():
        for variant in (0, 1, 2, 3, 0):
            expected = old(make(nlp, words, tags, variant))
            found = new(make(nlp, words, tags, variant))
            assert_array_equal(found.to_array(KEYS), expected.to_array(KEYS), str(words))


def test_new_patterns_count(nlp: Language) -> None:
    ruler = nlp.add_pipe("lstm_attribute_ruler")
    assert nlp(nlp.make_doc("dog"))[0].pos_ == ""
    ruler.add([[{"LOWER": "dog"}]], {"POS": "NOUN"})
    assert nlp("dog")[0].pos_ == "NOUN"
    ruler.add([[{"LOWER": "dog"}, {"LOWER": "eat"}]], {"POS": "PROPN"})
    assert [token.pos_ for token in nlp("dog eat")] == ["PROPN", ""]
    ruler.clear()
    assert nlp("dog")[0].pos_ == ""


def test_it_is_saved_and_loaded_as_spacys_ruler_is(nlp: Language, tmp_path: Path) -> None:
    old = nlp.add_pipe("attribute_ruler")
    old.add_patterns(PATTERNS[:3])
    new = CachedAttributeRuler(nlp.vocab).from_bytes(old.to_bytes())
    assert new.patterns == old.patterns
    nlp.remove_pipe("attribute_ruler")
    nlp.add_pipe("lstm_attribute_ruler").add_patterns(PATTERNS[:3])
    nlp.to_disk(tmp_path)
    loaded = spacy.load(tmp_path)
    doc = loaded(Doc(loaded.vocab, words=["dog"], tags=["NN"]))
    assert (doc[0].pos_, doc[0].lemma_) == ("NOUN", "pet")


def test_memory_is_bounded(
    nlp: Language,
    rulers: tuple[AttributeRuler, CachedAttributeRuler],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(attribute_ruler, "MAX_TOKENS", 10)
    _, ruler = rulers
    for i in range(50):
        ruler(Doc(nlp.vocab, words=[f"dog{i}", "cat"], tags=["NN", "NN"]))
        assert len(ruler._known) <= 12


def test_a_memory_zone_leaves_nothing_behind(nlp: Language) -> None:
    nlp.add_pipe("lstm_attribute_ruler").add_patterns(PATTERNS[:3])
    for _ in range(2):
        with nlp.memory_zone():
            doc = nlp(Doc(nlp.vocab, words=["dog", "or", "wug"], tags=["NN", "CC", "NN"]))
            assert [token.lemma_ for token in doc] == ["pet", "", ""]
            assert [token.pos_ for token in doc] == ["NOUN", "", "NOUN"]


def test_errors_go_to_the_error_handler(nlp: Language) -> None:
    ruler = nlp.add_pipe("lstm_attribute_ruler")
    ruler.add([[{"LOWER": "dog"}]], {"POS": "NOUN"}, index=1)
    with pytest.raises(ValueError, match="E1001"):
        nlp("dog")
    failed: list[Doc] = []
    nlp.set_error_handler(lambda name, proc, docs, error: failed.extend(docs))
    list(nlp.pipe(["dog"]))
    assert len(failed) == 1

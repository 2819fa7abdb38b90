"""Tests of `assembly.py`: what of a teacher's pipeline comes along."""

from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import fix_random_seed

from spacy_lstm_tagger.cli.assembly import Plan, assemble, check_vectors, make_plan
from spacy_lstm_tagger.pipeline.distillation import Teacher

TEXT = "The dog ate thebook"
FACTORIES = {"tag": "lstm_tagger", "pos": "lstm_pos_tagger", "morph": "lstm_morph_tagger"}


@pytest.fixture
def loaded(teacher: Path) -> Teacher:
    return Teacher(spacy.load(teacher))


def pupil_of(plan: Plan, tiny: dict[str, Any], **model: Any) -> Language:
    """A pupil that knows one text."""
    nlp = spacy.blank("xx")
    fix_random_seed(0)
    for attribute, name in plan.pupils.items():
        nlp.add_pipe(FACTORIES[attribute], name=name, config={"model": {**tiny, **model}})
    words = ["The", "dog", "ate", "the", "book"]
    reference = Doc(
        nlp.vocab,
        words=words,
        tags=["DET", "NN", "V", "DET", "NN"],
        pos=["DET", "NOUN", "VERB", "DET", "NOUN"],
        morphs=["", "Number=Sing", "", "", "Number=Sing"],
    )
    examples = [Example(Doc(nlp.vocab, words=words), reference)]
    if model.get("include_static_vectors"):
        nlp.vocab.set_vector("dog", numpy.ones(3, dtype="float32"))
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.03
    for _ in range(30):
        nlp.update(examples, sgd=optimizer)
    return nlp


def test_what_reads_only_tags_comes_along(loaded: Teacher) -> None:
    plan = make_plan(loaded)
    assert plan.pupils == {"tag": "tagger", "pos": "lstm_pos_tagger", "morph": "lstm_morph_tagger"}
    assert plan.order == [
        "tagger", "lstm_pos_tagger", "lstm_morph_tagger", "attribute_ruler", "sentencizer"
    ]  # fmt: skip
    assert plan.teacher_order == [
        "tok2vec", "tagger", "morphologizer", "attribute_ruler", "sentencizer"
    ]  # fmt: skip
    assert set(plan.left_out) == {"tok2vec", "senter"}
    assert plan.left_out["senter"] == "listens to tok2vec"


def test_one_component_of_the_teacher(teacher: Path) -> None:
    plan = make_plan(Teacher(spacy.load(teacher), ["tagger"]))
    assert plan.pupils == {"tag": "tagger"}
    assert plan.order == ["tagger", "attribute_ruler", "sentencizer"]
    assert plan.left_out["morphologizer"] == "listens to tok2vec"


def test_what_needs_a_component_that_is_left_out_is_left_out(loaded: Teacher) -> None:
    loaded.nlp.add_pipe("entity_ruler", name="rules")
    loaded.nlp.add_pipe("merge_entities")
    assert "merge_entities" in make_plan(loaded).order
    loaded.nlp.remove_pipe("rules")
    loaded.nlp.add_pipe("ner", before="merge_entities")
    left_out = make_plan(loaded).left_out
    assert left_out["ner"] == "has a model of its own"
    assert left_out["merge_entities"].startswith("needs ")


def test_a_component_that_is_kept_brings_its_encoder(loaded: Teacher, tiny: dict) -> None:
    plan = make_plan(loaded, ["senter"])
    assert plan.order[:2] == ["tok2vec", "tagger"] and "senter" in plan.order
    loaded.nlp.get_pipe("tagger").cfg["overwrite"] = True
    nlp = assemble(loaded, pupil_of(plan, tiny), plan)
    theirs = loaded.nlp.get_pipe("senter").model
    own = nlp.get_pipe("senter").model
    docs = [one.get_pipe("tok2vec")(one.make_doc(TEXT)) for one in (loaded.nlp, nlp)]
    scores = [model.predict([doc])[0] for model, doc in zip((theirs, own), docs, strict=True)]
    numpy.testing.assert_allclose(*scores, atol=1e-5)
    assert numpy.any(scores[0])


@pytest.mark.parametrize("name", ["parser", "tagger"])
def test_what_cant_be_kept_is_refused(loaded: Teacher, name: str) -> None:
    message = f"'{name}' can't be kept: .* beside the ones that teach: tok2vec, attribute_ruler, se"
    with pytest.raises(ValueError, match=message):
        make_plan(loaded, [name])


@pytest.mark.parametrize("with_vectors", [False, True])
def test_the_pipeline_is_what_the_plan_says(
    loaded: Teacher, tiny: dict, tmp_path: Path, with_vectors: bool
) -> None:
    plan = make_plan(loaded)
    pupil = pupil_of(plan, tiny, include_static_vectors=with_vectors)
    assemble(loaded, pupil, plan).to_disk(tmp_path)
    nlp = spacy.load(tmp_path)
    assert nlp.pipe_names == plan.order
    doc = nlp(TEXT)
    assert [token.text for token in doc] == ["The", "dog", "ate", "the", "book"]
    assert [token.tag_ for token in doc] == ["DET", "NN", "V", "DET", "NN"]
    assert [token.pos_ for token in doc] == ["DET", "NOUN", "VERB", "DET", "NOUN"]
    assert [str(token.morph) for token in doc][:2] == ["", "Number=Sing"]
    assert [token.lemma_ for token in doc] == ["", "thing", "", "", "thing"]
    assert doc[0].is_sent_start
    assert nlp.meta["name"] == "teacher_distilled"
    assert nlp.vocab.vectors_length == (3 if with_vectors else 0)


def test_no_string_of_the_teacher_comes_along_that_isnt_needed(loaded: Teacher, tiny: dict) -> None:
    loaded.nlp.vocab.strings.add("a word of the teacher")
    plan = make_plan(loaded)
    nlp = assemble(loaded, pupil_of(plan, tiny), plan)
    assert "a word of the teacher" not in nlp.vocab.strings


def test_the_pupils_of_one_encoder(loaded: Teacher, shared: Language, make_examples: Any) -> None:
    plan = make_plan(loaded)._replace(
        pupils={"tag": "tags", "pos": "parts"}, order=["tags", "parts", "attribute_ruler"]
    )
    shared.initialize(lambda: make_examples(shared))
    nlp = assemble(loaded, shared, plan)
    assert nlp.pipe_names == ["tok2vec", "tags", "parts", "attribute_ruler"]
    docs = [one(TEXT.replace("thebook", "the book")) for one in (shared, nlp)]
    assert [t.tag_ for t in docs[0]] == [t.tag_ for t in docs[1]]


def test_vectors_of_two_kinds_are_refused(loaded: Teacher) -> None:
    plan = make_plan(loaded, ["senter"])
    check_vectors(loaded, plan, "vectors")
    loaded.nlp.get_pipe("senter").model.name = "static_vectors"
    check_vectors(loaded, plan, None)
    with pytest.raises(ValueError, match="'senter' can't be kept with --vectors"):
        check_vectors(loaded, plan, "vectors")


@pytest.mark.parametrize("mode, stays", [("rule", False), ("lookup", True)])
def test_a_rule_lemmatizer_needs_parts_of_speech(teacher: Path, mode: str, stays: bool) -> None:
    nlp = spacy.load(teacher)
    nlp.add_pipe("lemmatizer", config={"mode": mode})
    assert "lemmatizer" in make_plan(Teacher(nlp)).order
    plan = make_plan(Teacher(nlp, ["tagger"]))
    assert ("lemmatizer" in plan.order) == stays
    assert plan.left_out.get("lemmatizer") == (None if stays else "needs token.pos")


def test_disabled_components_are_named(loaded: Teacher) -> None:
    loaded.nlp.disable_pipe("sentencizer")
    assert make_plan(loaded).left_out["sentencizer"] == "disabled"
    with pytest.raises(ValueError, match=r"'sentencizer' can't be kept.* It is disabled"):
        make_plan(loaded, ["sentencizer"])

"""Tests of `agreement.py`: what is said of a pupil is right."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.vocab import Vocab

from spacy_lstm_tagger.cli.agreement import judge, show
from spacy_lstm_tagger.cli.assembly import make_plan
from spacy_lstm_tagger.cli.compact import size_of
from spacy_lstm_tagger.pipeline.distillation import Teacher


@Language.component("all_nouns")
def all_nouns(doc: Doc) -> Doc:
    """Stand for a pupil that says NN of each word, and a lemma."""
    for token in doc:
        token.tag_, token.lemma_ = "NN", "thing"
    return doc


@pytest.fixture
def loaded(teacher: Path) -> Teacher:
    return Teacher(spacy.load(teacher), ["tagger"])


@pytest.fixture
def judged(loaded: Teacher, tmp_path: Path) -> Any:
    pupil = spacy.blank("xx")
    pupil.add_pipe("all_nouns", name="tagger")
    pupil.to_disk(tmp_path / "pupil")
    examined = [Doc(Vocab(), words=["The", "dog", "ate", "dog"], tags=["DET", "NN", "V", "NN"])]
    gold = [Doc(Vocab(), words=["The", "dog", "ate", "dog"], tags=["DET", "NN", "NN", ""])]
    plan = make_plan(loaded)._replace(order=["tagger"])
    nlp = spacy.load(tmp_path / "pupil")
    return judge(nlp, loaded.nlp, plan, examined, gold, known={"the", "dog"})


def test_agreement_by_words_and_labels(judged: Any) -> None:
    assert judged.agreement == {
        "tag": {
            "all words": (0.5, 4),
            "known words": (pytest.approx(2 / 3), 3),
            "unseen words": (0.0, 1),
        }
    }
    assert judged.labels == {
        "tag": [("DET", "0.00%", "1", "NN (1)"), ("V", "0.00%", "1", "NN (1)")]
    }


def test_both_are_compared(judged: Any, loaded: Teacher, tmp_path: Path) -> None:
    assert judged.accuracy["tag"] == (pytest.approx(2 / 3), pytest.approx(2 / 3))
    assert judged.from_text == {"tag": 0.5, "lemma": 0.5}
    assert judged.size == (size_of(loaded.nlp.path), size_of(tmp_path / "pupil"))
    assert min(judged.speed) > 0
    assert "senter" in loaded.nlp.pipe_names  # which is disabled only while it is measured


def test_everything_is_shown(judged: Any, capsys: pytest.CaptureFixture) -> None:
    show(judged)
    shown = capsys.readouterr().out
    for words in ("unseen words", "66.67%", "NN (1)", "Accuracy: tag", "MB on disk", "lemma"):
        assert words in shown


def test_features_that_the_examined_docs_lack(loaded: Teacher, tmp_path: Path) -> None:
    @Language.component("other_features")
    def other_features(doc: Doc) -> Doc:
        for token in doc:
            token.set_morph("Unknown=Elsewhere")
        return doc

    pupil = spacy.blank("xx")
    pupil.add_pipe("other_features", name="features")
    pupil.to_disk(tmp_path)
    examined = [Doc(Vocab(), words=["The", "dog"], morphs=["", "Number=Sing"])]
    plan = make_plan(loaded)._replace(pupils={"morph": "features"}, order=["features"])
    judged = judge(spacy.load(tmp_path), loaded.nlp, plan, examined, [], known=None)
    assert judged.agreement == {"morph": {"all words": (0.0, 2)}}


def test_pipelines_that_drop_docs_are_compared_by_text(loaded: Teacher, tmp_path: Path) -> None:
    class Dropper:
        def __call__(self, doc: Doc) -> Doc:
            return doc

        def pipe(self, docs: Iterable[Doc], *, batch_size: int = 128) -> Iterator[Doc]:
            return (doc for doc in docs if len(doc) > 1)

    Language.factory("dropper", func=lambda nlp, name: Dropper())
    loaded.nlp.add_pipe("dropper")
    pupil = spacy.blank("xx")
    pupil.add_pipe("all_nouns", name="tagger")
    pupil.to_disk(tmp_path)
    words = [["Stop"], ["dog", "ate"], ["Dog"], ["apple", "dog", "ate"]]
    examined = [Doc(Vocab(), words=own, tags=["NN"] * len(own)) for own in words]
    plan = make_plan(loaded)
    plan = plan._replace(order=["tagger"], teacher_order=[*plan.teacher_order, "dropper"])
    judged = judge(spacy.load(tmp_path), loaded.nlp, plan, examined, [], known=None)
    theirs = [token.tag_ for own in (words[1], words[3]) for token in loaded.nlp(" ".join(own))]
    assert judged.from_text["tag"] == pytest.approx(theirs.count("NN") / 5)


def test_the_accuracy_is_that_of_the_taggers(loaded: Teacher, tmp_path: Path) -> None:
    @Language.component("all_verbs")
    def all_verbs(doc: Doc) -> Doc:
        for token in doc:
            token.tag_ = "V"
        return doc

    pupil = spacy.blank("xx")
    pupil.add_pipe("all_nouns", name="tagger")
    pupil.add_pipe("all_verbs")
    pupil.to_disk(tmp_path)
    examined = [Doc(Vocab(), words=["dog", "ate", "book"], tags=["NN", "V", "NN"])]
    plan = make_plan(loaded)._replace(order=["tagger", "all_verbs"])
    judged = judge(spacy.load(tmp_path), loaded.nlp, plan, examined, examined, known=None)
    assert judged.accuracy["tag"] == (1.0, pytest.approx(2 / 3))

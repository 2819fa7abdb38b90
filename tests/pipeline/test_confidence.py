"""Tests of `confidence.py`: what Docs and tokens tell of their labels' probabilities."""

import subprocess
import sys

import numpy
import pytest
from numpy.testing import assert_array_equal
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from spacy_lstm_tagger.pipeline.confidence import register_extensions, store

LABELS = ("A", "B", "C")
PROBABILITIES = numpy.asarray([[0.5, 0.375, 0.125], [0.25, 0.25, 0.5]], dtype="float32")


@pytest.fixture
def doc() -> Doc:
    """Two tokens, whose tags are not always the most probable."""
    register_extensions("tag")
    doc = Doc(Vocab(), words=["x", "y"], tags=["B", "C"])
    store(doc, "tag", LABELS, PROBABILITIES)
    return doc


def test_confidence_is_the_probability_of_the_tokens_label(doc: Doc) -> None:
    assert [token._.tag_confidence for token in doc] == [0.375, 0.5]


def test_a_label_that_the_tagger_lacks_has_no_confidence(doc: Doc) -> None:
    doc[0].tag_ = "Z"
    assert doc[0]._.tag_confidence == 0


@pytest.mark.parametrize(
    ("attribute", "values"),
    [("pos", ["NOUN", "VERB"]), ("morph", ["Number=Sing|Person=3", "_"])],
)
def test_parts_of_speech_and_features_have_confidence(attribute: str, values: list[str]) -> None:
    register_extensions(attribute)
    key = "morphs" if attribute == "morph" else attribute
    doc = Doc(Vocab(), words=["x", "y"], **{key: values})
    store(doc, attribute, tuple(values), PROBABILITIES[:, :2])
    assert [token._.get(f"{attribute}_confidence") for token in doc] == [0.5, 0.25]


def test_k_best_labels_come_with_the_most_probable_first(doc: Doc) -> None:
    assert doc[0]._.tag_k_best(2) == [("A", 0.5), ("B", 0.375)]
    assert doc[1]._.tag_k_best(3) == [("C", 0.5), ("A", 0.25), ("B", 0.25)]


@pytest.mark.parametrize("k", [-1, 0, 4])
def test_there_are_no_k_labels(doc: Doc, k: int) -> None:
    with pytest.raises(ValueError, match=f"k = {k} must be from 1 to 3, the number of labels"):
        doc[0]._.tag_k_best(k)


def test_a_doc_without_probabilities_says_how_to_get_them() -> None:
    register_extensions("tag")
    doc = Doc(Vocab(), words=["x"])
    with pytest.raises(ValueError, match="store_probabilities = true"):
        doc[0]._.tag_confidence  # noqa: B018
    with pytest.raises(ValueError, match="store_probabilities = true"):
        doc[0]._.tag_k_best(1)


def test_a_doc_whose_tokens_changed_must_be_tagged_again(doc: Doc) -> None:
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[0:2])
    with pytest.raises(ValueError, match="they are of 2 tokens, and this one has 1"):
        doc[0]._.tag_confidence  # noqa: B018


def test_bytes_and_pickles_keep_the_probabilities(doc: Doc) -> None:
    binary = DocBin(docs=[doc], store_user_data=True).to_bytes()
    copies = [Doc(doc.vocab).from_bytes(doc.to_bytes()), doc.copy()]
    copies += DocBin().from_bytes(binary).get_docs(doc.vocab)
    for copy in copies:
        assert tuple(copy._.tag_labels) == LABELS
        assert_array_equal(copy._.tag_probabilities, PROBABILITIES)
        assert copy._.tag_probabilities.dtype == "float32"
        assert copy[1]._.tag_k_best(1) == [("C", 0.5)]


def test_a_program_without_a_tagger_reads_them(doc: Doc, tmp_path) -> None:
    DocBin(docs=[doc], attrs=["ORTH", "TAG"], store_user_data=True).to_disk(tmp_path / "x.spacy")
    program = """
import sys
from spacy.tokens import DocBin
from spacy.vocab import Vocab
from spacy_lstm_tagger.pipeline.confidence import register_extensions
register_extensions("tag")
(doc,) = DocBin().from_disk(sys.argv[1]).get_docs(Vocab())
print([token._.tag_confidence for token in doc])
"""
    run = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "x.spacy")], capture_output=True, text=True
    )
    assert run.stdout == "[0.375, 0.5]\n", run.stderr


def test_an_extension_of_the_users_own_is_left_alone(nlp: Language) -> None:
    Doc.set_extension("pos_labels", default="mine", force=True)
    try:
        register_extensions("pos")
        assert Doc(nlp.vocab)._.pos_labels == "mine"
    finally:
        Doc.remove_extension("pos_labels")
        register_extensions("pos")

"""Tests of `probabilities.py`: what Docs and tokens tell of their labels' probabilities."""

import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
from numpy.testing import assert_array_equal
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Token
from spacy.training import Example
from spacy.vocab import Vocab

from spacy_lstm_tagger.pipeline.probabilities import confidences, register_extensions, store

LABELS = ("A", "B", "C")
PROBABILITIES = numpy.asarray([[0.5, 0.375, 0.125], [0.25, 0.25, 0.5]], dtype="float32")


@pytest.fixture
def doc() -> Doc:
    """Two tokens, whose tags are not always the most probable."""
    register_extensions("tag")
    doc = Doc(Vocab(), words=["x", "y"], tags=["B", "C"])
    store(doc, "tag", "tagger", LABELS, PROBABILITIES)
    return doc


def test_confidence_is_the_probability_of_the_tokens_label(doc: Doc) -> None:
    assert [token._.tag_confidence for token in doc] == [0.375, 0.5]


def test_a_label_that_the_tagger_lacks_has_no_confidence(doc: Doc) -> None:
    doc[0].tag_ = "Z"
    assert doc[0]._.tag_confidence == 0
    assert confidences(doc, "tag") == [0, 0.5]


def test_a_doc_without_probabilities_has_no_confidences() -> None:
    with pytest.raises(ValueError, match="this Doc has no probabilities: set store_probab"):
        confidences(Doc(Vocab(), words=["x"], tags=["B"]), "tag")


@pytest.mark.parametrize(
    ("attribute", "values"),
    [("pos", ["NOUN", "VERB"]), ("morph", ["Number=Sing|Person=3", "_"])],
)
def test_parts_of_speech_and_features_have_confidence(attribute: str, values: list[str]) -> None:
    register_extensions(attribute)
    key = "morphs" if attribute == "morph" else attribute
    doc = Doc(Vocab(), words=["x", "y"], **{key: values})
    store(doc, attribute, "tagger", tuple(values), PROBABILITIES[:, :2])
    assert [token._.get(f"{attribute}_confidence") for token in doc] == [0.5, 0.25]


def test_k_best_labels_come_with_the_most_probable_first(doc: Doc) -> None:
    assert doc[0]._.tag_k_best(2) == [("A", 0.5), ("B", 0.375)]
    assert doc[1]._.tag_k_best(3) == [("C", 0.5), ("A", 0.25), ("B", 0.25)]


@pytest.mark.parametrize("k", [-1, 0, 4])
def test_there_are_no_k_labels(doc: Doc, k: int) -> None:
    with pytest.raises(ValueError, match=f"k = {k} must be from 1 to 3, the number of labels"):
        doc[0]._.tag_k_best(k)


@pytest.mark.parametrize("k", ["x", None, 1.5])
def test_k_is_a_whole_number(doc: Doc, k: Any) -> None:
    with pytest.raises(ValueError, match=f"k = {k!r} must be a whole number"):
        doc[0]._.tag_k_best(k)


def test_a_doc_without_probabilities_says_how_to_get_them() -> None:
    register_extensions("tag")
    doc = Doc(Vocab(), words=["x"])
    with pytest.raises(ValueError, match="store_probabilities = true"):
        doc[0]._.tag_confidence  # noqa: B018
    with pytest.raises(ValueError, match="store_probabilities = true"):
        doc[0]._.tag_k_best(1)


def test_tokens_that_are_merged_or_split_must_be_tagged_again(doc: Doc) -> None:
    doc = Doc(Vocab(), words=["x", "y", "zz", "x"], tags=["A", "B", "C", "A"])
    rows = numpy.asarray([[0.5, 0.25, 0.25]] * 3 + [[1, 0, 0]], dtype="float32")
    store(doc, "tag", "tagger", LABELS, rows)
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[0:2])
        retokenizer.split(doc[2], ["z", "z"], [doc[3], doc[3]])
    assert len(doc) == 4 and doc[3]._.tag_confidence == 1
    for i in range(3):
        with pytest.raises(ValueError, match="tag it again"):
            doc[i]._.tag_confidence  # noqa: B018
    for name in ("tag_probabilities", "tag_labels"):
        with pytest.raises(ValueError, match="tag it again"):
            doc._.get(name)


def test_other_tokens_keep_theirs_when_some_are_merged() -> None:
    doc = Doc(Vocab(), words=["x", "y", "x", "z"], tags=["A", "B", "C", "A"])
    rows = numpy.asarray([[0.5, 0.25, 0.25]] * 2 + [[0, 0.25, 0.75], [1, 0, 0]], dtype="float32")
    store(doc, "tag", "tagger", LABELS, rows)
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[0:2])
    assert [token._.tag_confidence for token in doc[1:]] == [0.75, 1]
    assert doc[1]._.tag_k_best(1) == [("C", 0.75)]


@pytest.mark.parametrize(
    "derive",
    [
        lambda doc: doc[0:1].as_doc(),
        lambda doc: doc[1:2].as_doc(copy_user_data=True),
        lambda doc: Doc.from_docs([doc, doc], exclude=["user_data"]),
    ],
)
def test_a_derived_doc_says_whom_to_ask(doc: Doc, derive: Callable) -> None:
    with pytest.raises(ValueError, match=r"from_docs, Span.as_doc.*use the Doc that was tagged"):
        derive(doc)[0]._.tag_confidence  # noqa: B018


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
from spacy_lstm_tagger.pipeline.probabilities import register_extensions
register_extensions("tag")
(doc,) = DocBin().from_disk(sys.argv[1]).get_docs(Vocab())
print([token._.tag_confidence for token in doc])
"""
    run = subprocess.run(
        [sys.executable, "-c", program, str(tmp_path / "x.spacy")], capture_output=True, text=True
    )
    assert run.stdout == "[0.375, 0.5]\n", run.stderr


@pytest.fixture
def users_own() -> Iterator[None]:
    """An application that has an extension of the same name."""
    Token.set_extension("pos_confidence", default="mine", force=True)
    yield
    Token.remove_extension("pos_confidence")


def test_an_extension_of_the_users_own_is_left_alone(users_own: None, nlp: Language) -> None:
    nlp.add_pipe("lstm_pos_tagger")
    assert Doc(nlp.vocab, words=["x"])[0]._.pos_confidence == "mine"


@pytest.mark.parametrize("early", [True, False])
def test_probabilities_are_not_stored_under_a_users_extension(
    users_own: None, nlp: Language, early: bool
) -> None:
    with pytest.raises(ValueError, match=r"application has an extension Token\._\.pos_confidence"):
        if early:
            nlp.add_pipe("lstm_pos_tagger", config={"store_probabilities": True})
        else:
            nlp.add_pipe("lstm_pos_tagger").store_probabilities = True


def test_an_extension_that_was_replaced_later_is_noticed(nlp: Language, train: Callable) -> None:
    train(nlp, store_probabilities=True)
    Token.set_extension("tag_k_best", default="mine", force=True)
    try:
        with pytest.raises(ValueError, match=r"lstm_tagger: .*an extension Token\._\.tag_k_best"):
            nlp("The dog")
    finally:
        Token.remove_extension("tag_k_best")
    assert nlp("The dog")[1]._.tag_k_best(1)[0][0] == "NN"


def two_taggers(nlp: Language, train: Callable, **config: Any) -> tuple[Any, Any]:
    """Return a tagger of the tags, and one whose tags are others, both of which store."""
    train(nlp, store_probabilities=True)
    other = nlp.add_pipe(
        "lstm_tagger", name="other", config={"store_probabilities": True, **config}
    )
    example = Example(Doc(nlp.vocab, words=["x"]), Doc(nlp.vocab, words=["x"], tags=["X"]))
    other.initialize(lambda: [example])
    return nlp.get_pipe("lstm_tagger"), other


def test_a_second_tagger_that_writes_nothing_leaves_the_first_ones(
    nlp: Language, train: Callable
) -> None:
    first, _ = two_taggers(nlp, train)
    doc = nlp("The dog ate")
    assert doc._.tag_labels == first.labels
    assert min(token._.tag_confidence for token in doc) > 1 / 3


def test_a_second_tagger_that_overwrites_stores_its_own(nlp: Language, train: Callable) -> None:
    _, other = two_taggers(nlp, train, overwrite=True)
    doc = nlp("The dog ate")
    assert [token.tag_ for token in doc] == ["X"] * 3
    assert doc._.tag_labels == other.labels
    other.store_probabilities = False
    assert nlp("The dog")._.tag_probabilities is None


def test_a_doc_that_is_tagged_again_gets_the_probabilities_of_its_new_tokens(
    nlp: Language, train: Callable
) -> None:
    train(nlp, store_probabilities=True)
    doc = nlp("The dog ate the apple")
    with doc.retokenize() as retokenizer:
        retokenizer.merge(doc[0:2])
    doc = nlp(doc)
    assert doc._.tag_probabilities.shape == (4, 3)


def test_other_processes_return_the_probabilities(nlp: Language, train: Callable) -> None:
    train(nlp, store_probabilities=True)
    alone, others = (list(nlp.pipe(["The dog"] * 3, n_process=n, batch_size=1)) for n in (1, 2))
    for doc, other in zip(alone, others, strict=True):
        assert_array_equal(doc._.tag_probabilities, other._.tag_probabilities)
        assert [t._.tag_confidence for t in doc] == [t._.tag_confidence for t in other]


def test_probabilities_are_stored_if_the_config_says_so(trained: Language, tmp_path: Path) -> None:
    trained.to_disk(tmp_path)
    changes = {"components": {"lstm_tagger": {"store_probabilities": True}}}
    nlp = spacy.load(tmp_path, config=changes)
    doc = nlp("The dog ate the apple")
    assert doc[1]._.tag_k_best(1)[0] == ("NN", doc[1]._.tag_confidence)
    assert not spacy.load(tmp_path)("The dog").user_data

"""Tests of `extensions.py`: labels in custom extensions of tokens."""

from collections.abc import Iterator

import pytest
from spacy.tokens import Doc, DocBin, Token
from spacy.vocab import Vocab

from spacy_lstm_tagger.pipeline.extensions import (
    label_extensions,
    read_labels,
    register_label,
    write_labels,
)


@pytest.fixture(autouse=True)
def name() -> Iterator[str]:
    """The name of an extension, which is removed after the test."""
    yield "my_label"
    if Token.has_extension("my_label"):
        Token.remove_extension("my_label")


@pytest.fixture
def doc() -> Doc:
    return Doc(Vocab(), words=["to", "New", "York"], spaces=[True, True, False])


def test_what_is_written_is_read(doc: Doc, name: str) -> None:
    register_label(name)
    assert read_labels(doc, name) == ["", "", ""]
    assert write_labels(doc, name, ["O", "B-city", ""], overwrite=False)
    assert [token._.get(name) for token in doc] == ["O", "B-city", None]
    assert read_labels(doc, name) == ["O", "B-city", ""]


def test_extensions_of_tokens_that_have_labels_are_found(doc: Doc, name: str) -> None:
    doc.user_data.update({("a", "b"): "x", "c": "x", ("._.", "of_doc", None, None): "x"})  # type: ignore[dict-item]
    doc.user_data["._.", "of_span", 0, 2] = doc.user_data["._.", "number", 3, None] = 1  # type: ignore[index]
    doc.user_data["._.", "of_span", 0, 2] = "x"  # type: ignore[index]
    assert label_extensions(doc) == set()
    register_label(name)
    write_labels(doc, name, ["O", "", ""], overwrite=False)
    assert label_extensions(doc) == {name}


def test_labels_are_replaced_only_if_asked(doc: Doc, name: str) -> None:
    register_label(name)
    write_labels(doc, name, ["O", "O", ""], overwrite=False)
    assert write_labels(doc, name, ["A", "A", "A"], overwrite=False)
    assert read_labels(doc, name) == ["O", "O", "A"]
    assert not write_labels(doc, name, ["B", "B", "B"], overwrite=False)
    write_labels(doc, name, ["B", "B", "B"], overwrite=True)
    assert read_labels(doc, name) == ["B", "B", "B"]


def test_a_docbin_keeps_them(doc: Doc, name: str) -> None:
    register_label(name)
    write_labels(doc, name, ["O", "B-city", "I-city"], overwrite=False)
    data = DocBin(docs=[doc], store_user_data=True).to_bytes()
    Token.remove_extension(name)
    (loaded,) = DocBin().from_bytes(data).get_docs(Vocab())
    assert read_labels(loaded, name) == ["O", "B-city", "I-city"]


def test_the_default_of_the_application_is_the_label_of_other_tokens(doc: Doc, name: str) -> None:
    Token.set_extension(name, default="O")
    register_label(name)
    doc[1]._.set(name, "B-city")
    assert read_labels(doc, name) == ["O", "B-city", "O"]


def test_labels_are_strings(doc: Doc, name: str) -> None:
    register_label(name)
    doc[1]._.set(name, 3)
    with pytest.raises(ValueError, match=r"token\._\.my_label must be a string, not 3"):
        read_labels(doc, name)


@pytest.mark.parametrize("other", ["", "two words", "1st", "a.b"])
def test_names_that_cannot_be_written_in_python_are_refused(other: str) -> None:
    with pytest.raises(ValueError, match="must be a name as Python has them"):
        register_label(other)


def test_what_the_application_computes_is_not_written(name: str) -> None:
    Token.set_extension(name, getter=lambda token: "O")
    with pytest.raises(ValueError, match="as the application computes it"):
        register_label(name)

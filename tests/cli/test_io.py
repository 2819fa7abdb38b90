"""Tests of `io.py`: pipelines, texts and corpora as files."""

from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc, DocBin
from spacy.training.converters import conllu_to_docs
from spacy.vocab import Vocab

from spacy_lstm_tagger.cli.io import find_files, read_corpus, read_texts, require_annotation

SENTENCE = """# text = They can't.
1\tThey\tthey\tPRON\tPRP\tNumber=Plur\t2\tnsubj\t_\t_
2-3\tcan't\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
2\tca\tcan\tAUX\tMD\t_\t0\troot\t_\t_
3\tn't\tnot\tPART\tRB\t_\t2\tadvmod\t_\t_
4\t.\t.\tPUNCT\t_\t_\t2\tpunct\t_\t_

"""


def test_conllu_is_read_as_spacy_converts_it(tmp_path: Path) -> None:
    path = tmp_path / "dev.conllu"
    path.write_text(SENTENCE * 12)
    docs = read_corpus(path, Vocab())
    expected = list(conllu_to_docs(SENTENCE * 12, n_sents=10, no_print=True))
    assert [len(doc) for doc in docs] == [len(doc) for doc in expected] == [40, 8]
    assert docs[0].text.split() == ["They", "can't."] * 10
    for token, other in zip(docs[0], expected[0], strict=True):
        assert (token.text, token.pos_) == (other.text, other.pos_)
        assert token.is_sent_start == other.is_sent_start
        assert str(token.morph) == str(other.morph)
    assert [token.tag_ for token in docs[0][:4]] == ["PRP", "MD", "RB", ""]


def test_a_folder_is_read_in_the_order_of_names(tmp_path: Path) -> None:
    (tmp_path / "b.conllu").write_text(SENTENCE)
    (tmp_path / "a.conllu").write_text(SENTENCE.replace("They", "We"))
    (tmp_path / "notes.txt").write_text("no corpus")
    docs = read_corpus(tmp_path, Vocab())
    assert [doc[0].text for doc in docs] == ["We", "They"]


@pytest.mark.parametrize("attribute", ["tag", "pos", "morph"])
def test_the_attribute_must_be_there(attribute: str) -> None:
    with pytest.raises(ValueError, match=f"x.spacy has no .*attribute = '{attribute}'"):
        require_annotation([Doc(Vocab(), words=["x"])], attribute, Path("x.spacy"))


CONLLU = """# text = They can't.
1\tThey\tthey\tPRON\tPRP\t_\t3\tnsubj\t_\t_
2-3\tcan't\t_\t_\t_\t_\t_\t_\t_\tSpaceAfter=No
2\tca\tcan\tAUX\tMD\t_\t0\troot\t_\t_
3\tn't\tnot\tPART\tRB\t_\t2\tadvmod\t_\t_
3.1\tgo\tgo\tVERB\tVB\t_\t_\t_\t_\t_
4\t.\t.\tPUNCT\t.\t_\t2\tpunct\t_\t_

1\tYes\tyes\tINTJ\tUH\t_\t0\troot\t_\tSpaceAfter=No
"""


@pytest.fixture
def write(tmp_path: Path):
    """Return a function that writes a file, and returns its path."""

    def write_file(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text, encoding="utf8")
        return tmp_path / name

    return write_file


def test_each_line_is_a_text(write) -> None:
    texts = read_texts(write("a.txt", "The dog\n\n  ate \r\nÀ"))
    assert [text.text for text in texts] == ["The dog", "ate", "À"]


def test_json_lines_keep_what_else_they_say(write) -> None:
    path = write("a.jsonl", '{"body": "The dog", "id": 3}\n\n{"body": ""}\n')
    first, second = read_texts(path, "body")
    assert (first.text, first.record) == ("The dog", {"body": "The dog", "id": 3})
    assert second.text == ""


def test_conllu_gives_words_and_spaces(write) -> None:
    first, second = read_texts(write("a.conllu", CONLLU))
    doc = first.to_doc(spacy.blank("xx"))
    assert [token.text for token in doc] == ["They", "ca", "n't", "."]
    assert doc.text == "They can't. "
    assert len(list(doc.sents)) == 1
    assert second.to_doc(spacy.blank("xx")).text == "Yes"


def test_a_docbin_gives_words_and_sentences_alone(tmp_path: Path) -> None:
    starts = [True, False, True]
    doc = Doc(Vocab(), words=["a", "b", "c"], tags=["X"] * 3, sent_starts=starts)
    DocBin(docs=[doc, Doc(Vocab(), words=["d", "e"])]).to_disk(tmp_path / "a.spacy")
    first, second = (text.to_doc(spacy.blank("xx")) for text in read_texts(tmp_path / "a.spacy"))
    assert [sent.text for sent in first.sents] == ["a b", "c"]
    assert not first.has_annotation("TAG")
    assert not second.has_annotation("SENT_START")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.jsonl", '{"text": "x"}\n{"txt": 1}', "line 2 has no text under the key 'text'"),
        ("a.jsonl", '{"text": 1}', "line 1 has no text"),
        ("a.jsonl", "[1]", "line 1 has no text"),
        ("a.jsonl", "\n{", "line 2 is no JSON"),
        ("a.conllu", "# text\n1\tx\n", "line 2 is no CoNLL-U: it has 2 columns instead of 10"),
        ("a.spacy", "x", "is no DocBin"),
    ],
)
def test_a_broken_file_is_named_with_its_line(write, name: str, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"{name}.*{message}"):
        list(read_texts(write(name, text)))


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes("À".encode("latin1"))
    with pytest.raises(ValueError, match="is no text in UTF-8"):
        list(read_texts(tmp_path / "a.txt"))


def test_folders_are_searched(write, tmp_path: Path) -> None:
    (tmp_path / "b").mkdir()
    paths = [write("b/x.txt", ""), write("a.txt", ""), write(".hidden", "")]
    found = find_files([tmp_path, paths[0]])
    assert found == [
        (paths[1], Path("a.txt")),
        (paths[0], Path("b/x.txt")),
        (paths[0], Path("x.txt")),
    ]

"""Tests of `io.py`: pipelines, texts and corpora as files."""

import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import spacy
from spacy.tokens import Doc, DocBin
from spacy.training.converters import conllu_to_docs
from spacy.vocab import Vocab

from spacy_lstm_tagger.cli.io import (
    find_files,
    load_pipeline,
    read_corpus,
    read_texts,
    require_annotation,
    require_known_labels,
)

MARK = "\ufeff"
TAIL = "\t_" * 6
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


@pytest.fixture
def write(tmp_path: Path):
    """Return a function that writes a file, and returns its path."""

    def write_file(name: str, text: str) -> Path:
        (tmp_path / name).write_text(text, encoding="utf8")
        return tmp_path / name

    return write_file


def test_each_line_is_a_text(write) -> None:
    texts = list(read_texts(write("a.txt", "The dog\n\n  ate \r\nÀ")))
    assert [text.text for text in texts] == ["The dog", "ate", "À"]
    assert texts[1].where.endswith("a.txt, line 3")


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("mark", ["", MARK])
@pytest.mark.parametrize("upper", [False, True])
@pytest.mark.parametrize("suffix", [".txt", ".jsonl", ".conllu"])
def test_marks_line_ends_and_case_change_nothing(
    suffix: str, upper: bool, mark: str, end: str, tmp_path: Path
) -> None:
    row = "\t".join(["1", "{}", *"________"])
    lines = {
        ".txt": ["The", "dog"],
        ".jsonl": ['{"text": "The"}', '{"text": "dog"}'],
        ".conllu": ["# text = The", row.format("The"), "", row.format("dog"), ""],
    }[suffix]
    path = tmp_path / f"a{suffix.upper() if upper else suffix}"
    content = mark + end.join([*lines, ""])
    path.write_bytes((content * 2).encode())  # as files are joined
    texts = list(read_texts(path))
    assert [text.text for text in texts] == ["The", "dog"] * 2
    assert not any(text.error for text in texts)
    assert (texts[0].words is None) is (suffix != ".conllu")


def test_a_docbin_gives_words_and_sentences_alone(tmp_path: Path) -> None:
    starts = [True, False, True]
    doc = Doc(Vocab(), words=["a", "b", "c"], tags=["X"] * 3, sent_starts=starts)
    DocBin(docs=[doc, Doc(Vocab(), words=["d", "e"])]).to_disk(tmp_path / "a.spacy")
    texts = list(read_texts(tmp_path / "a.spacy"))
    first, second = (text.to_doc(spacy.blank("xx")) for text in texts)
    assert [sent.text for sent in first.sents] == ["a b", "c"]
    assert not first.has_annotation("TAG")
    assert not second.has_annotation("SENT_START")
    assert texts[1].where.endswith("a.spacy, Doc 2")


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [("a.spacy", b"x", "is no DocBin"), ("a.txt", "dog".encode("utf-16"), "a.txt is in UTF-16")],
)
def test_a_file_that_cannot_be_read_is_named(
    tmp_path: Path, name: str, content: bytes, message: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(ValueError, match=message):
        list(read_texts(tmp_path / name))


@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.conllu"])
def test_other_encodings_spoil_their_own_text_only(tmp_path: Path, name: str) -> None:
    row = "1\t{}" + "\t_" * 8 + "\n\n"
    template = {"a.txt": "{}\n", "a.jsonl": '{{"text": "{}"}}\n', "a.conllu": row}[name]
    lines = [template.format("Voilà").encode(coding) for coding in ("utf8", "latin1", "utf8")]
    (tmp_path / name).write_bytes(b"".join(lines))
    texts = list(read_texts(tmp_path / name))
    assert [bool(text.error) for text in texts] == [False, True, False]
    assert texts[1].error == "it is not UTF-8: it has the byte 0xe0"


def test_bytes_that_are_read_are_counted(write, tmp_path: Path) -> None:
    path = write("a.txt", "The dog\n" * 10_000)
    counts = [text.position for text in read_texts(path)]
    assert (len(counts), counts[-1]) == (10_000, path.stat().st_size)
    assert counts == sorted(counts) and counts[0] < counts[-1]
    DocBin(docs=[Doc(Vocab(), words=["a"])] * 4).to_disk(tmp_path / "a.spacy")
    size = (tmp_path / "a.spacy").stat().st_size
    counts = [text.position for text in read_texts(tmp_path / "a.spacy")]
    assert counts == [size * n // 4 for n in (1, 2, 3, 4)]


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="needs pipes with names")
def test_a_pipe_is_read_as_a_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with ThreadPoolExecutor(1) as pool:
        pool.submit((tmp_path / "pipe").write_bytes, b"The dog\nate\n")
        texts = [text.text for text in read_texts(tmp_path / "pipe")]
    assert texts == ["The dog", "ate"]


def test_folders_are_searched(write, tmp_path: Path) -> None:
    for folder in ("b", ".hidden", "b/out", "b/.git"):
        (tmp_path / folder).mkdir()
    paths = [write("b/x.txt", ""), write("a.txt", ""), write(".hidden.txt", "")]
    for name in (".hidden/a.txt", "b/out/x.txt", "b/.git/x.txt"):
        write(name, "")
    found = find_files([tmp_path, paths[0]], output=tmp_path / "b" / ".." / "b" / "out")
    assert found == [
        (paths[1], Path("a.txt")),
        (paths[0], Path("b/x.txt")),
        (paths[0], Path("x.txt")),
    ]


def test_a_hidden_folder_that_is_named_is_searched(tmp_path: Path) -> None:
    (tmp_path / ".texts").mkdir()
    (tmp_path / ".texts" / "a.txt").write_text("")
    assert find_files([tmp_path / ".texts"]) == [(tmp_path / ".texts" / "a.txt", Path("a.txt"))]
    with pytest.raises(ValueError, match="the folders have no files"):
        find_files([tmp_path])


def test_a_corpus_of_comments_has_no_docs(write, tmp_path: Path) -> None:
    path = write("a.conllu", "# nothing\n\n" + SENTENCE + "# nothing again\n\n")
    assert [len(doc) for doc in read_corpus(path, Vocab())] == [4]
    with pytest.raises(ValueError, match="has no annotated Docs"):
        read_corpus(write("b.conllu", "# nothing\n"), Vocab())


def test_a_damaged_corpus_is_named_with_its_line(write) -> None:
    path = write("a.conllu", SENTENCE + SENTENCE.rstrip() + "\n" + SENTENCE)
    with pytest.raises(ValueError, match=r"a.conllu, line 15: its number is '1' after 4 words"):
        read_corpus(path, Vocab())


def test_multiword_tokens_can_be_one_token(write) -> None:
    rows = ["1-2\tau", "1\tà", "2\tle", "3-4\tcan't", "3\tca", "4\tn't"]
    path = write("a.conllu", "".join(f"{row}\t_\tX{TAIL}\n" for row in rows))
    (words,) = read_corpus(path, Vocab())
    (written,) = read_corpus(path, Vocab(), as_written=True)
    assert [token.text for token in words] == ["à", "le", "ca", "n't"]
    assert [(token.text, token.pos_) for token in written] == [
        ("au", ""),
        ("ca", "X"),
        ("n't", "X"),
    ]
    assert written.text == "au can't "


def docs_with(*tags: str) -> list[Doc]:
    return [Doc(Vocab(), words=["x"] * len(tags), tags=list(tags))]


def test_a_corpus_with_other_labels_than_the_pipeline_is_refused() -> None:
    message = r"no label in common: the corpus has DT, NN; the pipeline has DET, NOUN.*tag set"
    with pytest.raises(ValueError, match=message):
        require_known_labels(docs_with("NN", "DT", "NN"), "tag", ["DET", "NOUN"])


def test_labels_that_the_pipeline_lacks_are_named(capsys: pytest.CaptureFixture) -> None:
    require_known_labels(docs_with("NN", "NN", "X", "NN"), "tag", ["NN", "DT"])
    said = " ".join(capsys.readouterr().out.split())
    assert "lacks 1 label of the corpus, so 25.00% of its tokens can't be right: X (1)" in said
    require_known_labels(docs_with("NN", "DT", ""), "tag", ["NN", "DT"])
    assert capsys.readouterr().out == ""


@pytest.mark.parametrize(("label", "hint"), [("-", True), ("NN", False)])
def test_one_label_in_a_whole_corpus_is_named(
    label: str, hint: bool, capsys: pytest.CaptureFixture
) -> None:
    require_known_labels(docs_with(label, label, ""), "tag", [label, "X"])
    said = " ".join(capsys.readouterr().out.split())
    assert f"all 2 tokens that have a label have '{label}'" in said
    assert ("spacy convert -c iob" in said) is hint


def test_a_pipeline_that_isnt_there() -> None:
    with pytest.raises(ValueError, match="there is no pipeline nowhere: neither a folder nor"):
        load_pipeline("nowhere")


@pytest.mark.parametrize("kind", ["factory", "architecture"])
def test_a_pipeline_that_cant_be_loaded_says_what_it_lacks(kind: str, tmp_path: Path) -> None:
    nlp = spacy.blank("xx")
    nlp.add_pipe("tagger")
    nlp.to_disk(tmp_path)
    config = (tmp_path / "config.cfg").read_text()
    old, new = {
        "factory": ('factory = "tagger"', 'factory = "of_a_missing_package"'),
        "architecture": ("spacy.Tagger.v2", "of_a_missing_package"),
    }[kind]
    (tmp_path / "config.cfg").write_text(config.replace(old, new))
    with pytest.raises(ValueError) as caught:
        load_pipeline(str(tmp_path))
    message = str(caught.value)
    assert message.startswith(f"the pipeline {tmp_path} can't be loaded: ")
    assert "of_a_missing_package" in message
    assert message.endswith(". If a Python file of yours defines it, add --code FILE")
    assert "Available" not in message


def test_a_damaged_pipeline_is_named(saved_pipeline: Path, tmp_path: Path) -> None:
    shutil.copytree(saved_pipeline, tmp_path, dirs_exist_ok=True)
    (tmp_path / "lstm_tagger" / "model").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"can't be loaded: .*model") as caught:
        load_pipeline(str(tmp_path))
    assert "--code" not in str(caught.value)

"""Tests of `tables.py`: each kind of table, and what is wrong with one."""

from collections.abc import Callable
from pathlib import Path

import pytest

from spacy_lstm_tagger.cli.tables import Columns, read_table

WORDS = [["play", "jazz"], ["I", "like", "Miles"]]
LABELS = [["O", "B-genre"], ["O", "O", "B-artist"]]
CONLL = """-DOCSTART- -X- -X- O

EU NNP I-NP I-ORG
rejects VBZ I-VP O

German JJ I-NP I-MISC

-DOCSTART- -X- -X- O

Peter NNP I-NP I-PER
"""

Write = Callable[[str, str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Return a function that writes a file, and returns its path."""

    def write_file(name: str, text: str) -> Path:
        with (tmp_path / name).open("w", encoding="utf8", newline="") as file:
            file.write(text)
        return tmp_path / name

    return write_file


@pytest.mark.parametrize(
    ("name", "text", "columns"),
    [
        ("a.tsv", "play\tO\njazz\tB-genre\n\nI\tO\nlike\tO\nMiles\tB-artist\n", {}),
        ("a.tsv", "token\tlabel\nplay\tO\njazz\tB-genre\n\n\nI\tO\nlike\tO\nMiles\tB-artist", {}),
        (
            "a.tsv",
            "\ufeffToken\tIOB\r\nplay\tO\r\njazz\tB-genre\r\n\r\nI\tO\r\nlike\tO\r\nMiles\tB-artist\r\n",
            {},
        ),
        ("a.tsv", "play\tO\njazz\tB-genre\n\u3000\nI\tO\nlike\tO\nMiles\tB-artist\n", {}),
        (
            "a.tsv",
            '"token"\t"label"\n"play"\t"O"\n"jazz"\t"B-genre"\n\n'
            '"I"\t"O"\n"like"\t"O"\n"Miles"\t"B-artist"\n',
            {},
        ),
        ("a.csv", "play,O\njazz,B-genre\n,\nI,O\nlike,O\nMiles,B-artist\n", {}),
        (
            "a.csv",
            "Wort;Slot\nplay;O\njazz;B-genre\n\nI;O\nlike;O\nMiles;B-artist\n",
            {"word": "Wort", "label": "slot"},
        ),
        (
            "a.csv",
            "O,play\nB-genre,jazz\n\nO,I\nO,like\nB-artist,Miles\n",
            {"word": "2", "label": "1"},
        ),
        (
            "a.csv",
            "Sentence #,Word,POS,Tag\nSentence: 1,play,VB,O\n,jazz,NN,B-genre\n"
            "Sentence: 2,I,PRP,O\n,like,VBP,O\n,Miles,NNP,B-artist\n",
            {},
        ),
        (
            "a.csv",
            "id,t,l\n1,play,O\n1,jazz,B-genre\n2,I,O\n2,like,O\n2,Miles,B-artist\n",
            {"word": "t", "label": "l", "sentence": "id"},
        ),
        (
            "a.conll",
            "# id 1\nplay _ _ O\njazz _ _ B-genre\n\n"
            "# id 2\nI _ _ O\nlike _ _ O \nMiles _ _ B-artist\n",
            {},
        ),
        ("a.iob", "play|VB|O jazz|NN|B-genre\nI|PRP|O like|VBP|O Miles|NNP|B-artist\n", {}),
        ("a.iob", "play|O jazz|B-genre\n\nI|O like|O Miles|B-artist\n", {}),
        (
            "a.conll",
            "# sent_id = 1\nplay _ _ O\njazz _ _ B-genre\n\n"
            "# sent_id = 2\nI _ _ O\nlike _ _ O\nMiles _ _ B-artist\n",
            {},
        ),
        (
            "a.tsv",
            "id\ttoken\tlabel\n1\tplay\tO\n1\tjazz\tB-genre\n2\tI\tO\n2\tlike\tO\n"
            "2\tMiles\tB-artist\n",
            {"sentence": "1"},
        ),
    ],
)
def test_each_kind_of_table_gives_the_same_sentences(
    write: Write, name: str, text: str, columns: dict[str, str]
) -> None:
    documents = list(read_table(write(name, text), Columns(**columns)))
    assert [document.words for document in documents] == WORDS
    assert [document.labels for document in documents] == LABELS
    assert [document.starts for document in documents] == [[True, False], [True, False, False]]
    assert all(document.spaces is None for document in documents)


def test_conll_2003_has_documents_of_several_sentences(write: Write) -> None:
    first, second = read_table(write("a.txt", CONLL), Columns())
    assert first.words == ["EU", "rejects", "German"]
    assert first.labels == ["I-ORG", "O", "I-MISC"]
    assert first.starts == [True, False, True]
    assert first.places[2].endswith("a.txt, line 6")
    assert second.words == ["Peter"]


@pytest.mark.parametrize(
    "text",
    [
        "-DOCSTART-\n\na O\n\nb B-x\n\n-DOCSTART-\n\nc O\n",
        "1 -DOCSTART- O\n\n2 a O\n\n3 b B-x\n\n1 -DOCSTART- O\n2 c O\n",
    ],
)
def test_documents_begin_in_any_column(write: Write, text: str) -> None:
    column = "2" if text[0] == "1" else "1"
    documents = list(read_table(write("a.txt", text), Columns(word=column)))
    assert [document.words for document in documents] == [["a", "b"], ["c"]]


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("token\tlang\na\tEN\nb\tFR\n", ["a", "b"]),
        ("mot\ttag\na\tEN\nb\tFR\n", ["a", "b"]),
        ("Word\tEN\na\tEN\nb\tFR\n", ["Word", "a", "b"]),
        ("Text\tB-x\na\tO\n", ["Text", "a"]),
        ("Word\tO\na\tB-x\nb\tI-x\n", ["Word", "a", "b"]),
        ("Tag\tO\na\tB-x\nb\tO\n", ["Tag", "a", "b"]),
    ],
)
def test_a_first_row_of_names_is_told_from_one_of_a_word(
    write: Write, text: str, words: list[str]
) -> None:
    (document,) = read_table(write("a.tsv", text), Columns())
    assert document.words == words


def test_another_column_has_other_labels(write: Write) -> None:
    first, _ = read_table(write("a.txt", CONLL), Columns(label="2"))
    assert first.labels == ["NNP", "VBZ", "JJ"]


@pytest.mark.parametrize(
    ("name", "row", "word"),
    [
        ("a.tsv", '"\tO', '"'),
        ("a.csv", '"""",O', '"'),
        ("a.csv", '",",O', ","),
        ("a.csv", ";;,O", ";;"),
        ("a.csv", "#,O", "#"),
        ("a.txt", "# O", "#"),
        ("a.txt", "a\u00a0b O", "a\u00a0b"),
        ("a.txt", "a\u2028b O", "a\u2028b"),
        ("a.tsv", "New York\tO", "New York"),
        ("a.iob", "| O", "|"),
        ("a.tsv", '""""\tO', '"'),
        ("a.tsv", '"a""b"\tO', 'a"b'),
        ("a.tsv", '""\tO', '""'),
        ("a.tsv", '"a"\tO', '"a"'),
        ("a.tsv", "\u3000\tO", "\u3000"),
        ("a.txt", "\u3000 O", "\u3000"),
        ("a.csv", "\u3000 , O\u3000", "\u3000"),
        ("a.txt", "#x O", "#x"),
    ],
)
def test_odd_words_are_words(write: Write, name: str, row: str, word: str) -> None:
    separator = {".csv": ",", ".tsv": "\t"}.get(Path(name).suffix, " ")
    text = f"first{separator}O\n{row}\nlast{separator}B-x\n"
    (document,) = read_table(write(name, text), Columns())
    assert document.words == ["first", word, "last"]


@pytest.mark.parametrize(
    ("name", "text", "columns", "message"),
    [
        ("a.tsv", "a\tO\nb\tO\tO\n", {}, "line 2 has 3 columns, but line 1 has 2 columns"),
        ("a.csv", "\n\na,O\n\nb\n", {}, "line 5 has 1 column, but line 3 has 2 columns"),
        ("a.tsv", "a\tO\n\tO\n", {}, "line 2 has no word in column 1"),
        ("a.tsv", "a\tO\nb\t\n", {}, "line 2 has no label in column 2"),
        ("a.tsv", "a\tO\nb\t\u3000\n", {}, "line 2 has no label in column 2"),
        ("a.tsv", "a\tO\n \tO\n", {}, "line 2 has no word in column 1"),
        ("a.tsv", "a\tO\t\nb\tO\t\n", {}, "line 1 has no label in column 3"),
        ("a.iob", "play|O jazz|O\nI|O like\n", {}, "line 2 has 1 column, but line 1 has 2"),
        (
            "a.tsv",
            "token\tlabel\na\tEN\n\ntoken\tlabel\nb\tFR\n",
            {},
            "line 4 has the names of the columns again, as line 1 does",
        ),
        ("a.csv", "word,tag,Tag\na,X,O\n", {}, "line 1: several columns have the name 'Tag'"),
        ("a.csv", "w,x,X\na,X,O\n", {"label": "x"}, "line 1: several columns have the name 'X'"),
        ("a.csv", "a,O\n", {"sentence": "2"}, "and column 2 has two of them"),
        ("a.txt", "-DOCSTART- O\n", {}, "has no rows"),
        ("a.tsv", "a\tO\n", {"label": "3"}, "has no column 3: it has 2 columns"),
        ("a.tsv", "a\tO\n", {"label": "0"}, "has no column 0"),
        ("a.tsv", "w\tl\na\tO\n", {"label": "tag"}, "has no column 'tag': line 1 has w, l"),
        ("a.tsv", "a\nb\n", {}, "line 1: words, labels .* and column 1 has two of them"),
        (
            "a.csv",
            "1,a,O\n2,b,O\n1,c,O\n",
            {"word": "2", "sentence": "1"},
            "line 3 belongs to the sentence '1', which ended before line 2",
        ),
        (
            "a.csv",
            ",a,O\n2,b,O\n",
            {"word": "2", "sentence": "1"},
            "line 1 has no sentence in column 1",
        ),
        ("a.csv", 'a,O\n",O\nb,O\n",O\n', {}, "line 2 has a cell that ends in line 4"),
        ("a.csv", 'a,O\n"b"c,O\n', {}, "line 2 is no CSV"),
        ("a.csv", "", {}, "has no rows"),
        ("a.tsv", "\n \n", {}, "has no rows"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(
    write: Write, name: str, text: str, columns: dict[str, str], message: str
) -> None:
    with pytest.raises(ValueError, match=f"{name}.*{message}"):
        list(read_table(write(name, text), Columns(**columns)))


def test_other_encodings_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes("a,O\r\nÀ,O\r\n".encode("latin1"))
    with pytest.raises(ValueError, match=r"a\.csv, line 2 is no text in UTF-8"):
        list(read_table(tmp_path / "a.csv", Columns()))

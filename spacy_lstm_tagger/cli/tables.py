"""Tables of tokens and labels: CSV, TSV, CoNLL and IOB files."""

import csv
import re
from collections.abc import Iterator
from io import StringIO
from pathlib import Path
from typing import NamedTuple

from ..pipeline.spans import OUTSIDE

WORD_NAMES = {"form", "text", "token", "tokens", "word", "words"}
SENTENCE_NAMES = {"sent", "sent_id", "sentence", "sentence #", "sentence_id", "sentence id"}
LABEL_NAMES = {
    *("bio", "chunk", "iob", "iob_tag", "label", "labels", "ner", "ner_tag", "ner_tags"),
    *("pos", "slot", "slots", "tag", "tags", "upos", "xpos"),
}
QUOTATION = 'As a token, a quotation mark is written """" in CSV.'
DOCUMENT = "-DOCSTART-"  # begins a document in CoNLL-2003
COMMENT = re.compile(r"# ?\S+ = ")  # as in CoNLL-U
QUOTED = re.compile(r'"(?:[^"]|"")*"')  # a cell in quotation marks


class Labelled(NamedTuple):
    """A document with a label for each token.

    words: The tokens.
    labels: The label of each token; "" for whitespace.
    places: Where each token stands, for messages.
    spaces: Whether a space follows each token; None if the file doesn't tell.
    starts: Whether each token begins a sentence; None if the file doesn't tell.
    """

    words: list[str]
    labels: list[str]
    places: list[str]
    spaces: list[bool] | None = None
    starts: list[bool] | None = None


class Columns(NamedTuple):
    """Columns of a table: numbers from 1, or names in its first row.

    word: By default the column of a usual name, or the first one.
    label: By default the last column of a usual name, or the last one.
    sentence: The column that says to which sentence a token belongs; by default that of a usual
        name. Without one, blank lines separate sentences.
    """

    word: str | None = None
    label: str | None = None
    sentence: str | None = None


class Row(NamedTuple):
    """A row: its line in the file, and its cells; no cells for a blank line."""

    line: int
    cells: list[str]


def read_table(path: Path, columns: Columns) -> Iterator[Labelled]:
    """Read a table.

    path (Path): The file. By its name, .csv or .tsv; in any other, columns are separated by tabs,
        or else by spaces. A file of lines like "Play|O jazz|B-genre" is read, too.
    columns (Columns): Which columns are read.
    YIELDS (Labelled): Each document, if a line -DOCSTART- begins each; or else each sentence.
    RAISES: ValueError if the rows have different numbers of columns, if the names of columns can
        mean several, if a row lacks word or label, if a sentence is in two places, or if the file
        isn't what its name says.
    """
    rows = list(_read_rows(path))
    filled = [row for row in rows if row.cells and DOCUMENT not in row.cells]
    if not filled:
        raise ValueError(f"{path} has no rows")
    first = filled[0]
    for row in filled:
        if len(row.cells) != len(first.cells):
            raise ValueError(
                f"{path}, line {row.line} has {_columns(len(row.cells))}, but line {first.line} "
                f"has {_columns(len(first.cells))}"
            )
    has_header = _has_header(filled, columns)
    if has_header:
        rows.remove(first)
        for row in filled[1:]:
            if row.cells == first.cells:
                raise ValueError(
                    f"{path}, line {row.line} has the names of the columns again, as line "
                    f"{first.line} does: remove it"
                )
    yield from _documents(path, rows, *_find_columns(path, first, columns, has_header))


def read_utf8(path: Path) -> str:
    """Return the text of a file, with lines that end in "\\n"; ValueError if it isn't in UTF-8."""
    content = path.read_bytes()
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{path}, line {line} is no text in UTF-8: {error}") from error
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _read_rows(path: Path) -> Iterator[Row]:
    text = read_utf8(path)
    is_csv = path.suffix.lower() == ".csv"
    if is_csv or _is_quoted(text):
        yield from _read_csv(path, text, ",;\t" if is_csv else "\t")
        return
    lines = text.split("\n")
    content = [line for line in lines if line.strip() and not line.startswith("#")]
    if content and all(set("|") <= set(token) for token in content[0].split()):
        n_bars = min(token.count("|") for token in text.split() if "|" in token)
        for number, line in enumerate(lines, 1):
            yield from (Row(number, token.rsplit("|", n_bars)) for token in line.split())
            yield Row(number, [])
        return
    by_tabs = path.suffix.lower() == ".tsv" or any("\t" in line for line in content[:1])
    split = re.compile("\t" if by_tabs else "[ \t]+").split
    n_columns = {len(split(line.strip(" "))) for line in content if not line.startswith(DOCUMENT)}
    for number, line in enumerate(lines, 1):
        cells = [_trim(cell) for cell in split(line.strip(" "))]
        is_comment = line.startswith("#") and (
            len(cells) not in n_columns or (not by_tabs and COMMENT.match(line) is not None)
        )
        if not is_comment:
            yield Row(number, cells if any(map(str.strip, cells)) else [])


def _is_quoted(text: str) -> bool:
    """Return whether a table with tabs has its cells in quotation marks, as in CSV: all of the
    first line, or those that have such marks, which are doubled.
    """
    lines = [line.split("\t") for line in text.split("\n") if "\t" in line]
    marked = [cell for cells in lines for cell in cells if '"' in cell]
    if not marked or not all(map(QUOTED.fullmatch, marked)):
        return False
    return any('""' in cell[1:-1] for cell in marked) or all('"' in cell for cell in lines[0])


def _read_csv(path: Path, text: str, delimiters: str) -> Iterator[Row]:
    lines = text.split("\n", 1_000)[:1_000]
    delimiter = max(delimiters, key=lambda one: sum(one in line for line in lines))
    reader = csv.reader(StringIO(text, newline=""), delimiter=delimiter, strict=True)
    while True:
        number = reader.line_num + 1
        try:
            cells = [_trim(cell) for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            raise ValueError(f"{path}, line {number} is no CSV: {error}. {QUOTATION}") from error
        if any("\n" in cell for cell in cells):
            raise ValueError(
                f"{path}, line {number} has a cell that ends in line {reader.line_num}. {QUOTATION}"
            )
        yield Row(number, cells if any(map(str.strip, cells)) else [])


def _has_header(rows: list[Row], columns: Columns) -> bool:
    """Return whether the first row names the columns: if it has usual names of words and of labels,
    or only one of them, and its label is a name that no other row has as a label.
    """
    if any(column and not column.isdecimal() for column in columns):
        return True
    cells = rows[0].cells
    names = {cell.lower() for cell in cells}
    n_usual = sum(not names.isdisjoint(usual) for usual in (WORD_NAMES, LABEL_NAMES))
    if n_usual != 1:
        return n_usual == 2
    label = int(columns.label or len(cells)) - 1
    if not 0 <= label < len(cells):
        return False
    is_name = cells[label].isidentifier() and cells[label] != OUTSIDE
    return is_name and all(row.cells[label] != cells[label] for row in rows[1:])


def _find_columns(
    path: Path, first: Row, columns: Columns, has_header: bool
) -> tuple[int, int, int | None]:
    """Return the columns of words, labels and sentences."""
    names = [cell.lower() for cell in first.cells]

    def find(column: str | None, usual: set[str], otherwise: int) -> int:
        if column is not None and column.isdecimal():
            if not 1 <= int(column) <= len(names):
                raise ValueError(f"{path} has no column {column}: it has {_columns(len(names))}")
            return int(column) - 1
        wanted = usual if column is None else {column.lower()}
        known = [i for i, name in enumerate(names) if name in wanted] if has_header else []
        if not known and column is not None:
            raise ValueError(
                f"{path} has no column {column!r}: line {first.line} has {', '.join(first.cells)}"
            )
        if known and names.count(names[known[-1]]) > 1:
            raise ValueError(
                f"{path}, line {first.line}: several columns have the name "
                f"{first.cells[known[-1]]!r}; choose one by its number"
            )
        return known[-1] if known else otherwise

    word = find(columns.word, WORD_NAMES, 0)
    label = find(columns.label, LABEL_NAMES, len(names) - 1)
    sentence = find(columns.sentence, SENTENCE_NAMES, -1)
    if len({word, label, sentence}) < 3:
        twice = word if word in (label, sentence) else label
        raise ValueError(
            f"{path}, line {first.line}: words, labels and sentences must be in different columns, "
            f"and column {twice + 1} has two of them; choose columns by --word, --label and "
            "--sentence"
        )
    return word, label, None if sentence < 0 else sentence


def _documents(
    path: Path, rows: list[Row], word: int, label: int, sentence: int | None
) -> Iterator[Labelled]:
    has_documents = any(DOCUMENT in row.cells for row in rows)
    document = Labelled([], [], [], starts=[])
    ended: dict[str, int] = {}  # the line after each sentence
    current, begins = "", True  # the sentence, and whether the next row begins one
    for row in rows:
        begins_document = DOCUMENT in row.cells
        if begins_document or (not row.cells and sentence is None):
            begins = True
        elif row.cells and sentence is not None and row.cells[sentence] not in ("", current):
            ended[current] = row.line
            current, begins = row.cells[sentence], True
            if current in ended:
                raise ValueError(
                    f"{path}, line {row.line} belongs to the sentence {current!r}, which ended "
                    f"before line {ended[current]}; sort the table by sentences"
                )
        if begins and document.words and (begins_document or not has_documents):
            yield document
            document = Labelled([], [], [], starts=[])
        if begins_document or not row.cells:
            continue
        if sentence is not None and not current:
            raise ValueError(f"{path}, line {row.line} has no sentence in column {sentence + 1}")
        _append(document, path, row, word, label, begins)
        begins = False
    if document.words:
        yield document


def _append(document: Labelled, path: Path, row: Row, word: int, label: int, begins: bool) -> None:
    for column, kind in ((word, "word"), (label, "label")):
        if not row.cells[column] or (kind == "label" and row.cells[column].isspace()):
            raise ValueError(f"{path}, line {row.line} has no {kind} in column {column + 1}")
    document.words.append(row.cells[word])
    document.labels.append(row.cells[label])
    document.places.append(f"{path}, line {row.line}")
    assert document.starts is not None
    document.starts.append(begins)


def _trim(cell: str) -> str:
    """Return a cell without spaces around it. Other whitespace can be a word by itself."""
    return cell.strip() or cell.strip(" ")


def _columns(n: int) -> str:
    return "1 column" if n == 1 else f"{n} columns"

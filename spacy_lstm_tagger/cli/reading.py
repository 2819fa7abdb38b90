"""Files in, texts out, one after another: what they say, in words if they have any."""

from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import srsly
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

N_COLUMNS = 10  # of a CoNLL-U line


class Text(NamedTuple):
    """A text of a file.

    text: The text itself; "" if there are words.
    words, spaces: Its words, and whether a space follows each; none if the file has no words.
    starts: Whether each word begins a sentence; none if the file doesn't tell.
    record: What else the file says: the keys of a JSON line; the lines of a CoNLL-U sentence.
    """

    text: str
    words: list[str] | None = None
    spaces: list[bool] | None = None
    starts: list[bool] | None = None
    record: Any = None

    def to_doc(self, nlp: Language) -> Doc:
        """Return a Doc with the words of the file, or else with those of the tokenizer."""
        if self.words is None:
            return nlp.make_doc(self.text)
        starts: Any = self.starts
        return Doc(nlp.vocab, words=self.words, spaces=self.spaces, sent_starts=starts)


def read_texts(path: Path, text_key: str = "text") -> Iterator[Text]:
    """Read the texts of a file; by its name, a JSONL, CoNLL-U or DocBin file, or one with a text in
    each line that is not blank. Only of a DocBin more than a text at a time is in memory.

    path (Path): The file.
    text_key (str): Where a JSON line has its text.
    YIELDS (Text): The texts.
    RAISES: ValueError if the file isn't what its name says.
    """
    if path.suffix == ".spacy":
        yield from _read_docbin(path)
        return
    read: Callable[..., Iterator[Text]] = _read_lines
    if path.suffix == ".jsonl":
        read = _read_jsonl
    elif path.suffix == ".conllu":
        read = _read_conllu
    with path.open(encoding="utf8") as lines:
        try:
            yield from read(lines, path, text_key)
        except UnicodeDecodeError as error:
            raise ValueError(f"{path} is no text in UTF-8: {error}") from error


def find_files(paths: Iterable[Path]) -> list[tuple[Path, Path]]:
    """Return all files of some paths, and the name of each below the path that it was found by.

    RAISES: ValueError if a path doesn't exist, or if there are no files.
    """
    found = []
    for path in paths:
        if not path.exists():
            raise ValueError(f"there is no {path}")
        if path.is_dir():
            files = sorted(file for file in path.rglob("*") if file.is_file())
            found += [(file, file.relative_to(path)) for file in files if file.name[0] != "."]
        else:
            found.append((path, Path(path.name)))
    if not found:
        raise ValueError("the folders have no files")
    return found


def read_docbin(path: Path, vocab: Vocab) -> Iterator[Doc]:
    """Yield the Docs of a DocBin; ValueError if the file is none."""
    try:
        docs = DocBin().from_disk(path)
    except Exception as error:  # a damaged file may raise whatever its bytes happen to mean
        raise ValueError(f"{path} is no DocBin: {error}") from error
    yield from docs.get_docs(vocab)


def _read_docbin(path: Path) -> Iterator[Text]:
    for doc in read_docbin(path, Vocab()):
        has_sentences = doc.has_annotation("SENT_START")
        yield Text(
            "",
            words=[token.text for token in doc],
            spaces=[bool(token.whitespace_) for token in doc],
            starts=[bool(token.is_sent_start) for token in doc] if has_sentences else None,
        )


def _read_lines(lines: Iterable[str], path: Path, text_key: str) -> Iterator[Text]:
    for line in lines:
        if text := line.strip():
            yield Text(text)


def _read_jsonl(lines: Iterable[str], path: Path, text_key: str) -> Iterator[Text]:
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            record = srsly.json_loads(line)
        except ValueError as error:
            raise ValueError(f"{path}, line {number} is no JSON: {error}") from error
        if not isinstance(record, dict) or not isinstance(record.get(text_key), str):
            raise ValueError(f"{path}, line {number} has no text under the key {text_key!r}")
        yield Text(record[text_key], record=record)


def _read_conllu(lines: Iterable[str], path: Path, text_key: str) -> Iterator[Text]:
    sentence: list[str] = []
    for number, line in enumerate(lines, 1):
        if line.strip():
            sentence.append(line.rstrip("\n"))
            if line[0] != "#" and line.count("\t") != N_COLUMNS - 1:
                raise ValueError(
                    f"{path}, line {number} is no CoNLL-U: it has {line.count(chr(9)) + 1} "
                    f"columns instead of {N_COLUMNS}"
                )
        elif sentence:
            yield _of_sentence(sentence)
            sentence = []
    if sentence:
        yield _of_sentence(sentence)


def _of_sentence(lines: list[str]) -> Text:
    """Read the words of a CoNLL-U sentence: the parts of a multiword token, not the token itself,
    and no empty nodes.
    """
    words: list[str] = []
    spaces: list[bool] = []
    end, has_space = 0, True  # of the last multiword token
    for line in lines:
        if line[0] == "#":
            continue
        number, word, *_, misc = line.split("\t")
        followed = "SpaceAfter=No" not in misc
        if "-" in number:
            end, has_space = int(number.split("-")[1]), followed
        elif "." not in number:
            words.append(word)
            spaces.append(followed if len(words) > end else has_space and len(words) == end)
    starts = [i == 0 for i in range(len(words))]
    return Text("", words=words, spaces=spaces, starts=starts, record=lines)

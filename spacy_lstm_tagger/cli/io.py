"""Read and write files: pipelines, texts and corpora."""

import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple

import spacy
import srsly
from spacy.language import Language
from spacy.tokens import Doc, DocBin, Span, Token
from spacy.vocab import Vocab
from tqdm import tqdm

N_COLUMNS = 10  # of a CoNLL-U line
SENTENCES_PER_DOC = 10  # of CoNLL-U, as `spacy convert -n 10` makes them
ATTRIBUTES = {"tag": "tags", "pos": "parts of speech", "morph": "morphological features"}

# The columns of CoNLL-U that spaCy's annotation goes to.
COLUMNS = {2: "LEMMA", 3: "POS", 4: "TAG", 5: "MORPH", 6: "DEP", 7: "DEP"}


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


def load_pipeline(name: str) -> Language:
    """Load a pipeline.

    name (str): Its path, or the name of an installed package.
    RETURNS (Language): The pipeline.
    RAISES: ValueError if there is none.
    """
    if not Path(name).exists() and not spacy.util.is_package(name):
        raise ValueError(f"there is no pipeline {name}: neither a folder nor an installed package")
    return spacy.load(name)


def require_paths(paths: Iterable[Path]) -> None:
    """Raise a ValueError if a path doesn't exist."""
    for path in paths:
        if not path.exists():
            raise ValueError(f"there is no {path}")


def require_free(paths: Iterable[Path], *, force: bool) -> None:
    """Raise a ValueError if there is something at a path, and it must not be overwritten."""
    for path in paths:
        if path.is_dir():
            raise ValueError(f"{path} is a folder; name a file")
        if path.exists() and not force:
            raise ValueError(f"{path} exists already; use --force to overwrite it")


def read_corpus(path: Path, vocab: Vocab) -> list[Doc]:
    """Read annotated Docs.

    path (Path): A DocBin or CoNLL-U file, or a folder of them.
    vocab (Vocab): The vocab that the Docs get.
    RETURNS (list[Doc]): The Docs that are not empty.
    RAISES: ValueError if there are none.
    """
    require_paths([path])
    files = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
    docs = [doc for file in files for doc in _read_file(file, vocab) if len(doc)]
    if not docs:
        raise ValueError(f"{path} has no annotated Docs: a .spacy or .conllu file is needed")
    return docs


def _read_file(path: Path, vocab: Vocab) -> Iterator[Doc]:
    if path.suffix == ".spacy":
        yield from read_docbin(path, vocab)
    elif path.suffix == ".conllu":
        sentences = (_annotated(text, vocab) for text in read_texts(path))
        while group := list(islice(sentences, SENTENCES_PER_DOC)):
            doc = Doc.from_docs(group, ensure_whitespace=False)
            if doc is not None:
                yield doc


def _annotated(text: Text, vocab: Vocab) -> Doc:
    """Return the Doc of a CoNLL-U sentence, with what taggers learn."""
    lines = (line.split("\t") for line in text.record if line[0] != "#")
    columns = zip(*(cells for cells in lines if cells[0].isdigit()), strict=True)
    _, _, _, pos, tags, morphs, *_ = (list(column) for column in columns)
    labels: Any = {"pos": _filled(pos), "tags": _filled(tags), "morphs": morphs}
    starts: Any = text.starts
    return Doc(vocab, words=text.words, spaces=text.spaces, sent_starts=starts, **labels)


def _filled(column: list[str]) -> list[str]:
    return ["" if cell == "_" else cell for cell in column]


def require_annotation(docs: Sequence[Doc], attribute: str, path: Path | str) -> None:
    """Raise a ValueError if no Doc has an attribute that a tagger learns."""
    if not any(doc.has_annotation(attribute.upper()) for doc in docs):
        raise ValueError(
            f"{path} has no {ATTRIBUTES[attribute]}, which the component writes "
            f"(attribute = {attribute!r})"
        )


def progress(items: Iterable[Any], what: str, total: int | None = None) -> Iterator[Any]:
    """Yield items, and show how many are done if that takes more than two seconds."""
    yield from tqdm(items, desc=what, total=total, delay=2, disable=None, leave=False)


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


class Writer(ABC):
    """Writes Docs to a file that takes its name when all are written; so no file is half there."""

    def __init__(self, path: Path):
        self.path = path
        self._unfinished = path.with_name(f".{path.name}.unfinished")
        path.parent.mkdir(parents=True, exist_ok=True)

    @classmethod
    @abstractmethod
    def made_of(cls, docs: Iterable[Doc], sources: Iterable[Text]) -> Any:
        """Return what a file gets of Docs, which were read from texts. It can go from process to
        process."""

    @abstractmethod
    def add(self, made: Any) -> None:
        """Write what `made_of` returned."""

    def finish(self) -> None:
        """Give the file its name."""
        self._unfinished.replace(self.path)

    def discard(self) -> None:
        """Leave no unfinished file behind."""
        self._unfinished.unlink(missing_ok=True)


class LineWriter(Writer):
    """Writes what `text_of` makes of a Doc."""

    def __init__(self, path: Path):
        super().__init__(path)
        self._file = self._unfinished.open("w", encoding="utf8")

    @classmethod
    def made_of(cls, docs: Iterable[Doc], sources: Iterable[Text]) -> str:
        return "".join(map(cls.text_of, docs, sources))

    def add(self, made: str) -> None:
        self._file.write(made)

    @staticmethod
    @abstractmethod
    def text_of(doc: Doc, source: Text) -> str:
        """Return the lines of a Doc."""

    def finish(self) -> None:
        self._file.close()
        super().finish()

    def discard(self) -> None:
        self._file.close()
        super().discard()


class ConlluWriter(LineWriter):
    """Writes a Doc sentence by sentence. A sentence that was read from CoNLL-U keeps what the
    pipeline doesn't write.
    """

    @staticmethod
    def text_of(doc: Doc, source: Text) -> str:
        found = {i: key for i, key in COLUMNS.items() if doc.has_annotation(key)}
        if source.record and isinstance(source.record, list):
            return "\n".join(_updated(source.record, doc, found)) + "\n\n"
        has_sentences = doc.has_annotation("SENT_START")
        sentences = doc.sents if has_sentences else [doc[:]] if len(doc) else []
        return "".join("\n".join(_sentence(s, found)) + "\n\n" for s in sentences)


class JsonlWriter(LineWriter):
    """Writes a line for each Doc, with all that the line had of which it was read."""

    @staticmethod
    def text_of(doc: Doc, source: Text) -> str:
        known = source.record if isinstance(source.record, dict) else {}
        return json.dumps({**known, **record_of(doc)}, ensure_ascii=False) + "\n"


class DocBinWriter(Writer):
    """Writes a DocBin, which memory holds until it is finished."""

    def __init__(self, path: Path):
        super().__init__(path)
        self._docs = DocBin(store_user_data=False)

    @classmethod
    def made_of(cls, docs: Iterable[Doc], sources: Iterable[Text]) -> DocBin:
        return DocBin(docs=docs, store_user_data=False)

    def add(self, made: DocBin) -> None:
        self._docs.merge(made)

    def finish(self) -> None:
        self._docs.to_disk(self._unfinished)
        super().finish()


WRITERS: dict[str, type[Writer]] = {
    "conllu": ConlluWriter,
    "jsonl": JsonlWriter,
    "spacy": DocBinWriter,
}


def record_of(doc: Doc) -> dict[str, Any]:
    """Return a Doc as an object of JSON: its text, and its tokens with their annotation."""
    keys = [key for key in ("TAG", "POS", "MORPH", "LEMMA") if doc.has_annotation(key)]
    tokens = [
        {
            "text": token.text,
            "start": token.idx,
            "end": token.idx + len(token),
            "id": token.i,
            "ws": bool(token.whitespace_),
            **{key.lower(): _value(token, key) for key in keys},
        }
        for token in doc
    ]
    return {"text": doc.text, "tokens": tokens}


def _value(token: Token, key: str) -> str:
    if key == "MORPH":
        return str(token.morph)
    return str(getattr(token, f"{key.lower()}_"))


def _cell(token: Token, column: int, start: int) -> str:
    if column == 6:
        return str(0 if token.head.i == token.i else token.head.i - start + 1)
    if column == 7:
        return "root" if token.dep_ == "ROOT" else token.dep_ or "_"
    return _value(token, COLUMNS[column]) or "_"


def _sentence(sentence: Span, found: dict[int, str]) -> Iterator[str]:
    yield f"# text = {' '.join(sentence.text.split())}"
    for i, token in enumerate(sentence, 1):
        cells = [str(i), " ".join(token.text.split()) or "_", *"________"]
        for column in found:
            cells[column] = _cell(token, column, sentence.start)
        if not token.whitespace_:
            cells[9] = "SpaceAfter=No"
        yield "\t".join(cells)


def _updated(lines: list[str], doc: Doc, found: dict[int, str]) -> Iterator[str]:
    tokens = iter(doc)
    for line in lines:
        cells = line.split("\t")
        if line[0] != "#" and cells[0].isdigit():
            token = next(tokens)
            for column in found:
                cells[column] = _cell(token, column, 0)
        yield "\t".join(cells)

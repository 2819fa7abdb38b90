"""Tagged Docs in; CoNLL-U, JSONL or DocBin files out."""

import json
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from spacy.tokens import Doc, DocBin, Span, Token

from .reading import Text

# The columns of CoNLL-U that spaCy's annotation goes to.
COLUMNS = {2: "LEMMA", 3: "POS", 4: "TAG", 5: "MORPH", 6: "DEP", 7: "DEP"}


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

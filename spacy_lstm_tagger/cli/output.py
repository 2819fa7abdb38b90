"""Write the output of `tag`: files that a killed run can go on with."""

import json
import os
from abc import ABC, abstractmethod
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any, NamedTuple

import srsly
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

from . import conllu, jsonl
from .texts import Text, printable

LENGTH = 8  # bytes that say how long a part of an unfinished DocBin is
NO_USER_DATA = srsly.msgpack_dumps({})  # made once, as srsly is slow
_VOCAB = Vocab()  # of Docs that say what went wrong


class Progress(NamedTuple):
    """How much of a file is done: `n_failed` of its texts could not be tagged, and the unfinished
    output has `n_bytes`.
    """

    n_texts: int = 0
    n_tokens: int = 0
    n_failed: int = 0
    n_bytes: int = 0


@dataclass(kw_only=True)
class Format(ABC):
    """A format of the output. Each text becomes a row, also one that could not be tagged.

    extensions: The attributes of tokens, `token._.NAME`, that the pipeline writes.
    """

    extensions: Sequence[str] = ()

    @abstractmethod
    def row(self, doc: Doc, text: Text) -> Any:
        """Return the row of a Doc; ValueError if the pipeline changed the text."""

    @abstractmethod
    def failed_row(self, text: Text, message: str) -> Any:
        """Return the row of a text that could not be tagged."""

    @abstractmethod
    def pack(self, rows: Sequence[Any]) -> bytes:
        """Serialize rows."""

    def complete(self, unfinished: Path, path: Path) -> None:
        """Make the file of packed rows."""
        os.replace(unfinished, path)


class Lines(Format):
    """A format of text: its rows are lines."""

    def pack(self, rows: Sequence[str]) -> bytes:
        lines = "".join(rows)
        try:
            return lines.encode("utf8", "surrogateescape")
        except UnicodeEncodeError:
            return lines.encode("utf8", "backslashreplace")


@dataclass(kw_only=True)
class Conllu(Lines):
    """CoNLL-U; `columns` are those that the pipeline writes."""

    columns: Sequence[int]

    def row(self, doc: Doc, text: Text) -> str:
        text.places_in(doc)
        return conllu.write_sentences(doc, text, self.extensions)

    def failed_row(self, text: Text, message: str) -> str:
        return conllu.write_failure(text, message, self.columns, self.extensions)


@dataclass(kw_only=True)
class Jsonl(Lines):
    """JSON lines, with the text under a key."""

    text_key: str

    def row(self, doc: Doc, text: Text) -> str:
        return jsonl.write_record(doc, text, self.text_key, self.extensions)

    def failed_row(self, text: Text, message: str) -> str:
        return jsonl.write_failure(text, message, self.text_key)


class DocBins(Format):
    """A DocBin. While it is unfinished, it is a sequence of DocBins, each after its length."""

    def row(self, doc: Doc, text: Text) -> Doc:
        text.places_in(doc)
        kept = {("._.", name) for name in self.extensions}
        data: Any = doc.user_data  # spaCy's stubs wrongly say that its keys are strings
        labels: Any = {
            key: value for key, value in data.items() if isinstance(key, tuple) and key[:2] in kept
        }
        doc.user_data = labels
        return doc

    def failed_row(self, text: Text, message: str) -> Doc:
        words = text.words if text.words is not None else text.text.split()
        return Doc(_VOCAB, words=list(map(printable, words)), user_data={"error": message})

    def pack(self, rows: Sequence[Doc]) -> bytes:
        docs = DocBin(docs=rows)
        docs.store_user_data = True
        docs.user_data = [
            srsly.msgpack_dumps(doc.user_data) if doc.user_data else NO_USER_DATA for doc in rows
        ]
        packed = docs.to_bytes()
        return len(packed).to_bytes(LENGTH, "big") + packed

    def complete(self, unfinished: Path, path: Path) -> None:
        docs = DocBin(store_user_data=True)
        with unfinished.open("rb") as file:
            while length := file.read(LENGTH):
                packed = file.read(int.from_bytes(length, "big"))
                docs.merge(DocBin(store_user_data=True).from_bytes(packed))
        complete = unfinished.with_suffix(".complete")
        docs.to_disk(complete)
        os.replace(complete, path)


class Output:
    """A file that gets its name when it is complete. Until then it is a hidden file, and a journal
    beside it counts its texts. If the process is killed, another one can go on from there.
    """

    def __init__(self, path: Path, origin: dict[str, Any], *, resume: bool) -> None:
        """Open the file. With `resume`, go on with an unfinished one, if it has the same origin.

        origin (dict[str, Any]): What the output depends on: the pipeline, the input, the format.
        """
        self.path = path
        name = f".{sha256(os.fsencode(path.name)).hexdigest()[:20]}"  # as some names are long
        self._unfinished = path.with_name(f"{name}.unfinished")
        self._journal = path.with_name(f"{name}.journal")
        self._origin = {"file": path.name, **origin}
        path.parent.mkdir(parents=True, exist_ok=True)
        with suppress(FileNotFoundError):
            path.lstat()  # OSError if its name is too long
        self.done = self._progress_of_another_run() if resume else Progress()
        if not self.done.n_texts:
            self._journal.unlink(missing_ok=True)
        self._file = self._unfinished.open("r+b" if self.done.n_bytes else "wb")
        self._file.truncate(self.done.n_bytes)
        self._file.seek(self.done.n_bytes)

    def add(self, packed: bytes, n_texts: int, n_tokens: int, n_failed: int) -> None:
        """Write a batch."""
        self._file.write(packed)
        self._file.flush()
        added = (n_texts, n_tokens, n_failed, len(packed))
        self.done = Progress(*map(sum, zip(self.done, added, strict=True)))
        entry = json.dumps({"origin": self._origin, "done": self.done._asdict()})
        temporary = self._journal.with_suffix(".next")
        temporary.write_text(entry, encoding="ascii")
        os.replace(temporary, self._journal)

    def finish(self, output_format: Format) -> None:
        """Give the file its name."""
        self._file.close()
        output_format.complete(self._unfinished, self.path)
        self.discard()

    def close(self) -> None:
        """Keep an unfinished file for another run."""
        self._file.close()
        if not self.done.n_texts:
            self.discard()

    def discard(self) -> None:
        """Delete an unfinished file."""
        self._file.close()
        self._unfinished.unlink(missing_ok=True)
        self._journal.unlink(missing_ok=True)

    def _progress_of_another_run(self) -> Progress:
        try:
            entry = json.loads(self._journal.read_text(encoding="ascii"))
            done = Progress(**entry["done"])
            is_whole = self._unfinished.stat().st_size >= done.n_bytes
            return done if is_whole and entry["origin"] == self._origin else Progress()
        except (OSError, ValueError, KeyError, TypeError):  # there is none, or it is damaged
            return Progress()

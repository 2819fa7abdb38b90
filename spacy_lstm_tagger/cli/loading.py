"""Names and paths of a command line in; pipelines, components and corpora out."""

from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.tokens import Doc
from spacy.vocab import Vocab
from tqdm import tqdm

from .reading import Text, read_docbin, read_texts

SENTENCES_PER_DOC = 10  # of CoNLL-U, as `spacy convert -n 10` makes them
ATTRIBUTES = {"tag": "tags", "pos": "parts of speech", "morph": "morphological features"}


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

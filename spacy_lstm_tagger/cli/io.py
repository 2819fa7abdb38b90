"""Find, read and load files: pipelines, texts and corpora."""

import os
import re
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from io import TextIOWrapper
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab
from tqdm import tqdm
from wasabi import msg

from ..model.shim import NetworkShim
from ..pipeline.labels import has_labels, labels_of_words
from ..pipeline.listeners import nodes_of
from ..pipeline.pairing import describe
from .conllu import annotated_columns, read_sentences
from .jsonl import read_records
from .texts import Text, flaw_of

SENTENCES_PER_DOC = 10  # of CoNLL-U, as `spacy convert -n 10` makes them
ATTRIBUTES = {"tag": "tags", "pos": "parts of speech", "morph": "morphological features"}
BYTE_ORDER_MARK = "\ufeff"
KNOWN_NAMES = re.compile(r"\.?\s+Available (?:names|factories): .*", re.DOTALL)  # in spaCy's errors
UTF_16 = (b"\xff\xfe", b"\xfe\xff")  # its byte order marks


def load_pipeline(name: str) -> Language:
    """Load a pipeline by its path, or by the name of an installed package; ValueError if there is
    none, or if it can't be loaded, as one of its packages is missing, or for another reason.
    """
    if not Path(name).exists() and not spacy.util.is_package(name):
        raise ValueError(f"there is no pipeline {name}: neither a folder nor an installed package")
    try:
        return spacy.load(name)
    except (ImportError, OSError, ValueError) as error:
        reason, *known = KNOWN_NAMES.split(str(error))
        hint = ". If a Python file of yours defines it, add --code FILE" if known else ""
        raise ValueError(f"the pipeline {name} can't be loaded: {reason}{hint}") from error


def networks_of(nlp: Language) -> list[NetworkShim]:
    """Return the trained networks of a pipeline that are of this package."""
    nodes = (node for _, pipe in nlp.pipeline for node in nodes_of(pipe))
    shims = (shim for node in nodes for shim in node.shims)
    return [shim for shim in shims if isinstance(shim, NetworkShim) and not shim.is_empty]


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


def find_files(paths: Iterable[Path], output: Path | None = None) -> list[tuple[Path, Path]]:
    """Return files, those in folders and their subfolders included, and the name of each below its
    folder. Hidden files and folders in them are left out.

    output (Path | None): A folder that is left out, too.
    RAISES: ValueError if a path doesn't exist, or if there are no files.
    """
    found = []
    for path in paths:
        require_paths([path])
        if path.is_dir():
            found += [(file, file.relative_to(path)) for file in _files_below(path, output)]
        else:
            found.append((path, Path(path.name)))
    if not found:
        raise ValueError("the folders have no files")
    return found


def _files_below(folder: Path, output: Path | None = None) -> list[Path]:
    def fail(error: OSError) -> None:
        raise error

    files: list[Path] = []
    for name, folders, names in os.walk(folder, onerror=fail):
        here = Path(name)
        folders[:] = [
            folder
            for folder in folders
            if folder[0] != "."
            and (output is None or (here / folder).resolve() != output.resolve())
        ]
        visible = [here / name for name in names if name[0] != "."]
        files += [file for file in visible if file.is_file() or file.is_symlink()]
    return sorted(files)


def read_texts(path: Path, text_key: str = "text") -> Iterator[Text]:
    """Read the texts of a file one by one; a DocBin is read whole. A text that can't be tagged says
    so in its `error`.

    path (Path): A file whose name ends in .jsonl, .conllu or .spacy; in any other file, each line
        that is not blank is a text.
    text_key (str): Where a JSON object has its text.
    RAISES: ValueError if the file as a whole can't be read.
    """
    if path.suffix.lower() == ".spacy":
        yield from _read_docbin(path)
        return
    with path.open("rb") as file:
        if file.peek(2)[:2] in UTF_16:
            raise ValueError(f"{path} is in UTF-16; convert it to UTF-8")
        # Bytes that are not UTF-8 become surrogates, which spoil only their own text.
        lines = TextIOWrapper(file, encoding="utf8", errors="surrogateescape")
        for text in _read_lines((line.lstrip(BYTE_ORDER_MARK) for line in lines), path, text_key):
            yield text._replace(position=file.tell()) if file.seekable() else text


def _read_lines(lines: Iterable[str], path: Path, text_key: str) -> Iterator[Text]:
    if path.suffix.lower() == ".jsonl":
        yield from read_records(lines, str(path), text_key)
    elif path.suffix.lower() == ".conllu":
        yield from read_sentences(lines, str(path))
    else:
        for number, line in enumerate(lines, 1):
            if text := line.strip():
                yield Text(text, where=f"{path}, line {number}", error=flaw_of(text))


def _read_docbin(path: Path) -> Iterator[Text]:
    docbin, size = _open_docbin(path), path.stat().st_size
    for number, doc in enumerate(docbin.get_docs(Vocab()), 1):
        yield Text(
            doc.text,
            words=[token.text for token in doc],
            spaces=[bool(token.whitespace_) for token in doc],
            places=[(token.idx, token.idx + len(token)) for token in doc],
            starts=[bool(token.is_sent_start) for token in doc]
            if doc.has_annotation("SENT_START")
            else None,
            where=f"{path}, Doc {number}",
            position=size * number // len(docbin),
        )


def _open_docbin(path: Path) -> DocBin:
    try:
        return DocBin().from_disk(path)
    except Exception as error:  # a damaged file may raise whatever its bytes happen to mean
        raise ValueError(f"{path} is no DocBin: {describe(error)}") from error


def read_corpus(path: Path, vocab: Vocab, *, as_written: bool = False) -> list[Doc]:
    """Read the annotated Docs of a DocBin, a CoNLL-U file or a folder of them; without empty ones.

    as_written (bool): Whether multiword tokens of CoNLL-U are one token, without a label, where
        their words can't be told apart in the text. So a Doc has the text that was written.
    RAISES: ValueError if there are none, or if a file is damaged.
    """
    require_paths([path])
    files = _files_below(path) if path.is_dir() else [path]
    docs = [doc for file in files for doc in _read_docs(file, vocab, as_written) if len(doc)]
    if not docs:
        raise ValueError(f"{path} has no annotated Docs: a .spacy or .conllu file is needed")
    return docs


def _read_docs(path: Path, vocab: Vocab, as_written: bool) -> Iterator[Doc]:
    if path.suffix.lower() == ".spacy":
        yield from _open_docbin(path).get_docs(vocab)
    elif path.suffix.lower() == ".conllu":
        sentences = (_annotated(text, vocab, as_written) for text in read_texts(path))
        while group := list(islice(sentences, SENTENCES_PER_DOC)):
            doc = Doc.from_docs(group, ensure_whitespace=False)
            if doc is not None:
                yield doc


def _annotated(text: Text, vocab: Vocab, as_written: bool) -> Doc:
    """Return the Doc of a CoNLL-U sentence, with what taggers learn."""
    if text.error:
        raise ValueError(f"{text.where}: {text.error}")
    assert text.words is not None and text.spaces is not None and text.places is not None
    rows = list(zip(text.words, text.spaces, *annotated_columns(text), strict=True))
    if as_written:
        for i, (start, end) in reversed(list(enumerate(text.places))):
            if i and text.places[i - 1] == (start, end):
                rows[i - 1 : i + 1] = [(text.text[start:end], rows[i][1], "", "", "_")]
    words, spaces, pos, tags, morphs = map(list, zip(*rows, strict=True)) if rows else [[]] * 5
    starts: Any = [i == 0 for i in range(len(words))]
    labels: Any = {"pos": pos, "tags": tags, "morphs": morphs}
    return Doc(vocab, words=words, spaces=spaces, sent_starts=starts, **labels)


def name_of(attribute: str) -> str:
    """Return the name of an attribute's labels, for messages and reports."""
    return ATTRIBUTES.get(attribute, f"labels in token._.{attribute}")


def require_annotation(docs: Sequence[Doc], attribute: str, path: Path | str) -> None:
    """Raise a ValueError if no Doc has an attribute that a tagger learns."""
    if not any(has_labels(doc, attribute) for doc in docs):
        raise ValueError(
            f"{path} has no {name_of(attribute)}, which the component writes "
            f"(attribute = {attribute!r})"
        )


def label_counts(docs: Iterable[Doc], attribute: str) -> Counter[str]:
    """Return how often each label of words occurs."""
    labels = (label for doc in docs for label in labels_of_words(doc, attribute))
    return Counter(label for label in labels if label)


def one_label_problem(counts: Counter[str]) -> str:
    """Return a sentence about a corpus with one label only; "" if it has more."""
    if len(counts) != 1:
        return ""
    (label,) = counts
    hint = ""
    if label in ("-", "_", "O"):
        hint = (
            '. It stands for "none": was the corpus converted from another format than it has? '
            "(spacy convert -c iob reads the second of two columns as entities, not as tags; "
            "python -m spacy lstm-tagger convert reads it as tags)"
        )
    return f"all {counts.total():,} tokens that have a label have {label!r}{hint}"


def different_labels(found: Iterable[str], expected: Iterable[str], what: str, other: str) -> str:
    """Return a sentence about two sets of labels that have none in common."""
    examples = [", ".join(sorted(labels)[:5]) or "none" for labels in (found, expected)]
    return (
        f"{what} and {other} have no label in common: {what} has {examples[0]}; {other} has "
        f"{examples[1]}. Are they of the same tag set, and of the same attribute?"
    )


def require_known_labels(docs: Sequence[Doc], attribute: str, known: Collection[str]) -> None:
    """Warn if a pipeline, which has the labels `known`, lacks labels of a corpus; ValueError if it
    lacks all of them.
    """
    counts = label_counts(docs, attribute)
    if problem := one_label_problem(counts):
        msg.warn(f"The corpus: {problem}")
    unknown = Counter({label: n for label, n in counts.items() if label not in known})
    if unknown and len(unknown) == len(counts):
        raise ValueError(different_labels(counts, known, "the corpus", "the pipeline"))
    if unknown:
        share = unknown.total() / counts.total()
        names = ", ".join(f"{label} ({n})" for label, n in unknown.most_common(5))
        msg.warn(
            f"The pipeline lacks {counted(len(unknown), 'label')} of the corpus, so {share:.2%} of "
            f"its tokens can't be right: {names}"
        )


def counted(number: int, noun: str) -> str:
    """Return a number of things, such as "1 text" or "1,000 texts"."""
    return f"{number:,} {noun}{'s' * (number != 1)}"


def progress(items: Iterable[Any], what: str, total: int | None = None) -> Iterator[Any]:
    """Yield items, and show how many are done if that takes more than two seconds."""
    yield from tqdm(items, desc=what, total=total, delay=2, disable=None, leave=False)


class FileProgress(tqdm):
    """A bar that shows which file is read, what share of all is done, and the time that remains."""

    DELAY = 2  # seconds until it appears

    def __init__(self, files: Sequence[Path]):
        sizes = [file.stat().st_size if file.is_file() else 0 for file in files]
        self._begins = dict(zip(files, accumulate(sizes, initial=0), strict=False))
        settings = {"unit": "B", "unit_scale": True, "disable": None, "leave": False}
        super().__init__(total=sum(sizes), delay=self.DELAY, **settings)

    def show(self, file: Path, n_bytes: int) -> None:
        """Show how many bytes of a file are done."""
        self.set_description_str(file.name, refresh=False)
        self.update(self._begins[file] + n_bytes - self.n)

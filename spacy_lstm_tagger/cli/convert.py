"""Conversion of tables and texts with spans to DocBins."""

import random
from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate, chain
from pathlib import Path
from typing import Any, NamedTuple

import spacy
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from wasabi import msg

from ..pipeline.extensions import register_label, write_labels
from ..pipeline.labels import FACTORIES, normal_form
from ..pipeline.spans import (
    NO_TYPE,
    OUTSIDE,
    SCHEMES,
    find_scheme,
    mark,
    misfits,
    repair,
    spans_of,
)
from .io import counted, find_files, require_free
from .span_files import CutSpan, read_spans
from .tables import Columns, Labelled, read_table

IN_FOLDERS = {".bio", ".conll", ".csv", ".iob", ".json", ".jsonl", ".tsv", ".txt"}
OTHERS = {".spacy", ".conllu", ".conllx"}  # what spaCy reads or converts itself
SPLITS = ("train", "dev", "test")
ARGUMENTS = {"tag": "tags", "pos": "pos", "morph": "morphs"}  # of Doc
ANY_COLUMNS = Columns()
SHOWN = 40  # labels that are listed with their counts


class Found(NamedTuple):
    """What all files have.

    documents: The documents of each file.
    counts: How many tokens have each label.
    scheme: The scheme of the labels, or None.
    repaired: Where labels were changed so that they keep to the scheme.
    cut: Spans that begin or end inside a token.
    """

    documents: dict[Path, list[Labelled]]
    counts: Counter[str]
    scheme: str | None
    repaired: list[str]
    cut: list[CutSpan]


def convert(
    paths: Iterable[Path],
    output: Path,
    *,
    attribute: str = "label",
    columns: Columns = ANY_COLUMNS,
    lang: str = "xx",
    text_key: str = "text",
    split: str | None = None,
    seed: int = 0,
    force: bool = False,
) -> None:
    """Convert files to DocBins, and print what they have.

    paths (Iterable[Path]): Files or folders: tables (CSV, TSV, CoNLL, IOB) or texts with character
        spans (JSONL, JSON). Of a folder, files with other names are left out.
    output (Path): The folder for the DocBins: one for each file or, if they are split, train.spacy,
        dev.spacy and test.spacy. Docs of labels with a scheme also get their spans as `doc.ents`.
    attribute (str): Where tokens get their labels: "tag", "pos", "morph", or the name of a custom
        extension, `token._.NAME`.
    columns (Columns): Which columns of tables are read.
    lang (str): The language whose tokenizer cuts texts.
    text_key (str): Where a text stands in JSON.
    split (str | None): Shares of the documents for training, development and test, such as
        "0.8,0.1,0.1"; None to keep files apart.
    seed (int): Seed of the split.
    force (bool): Whether to overwrite files, and to leave out spans that cut a token.
    RAISES: ValueError if a file can't be read or contradicts itself; nothing is written then.
    """
    if output.is_file():
        raise ValueError(f"{output} is a file; name a folder")
    nlp = spacy.blank(lang)
    shares = None if split is None else _shares(split)
    if attribute not in FACTORIES:
        register_label(attribute)
    found = read_all(paths, nlp, columns, text_key, attribute)
    if found.cut and not force:
        more = f" (and {len(found.cut) - 1} more)" if found.cut[1:] else ""
        place, description = found.cut[0]
        raise ValueError(
            f"{place}: a span cuts a token: {description}{more}. Mend it, give tokens in the file, "
            "or leave such spans out by --force"
        )
    documents = [*chain(*found.documents.values())]
    parts = split_documents(documents, shares, seed) if shares else _parts_of_files(found.documents)
    targets = {name: output / f"{name}.spacy" for name in parts}
    require_free(targets.values(), force=force)
    binaries = {
        name: DocBin(
            docs=(make_doc(document, nlp, attribute, found.scheme) for document in documents),
            attrs=["ORTH", "TAG", "POS", "MORPH", "SENT_START", "ENT_IOB", "ENT_TYPE"],
            store_user_data=True,
        )
        for name, documents in parts.items()
    }
    _show(found)
    output.mkdir(parents=True, exist_ok=True)
    for name, target in targets.items():
        binaries[name].to_disk(target)
        msg.good(f"Saved {counted(len(parts[name]), 'Doc')} to {target}")


def read_all(
    paths: Iterable[Path], nlp: Language, columns: Columns, text_key: str, attribute: str
) -> Found:
    """Read all files, and check that their labels fit the attribute and each other."""
    cut: list[CutSpan] = []
    documents = {}
    for path in _find(paths):
        suffix = path.suffix.lower()
        if suffix in OTHERS:
            raise ValueError(f"{path} can't be converted here: use spacy convert for CoNLL-U")
        if suffix in (".json", ".jsonl"):
            documents[path] = list(read_spans(path, nlp, text_key, cut))
        else:
            documents[path] = list(read_table(path, columns))
        if not documents[path]:
            raise ValueError(f"{path} has no annotated texts")
    places: dict[str, str] = {}
    for document in chain(*documents.values()):
        for label, place in zip(document.labels, document.places, strict=True):
            if label:
                places.setdefault(label, place)
    scheme = find_scheme(places)
    _check_labels(places, scheme)
    for label, place in places.items() if attribute in FACTORIES else ():
        try:
            normal_form(label, attribute, nlp.vocab)
        except ValueError as error:
            raise ValueError(f"{place}: {error}") from error
    repaired: list[str] = []
    if scheme is not None:
        for path, some in documents.items():
            documents[path] = [_repair(document, scheme, repaired) for document in some]
    labels = chain(*(document.labels for document in chain(*documents.values())))
    return Found(documents, Counter(filter(None, labels)), scheme, repaired, cut)


def _find(paths: Iterable[Path]) -> list[Path]:
    """Return the files, and those in folders that have usual names; ValueError if none are."""
    files: list[Path] = []
    for path in paths:
        found = [file for file, _ in find_files([path])]
        if path.is_dir():
            found = [file for file in found if file.suffix.lower() in IN_FOLDERS]
        if not found:
            raise ValueError(
                f"{path} has no files whose names end in {', '.join(sorted(IN_FOLDERS))}"
            )
        files += found
    return files


def _check_labels(places: dict[str, str], scheme: str | None) -> None:
    """Raise a ValueError if there are no two labels, or if the labels mix schemes.

    places (dict[str, str]): Where each label comes first.
    """
    if not places:
        raise ValueError("no token has a label")
    if len(places) == 1:
        ((label, place),) = places.items()
        raise ValueError(
            f"all tokens have the label {label!r}, from {place} on, so there is nothing to learn. "
            "Annotate them; if a table has labels in another column, choose it by --label"
        )
    prefixed = [label for label in places if label[:2] in ("B-", "I-") and label[2:]]
    both = len(prefixed) > len({label[2:] for label in prefixed})  # B- and I- of the same type
    if scheme is not None or not prefixed or not (both or OUTSIDE in places):
        return
    strange = min((misfits(places, name) for name in SCHEMES), key=len)
    raise ValueError(
        f"{places[strange[0]]}: the label {strange[0]!r} doesn't fit the others, such as "
        f"{prefixed[0]!r}; outside of spans, the label is 'O'. If it is the name of a column, give "
        "the names of the columns by --word and --label"
    )


def _repair(document: Labelled, scheme: str, repaired: list[str]) -> Labelled:
    labels = [label or "" for label in repair(document.labels, scheme)]
    for label, own, place in zip(document.labels, labels, document.places, strict=True):
        if label != own:
            repaired.append(f"{place}: {label} is read as {own}")
    return document._replace(labels=labels)


def make_doc(document: Labelled, nlp: Language, attribute: str, scheme: str | None) -> Doc:
    """Return a Doc with labels and, if they have a scheme, with entities."""
    annotation: dict[str, Any] = {"sent_starts": document.starts}
    if attribute in FACTORIES:
        annotation[ARGUMENTS[attribute]] = document.labels
    if scheme is not None:
        spans = [span._replace(type=span.type or NO_TYPE) for span in spans_of(document.labels)]
        annotation["ents"] = mark(spans, len(document.words), "bio")
    doc = Doc(nlp.vocab, words=document.words, spaces=document.spaces, **annotation)
    if attribute not in FACTORIES:
        words = zip(document.words, document.labels, strict=True)
        labels = ["" if word.isspace() else label for word, label in words]  # as in prediction
        write_labels(doc, attribute, labels, overwrite=True)
    return doc


def split_documents(
    documents: list[Labelled], shares: Sequence[float], seed: int
) -> dict[str, list[Labelled]]:
    """Split documents at random. The sum of the shares of two or three parts is 1.

    RETURNS (dict[str, list[Labelled]]): The parts "train", "dev" and, if there are three, "test".
    RAISES: ValueError if a part would be empty.
    """
    shuffled = list(documents)
    random.Random(seed).shuffle(shuffled)
    ends = [round(share * len(shuffled)) for share in accumulate(shares[:-1])]
    parts = {
        name: shuffled[begin:end]
        for name, begin, end in zip(SPLITS, [0, *ends], [*ends, len(shuffled)], strict=False)
    }
    for name, part in parts.items():
        if not part:
            raise ValueError(f"{len(documents)} documents are too few: {name} would be empty")
    return parts


def _shares(split: str) -> list[float]:
    try:
        shares = [float(share) for share in split.split(",")]
    except ValueError:
        shares = []
    is_whole = len(shares) in (2, 3) and abs(sum(shares) - 1) < 1e-6  # which a NaN isn't
    if not is_whole or min(shares) <= 0:
        raise ValueError(
            f"the split {split!r} must be two or three shares whose sum is 1, such as 0.8,0.1,0.1"
        )
    return shares


def _parts_of_files(documents: dict[Path, list[Labelled]]) -> dict[str, list[Labelled]]:
    first: dict[str, Path] = {}
    for path in documents:
        # On macOS and Windows, names that differ in case only are names of one file.
        other = first.setdefault(path.stem.casefold(), path)
        if other != path:
            raise ValueError(
                f"{other} and {path} would both become {path.stem}.spacy; rename one, or use "
                "--split"
            )
    return {path.stem: some for path, some in documents.items()}


def _show(found: Found) -> None:
    for path, documents in found.documents.items():
        n_tokens = sum(len(document.words) for document in documents)
        n_sentences = sum(sum(document.starts or [True]) for document in documents)
        what = counted(n_sentences, "sentence" if documents[0].starts else "text")
        msg.info(f"{path}: {what}, {counted(n_tokens, 'token')}")
    rows = found.counts.most_common(SHOWN)
    msg.table(rows, header=("Label", "Tokens"), divider=True, aligns=("l", "r"))
    if len(found.counts) > SHOWN:
        msg.info(f"and {counted(len(found.counts) - SHOWN, 'label')} more")
    if found.scheme is None:
        msg.info(f"{counted(len(found.counts), 'label')} without a span scheme")
        return
    spans = Counter(
        span.type
        for document in chain(*found.documents.values())
        for span in spans_of(document.labels)
    )
    n_spans, types = counted(sum(spans.values()), "span"), ", ".join(map(str, spans))
    msg.info(f"Scheme {found.scheme}: {n_spans} of {counted(len(spans), 'type')} ({types})")
    if found.repaired:
        n_repaired = counted(len(found.repaired), "label")
        msg.warn(f"{n_repaired} didn't keep to the scheme. {found.repaired[0]}")
    if found.cut:
        first = ": ".join(found.cut[0])
        n_cut = counted(len(found.cut), "span")
        msg.warn(f"{n_cut} within a token: left out. The first is at {first}")

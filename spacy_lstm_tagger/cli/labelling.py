"""Labelling of texts by teachers, once, in shards that training streams.

A folder of labelled texts has shards in `texts` (to learn from), `held_out` (to select and evaluate
the pupil) and, if there are gold Docs, `gold`; and `manifest.json`, which identifies teachers and
texts. Shards are written atomically, so an interrupted run can continue.
"""

import hashlib
import json
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, NamedTuple
from zlib import crc32

from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training.batchers import minibatch_by_words
from spacy.util import minibatch
from spacy.vocab import Vocab
from tqdm import tqdm
from wasabi import msg

from ..batch import bounded_memory
from ..pipeline.distillation import Teachers
from ..pipeline.pairing import bare_copy, make_doc
from ..pipeline.soft_labels import K, soft_labels
from .io import counted, find_files, read_texts
from .texts import Text

SHARD = 1000  # texts
BATCH_WORDS = 4000  # that teachers read side by side
SAMPLE, SAMPLE_WORDS = 40, 2000  # texts to time teachers with, and words of them, about
LONGEST = 10_000  # characters; longer texts are cut between words
BLANKS = re.compile(r"\s+")
HELD_OUT = 0.1  # of the words, at most
ENOUGH = 20_000  # words to hold out, at most
MANIFEST = "manifest.json"
ANNOTATION = {"tag": "TAG", "pos": "POS", "morph": "MORPH"}


class Texts(NamedTuple):
    """The texts of some files. Long ones are cut into several.

    n_texts, n_words: Their number without blank ones, and that of words; see `count_words`.
    fingerprint: A digest of all texts.
    limit: Texts with a checksum up to this one are held out; -1 for none.
    """

    files: list[Path]
    text_key: str
    n_texts: int
    n_words: int
    fingerprint: str
    limit: int

    def read(self, *, held_out: bool) -> Iterator[str]:
        """Yield the texts to hold out, or all others. Equal texts are never in both."""
        for text in _read(self.files, self.text_key):
            for part in _parts(text):
                if (crc32(part.encode()) <= self.limit) == held_out:
                    yield part


def survey(
    paths: Sequence[Path],
    *,
    text_key: str = "text",
    hold_out: bool = True,
    output: Path | None = None,
) -> Texts:
    """Read the texts of files, and choose the ones to hold out. Invalid texts are skipped.

    paths (Sequence[Path]): Files, or folders of files.
    text_key (str): Key of the text in JSONL files.
    hold_out (bool): Whether to hold any out.
    output (Path | None): A folder below them that has no texts.
    RAISES: ValueError if there are none, or too few.
    """
    files = [file for file, _ in find_files(paths, output)]
    for file in files:
        if not file.is_file():
            raise ValueError(f"{file} is no regular file, and texts are read more than once")
    digest, words_of = hashlib.sha256(), dict[int, int]()
    n_texts = n_words = 0
    flaws = []
    for text in _read(files, text_key):
        if text.error:
            flaws.append(f"{text.where}: {text.error}")
        for part in _parts(text):
            data, n = part.encode(), count_words(part)
            digest.update(data + b"\n")
            words_of[crc32(data)] = words_of.get(crc32(data), 0) + n
            n_texts, n_words = n_texts + 1, n_words + n
    if flaws:
        n_flaws = counted(len(flaws), "text")
        msg.warn(f"{n_flaws} left out, as not readable. The first is {flaws[0]}")
    if not n_texts:
        raise ValueError(f"there are no texts in {', '.join(map(str, paths))}: all is blank")
    limit = _limit(words_of, n_words) if hold_out else -1
    return Texts(files, text_key, n_texts, n_words, digest.hexdigest(), limit)


def count_words(text: str) -> int:
    """Return about how many words a text has: what blanks separate, or half of its characters if it
    has hardly any blanks, as in Chinese.
    """
    n_words = len(text.split())
    return n_words if 20 * n_words >= len(text) else len(text) // 2


def _limit(words_of: dict[int, int], n_words: int) -> int:
    """Return the checksum up to which texts are held out."""
    if len(words_of) < 2:
        raise ValueError(
            "the texts are too few to hold one out, by which the pupil would be selected: give "
            "two different ones at least, or gold data by --dev"
        )
    wanted = min(HELD_OUT * n_words, ENOUGH)
    checksums = sorted(words_of)
    limit, held_out = checksums[0], 0
    for checksum in checksums[:-1]:
        limit, held_out = checksum, held_out + words_of[checksum]
        if held_out >= wanted:
            break
    return limit


def manifest_of(teachers: Teachers, texts: Texts, gold: Sequence[Doc]) -> dict[str, Any]:
    """Return what identifies labelled texts: the teachers, the texts and the gold Docs."""
    digest = hashlib.sha256()
    for doc in gold:
        values = doc.to_array(["ORTH", *ANNOTATION.values()])
        digest.update(repr(([t.text for t in doc], values.tolist())).encode())
    return {
        "teachers": [
            {
                "pipeline": teacher.name,
                "components": teacher.components,
                "by_sentence": teacher.by_sentence,
                "checksum": teacher.checksum(),
            }
            for teacher in teachers.teachers
        ],
        "texts": {"number": texts.n_texts, "digest": texts.fingerprint},
        "held-out texts": texts.limit,
        "gold": {"number": len(gold), "digest": digest.hexdigest()},
        "k": K,
    }


def check_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Raise a ValueError if a folder has labelled texts of other teachers or other texts."""
    if not (folder / MANIFEST).exists():
        return
    try:
        found = json.loads((folder / MANIFEST).read_text(encoding="utf8"))
        differences = [key for key in manifest if found.get(key) != manifest[key]]
    except (ValueError, AttributeError) as error:
        raise ValueError(f"{folder / MANIFEST} is damaged: {error}. Use --force") from error
    if differences:
        raise ValueError(
            f"the labelled texts in {folder} were made with other {' and '.join(differences)}, so "
            "they can't be used again: name another folder, or use --force to label anew"
        )


def label_texts(
    teachers: Teachers, texts: Texts, gold: Sequence[Doc], folder: Path, manifest: dict[str, Any]
) -> None:
    """Label all texts and gold Docs that have no labels yet.

    folder (Path): Where to write shards; existing ones are kept.
    manifest (dict): See `manifest_of`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write(folder / MANIFEST, json.dumps(manifest, indent=2).encode())
    nlp = teachers.teachers[0].nlp
    _choose_precision(teachers, texts)
    n_words = texts.n_words + sum(map(len, gold))
    with tqdm(total=n_words, desc="Labelling", unit=" words", unit_scale=True, disable=None,
              dynamic_ncols=True) as bar:  # fmt: skip
        for name, held_out in (("held_out", True), ("texts", False)):
            for shard, batch in enumerate(minibatch(texts.read(held_out=held_out), SHARD)):
                path = folder / name / f"{shard:06}.spacy"
                if not path.exists():
                    docs = tokenize(nlp, batch)
                    _write_shard(path, label(teachers, docs), annotate=held_out)
                bar.update(sum(map(count_words, batch)))
        for shard, batch in enumerate(minibatch(gold, SHARD)):
            path = folder / "gold" / f"{shard:06}.spacy"
            if not path.exists():
                _write_shard(path, label(teachers, batch), annotate=False)
            bar.update(sum(map(len, batch)))


def _choose_precision(teachers: Teachers, texts: Texts) -> None:
    """Let each teacher calculate as is fastest here."""
    some = tokenize(teachers.teachers[0].nlp, islice(texts.read(held_out=False), SAMPLE))
    sample = next(iter(minibatch_by_words(some, SAMPLE_WORDS, get_length=len)))
    for teacher in teachers.teachers:
        if (faster := teacher.choose_precision(sample)) > 1:
            msg.info(f"{teacher.name} calculates in bfloat16, which is {faster:.1f} times as fast")


def tokenize(nlp: Language, texts: Iterable[str]) -> list[Doc]:
    """Return Docs of texts, of a vocab of their own; without empty ones."""
    vocab = Vocab()
    with bounded_memory(nlp):
        docs = [bare_copy(make_doc(nlp, text), vocab) for text in texts]
    return [doc for doc in docs if len(doc)]


def label(teachers: Teachers, docs: Sequence[Doc]) -> Sequence[Doc]:
    """Store the teachers' labels in Docs, and return the Docs. Those of about the same length are
    read together, so encoders that pad them lose little.
    """
    with ExitStack() as memory:
        for teacher in teachers.teachers:
            memory.enter_context(bounded_memory(teacher.nlp))
        by_length = sorted(docs, key=len)
        for batch in minibatch_by_words(by_length, BATCH_WORDS, get_length=len):
            teachers.label(batch)
    return docs


def annotated(doc: Doc, attributes: Iterable[str]) -> Doc:
    """Return a Doc whose annotation is the best label that teachers give each of its tokens."""
    words, spaces = [token.text for token in doc], [bool(token.whitespace_) for token in doc]
    best = {}
    for attribute in attributes:
        soft = soft_labels(doc, attribute)
        best[attribute] = soft.best if soft is not None else None
    labels: Any = {"tags": best.get("tag"), "pos": best.get("pos"), "morphs": best.get("morph")}
    return Doc(doc.vocab, words=words, spaces=spaces, **labels)


def write(path: Path, data: bytes) -> None:
    """Write a file atomically."""
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(f".{path.name}.unfinished")
    try:
        unfinished.write_bytes(data)
        unfinished.replace(path)
    finally:
        unfinished.unlink(missing_ok=True)


def _write_shard(path: Path, docs: Iterable[Doc], *, annotate: bool) -> None:
    """Write labelled Docs; with `annotate`, only the best label of each token, as annotation."""
    if annotate:
        docs = [annotated(doc, ANNOTATION) for doc in docs]
    attributes = tuple(ANNOTATION.values())
    write(path, DocBin(attributes, store_user_data=not annotate, docs=docs).to_bytes())


def _read(files: Iterable[Path], text_key: str) -> Iterator[Text]:
    for file in files:
        yield from read_texts(file, text_key)


def _parts(text: Text) -> Iterator[str]:
    """Yield a text, or parts of it, if it is long; nothing if it is blank or can't be read."""
    whole = "" if text.error else text.text.strip()
    start = 0
    while len(whole) - start > LONGEST:
        blanks = [blank.start() for blank in BLANKS.finditer(whole, start + 1, start + LONGEST)]
        end = blanks[-1] if blanks else start + LONGEST
        yield whole[start:end]
        blank = BLANKS.match(whole, end)
        start = blank.end() if blank else end
    if whole:
        yield whole[start:]

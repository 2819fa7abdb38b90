"""The command `uncertain`: choose the sentences to annotate next."""

import json
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from itertools import accumulate, islice
from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.tokens import Doc
from wasabi import msg

from ..pipeline.active_learning import Uncertain, uncertain
from ..pipeline.pairing import describe
from .io import FileProgress, find_files, load_pipeline, read_texts, require_free
from .texts import Text, printable

N_SHOWN = 10  # sentences that are shown, and texts that are named if they could not be read


def write_uncertain(
    pipeline: str,
    paths: list[Path],
    output: Path,
    *,
    n: int = 100,
    level: str = "sentence",
    measure: str = "entropy",
    component: str | None = None,
    text_key: str = "text",
    force: bool = False,
) -> list[Uncertain]:
    """Choose sentences or tokens, and write them to a JSONL file, the least sure first. The
    arguments are those of the command and of `uncertain`.

    RETURNS (list[Uncertain]): The chosen ones.
    RAISES: ValueError if something is missing, wrong or would be overwritten; nothing is written
        then. If only some texts can't be read, the others are written first.
    """
    require_free([output], force=force)
    files = [path for path, _ in find_files(paths) if path.resolve() != output.resolve()]
    nlp = load_pipeline(pipeline)
    stream = _Stream(nlp, files, text_key)
    chosen = uncertain(
        nlp,
        stream.docs(),
        n,
        level=level,
        measure=measure,
        component=component,
        on_error=stream.add_error,
    )
    if not chosen:
        raise ValueError(". ".join(["the files have no texts", *stream.errors[:1]]))
    texts = stream.read_again({found.text for found in chosen})
    records = [to_record(found, texts[found.text], stream.origin(found.text)) for found in chosen]
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("w", encoding="utf8", newline="\n") as file:
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    _tell(chosen)
    (msg.info if stream.errors else msg.good)(f"Wrote {len(chosen)} of the least sure to {output}")
    for error in stream.errors[1:N_SHOWN]:
        msg.warn(printable(error))
    if n_errors := len(stream.errors):
        raise ValueError(f"{n_errors:,} texts or files could not be read. {stream.errors[0]}")
    return chosen


class _Stream:
    """The texts of some files, numbered.

    errors: What could not be read.
    """

    def __init__(self, nlp: Language, files: list[Path], text_key: str):
        self.errors: list[str] = []
        self._nlp = nlp
        self._files = files
        self._text_key = text_key
        self._first: list[int] = []  # the number of the first text of each file

    def docs(self) -> Iterator[Doc]:
        """Yield a Doc of each text; an empty one if it can't be read."""
        number = 0
        with FileProgress(self._files) as bar:
            for file in self._files:
                self._first.append(number)
                for text in self._texts(file):
                    bar.show(file, text.position)
                    try:
                        doc = text.to_doc(self._nlp)
                    except Exception as error:  # whatever a tokenizer raises
                        self.errors.append(f"{text.where}: {describe(error)}")
                        doc = Doc(self._nlp.vocab)
                    yield doc
                    number += 1

    def add_error(self, number: int, error: Exception) -> None:
        """Take the error that the pipeline raised for a text."""
        origin = self.origin(number)
        self.errors.append(f"{origin['source']}, text {origin['text']}: {describe(error)}")

    def origin(self, number: int) -> dict[str, Any]:
        """Return the file of a text, and its number there, counted from 1."""
        i = bisect_right(self._first, number) - 1
        return {"source": str(self._files[i]), "text": number - self._first[i] + 1}

    def read_again(self, numbers: set[int]) -> dict[int, Text]:
        """Return texts by their numbers."""
        found: dict[int, Text] = {}
        ends = [*self._first[1:], None]
        for first, end, file in zip(self._first, ends, self._files, strict=True):
            wanted = {n for n in numbers if first <= n and (end is None or n < end)}
            if wanted:
                texts = enumerate(read_texts(file, self._text_key), first)
                for number, text in islice(texts, max(wanted) - first + 1):
                    if number in wanted:
                        found[number] = text
        return found

    def _texts(self, file: Path) -> Iterator[Text]:
        try:
            yield from read_texts(file, self._text_key)
        except (OSError, ValueError) as error:
            self.errors.append(f"{file}: {describe(error)}")


def to_record(found: Uncertain, text: Text, origin: dict[str, Any]) -> dict[str, Any]:
    """Return a chosen sentence or token as annotation tools read it: Prodigy the keys "tokens",
    "spans" and "meta", doccano the key "label". All offsets are characters of "text".
    """
    written, places, start_char = _as_written(found, text)
    tokens, spans = [], []
    for i, ((word, space), (start, end)) in enumerate(zip(found.sentence, places, strict=True)):
        place = {"start": start, "end": end}
        tokens.append({"text": word, **place, "id": i, "ws": bool(space)})
        if found.token in (None, i) and not word.isspace():
            label, confidence = found.labels[i], round(found.confidences[i], 4)
            whole = {"token_start": i, "token_end": i, "label": label, "confidence": confidence}
            spans.append({**place, **whole})
    return {
        "text": written,
        "tokens": tokens,
        "spans": spans,
        "label": [[span["start"], span["end"], span["label"]] for span in spans],
        "meta": {"score": round(found.score, 4), **origin, "start_char": start_char},
    }


def _as_written(found: Uncertain, text: Text) -> tuple[str, list[tuple[int, int]], int]:
    """Return a sentence as it was written, the places of its tokens in it, and where it begins in
    its text. If the file has words, these can have other places than in the Doc.
    """
    words = [word for word, _ in found.sentence]
    starts = accumulate((len(word + space) for word, space in found.sentence), initial=0)
    places = [(i, i + len(word)) for i, word in zip(starts, words, strict=False)]
    written = "".join(map("".join, found.sentence))[: places[-1][1]]
    if text.words is None or text.spaces is None or text.places is None:
        return written, places, found.start_char
    lengths = (len(word) + bool(s) for word, s in zip(text.words, text.spaces, strict=True))
    first = bisect_left(list(accumulate(lengths, initial=0)), found.start_char)
    if text.words[first : first + len(places)] != words:
        return written, places, found.start_char  # as the pipeline changed the tokens
    in_text = text.places[first : first + len(places)]
    begin, end = in_text[0][0], in_text[-1][1]
    return text.text[begin:end], [(i - begin, j - begin) for i, j in in_text], begin


def _tell(chosen: list[Uncertain]) -> None:
    rows = []
    for found in chosen[:N_SHOWN]:
        text = "".join(map("".join, found.sentence)).strip()
        if found.token is not None:
            text = f"{found.sentence[found.token][0]} ({found.labels[found.token]}) in: {text}"
        rows.append((f"{found.score:.3f}", text[:70]))
    msg.table(rows, header=("Score", "Text"), divider=True, aligns=("r", "l"))

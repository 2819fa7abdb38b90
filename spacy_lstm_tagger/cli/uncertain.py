"""The command `uncertain`: choose the sentences to annotate next."""

import json
from bisect import bisect_left
from collections.abc import Iterator
from itertools import accumulate, islice
from pathlib import Path
from typing import Any, NamedTuple

from spacy.language import Language
from spacy.tokens import Doc
from wasabi import msg

from ..pipeline.active_learning import Uncertain, uncertain
from ..pipeline.pairing import describe
from .io import FileProgress, counted, find_files, load_pipeline, read_texts, require_free
from .texts import Text, printable

N_SHOWN = 10  # sentences that are shown, and texts that are named if they could not be read


def write_uncertain(
    pipeline: str,
    paths: list[Path],
    output: Path,
    *,
    text_key: str = "text",
    force: bool = False,
    **settings: Any,
) -> list[Uncertain]:
    """Choose sentences or tokens, and write them to a JSONL file, the least sure first. The
    arguments are those of the command; `settings` are those of `uncertain`.

    RETURNS (list[Uncertain]): The chosen ones.
    RAISES: ValueError if something is missing, wrong or would be overwritten; nothing is written
        then. If only some texts can't be read, the others are written first.
    """
    require_free([output], force=force)
    files = [path for path, _ in find_files(paths) if path.resolve() != output.resolve()]
    nlp = load_pipeline(pipeline)
    errors: list[str] = []
    failed: dict[int, str] = {}
    chosen = uncertain(
        nlp,
        _docs(nlp, files, text_key, errors),
        **settings,
        on_error=lambda number, error: failed.update({number: describe(error)}),
    )
    texts = _read_again(files, text_key, {*failed, *(found.text for found in chosen)})
    for number, error in failed.items():
        source, place, _ = texts[number]
        errors.append(f"{source}, text {place}: {error}")
    if not chosen:
        raise ValueError(". ".join(["the files have no texts", *errors[:1]]))
    records = [to_record(found, *texts[found.text]) for found in chosen]
    output.parent.mkdir(parents=True, exist_ok=True)
    with output.open("w", encoding="utf8", newline="\n") as file:
        file.writelines(json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    _tell(chosen)
    n_chosen = counted(len(chosen), "text")
    (msg.info if errors else msg.good)(f"Wrote the {n_chosen} of the least sure labels to {output}")
    for error in errors[1:N_SHOWN]:
        msg.warn(printable(error))
    if n_errors := len(errors):
        raise ValueError(f"Not read: {n_errors:,} of the texts or files. {errors[0]}")
    return chosen


class _Numbered(NamedTuple):
    """A text, its file, and its number there, counted from 1."""

    source: Path
    number: int
    text: Text


def _read(files: list[Path], text_key: str, errors: list[str]) -> Iterator[_Numbered]:
    """Yield the texts of files. A file that can't be read is named in `errors`."""
    for file in files:
        try:
            for number, text in enumerate(read_texts(file, text_key), 1):
                yield _Numbered(file, number, text)
        except (OSError, ValueError) as error:
            errors.append(f"{file}: {describe(error)}")


def _docs(nlp: Language, files: list[Path], text_key: str, errors: list[str]) -> Iterator[Doc]:
    """Yield a Doc of each text; an empty one if it can't be read."""
    with FileProgress(files) as bar:
        for file, _, text in _read(files, text_key, errors):
            bar.show(file, text.position)
            try:
                doc = text.to_doc(nlp)
            except Exception as error:  # whatever a tokenizer raises
                errors.append(f"{text.where}: {describe(error)}")
                doc = Doc(nlp.vocab)
            yield doc


def _read_again(files: list[Path], text_key: str, wanted: set[int]) -> dict[int, _Numbered]:
    """Return texts by their numbers in the stream of all texts, from 0 on."""
    numbered = islice(enumerate(_read(files, text_key, [])), max(wanted, default=-1) + 1)
    return {number: found for number, found in numbered if number in wanted}


def to_record(found: Uncertain, source: Path, number: int, text: Text) -> dict[str, Any]:
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
        "meta": {
            "score": round(found.score, 4),
            "source": str(source),
            "text": number,
            "start_char": start_char,
        },
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

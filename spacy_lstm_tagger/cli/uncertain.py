"""A pipeline and files in; the sentences to annotate next out, as annotation tools read them."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from wasabi import msg

from ..pipeline.active_learning import Uncertain, uncertain
from .loading import load_pipeline, progress, require_free
from .reading import Text, find_files, read_texts


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
    """Choose sentences, and write them to a JSONL file, the least sure first.

    pipeline (str): Name or path.
    paths (list[Path]): Files, or folders of files.
    output (Path): The file to write.
    text_key (str): Where JSONL files have their texts.
    force (bool): Whether to overwrite.
    RETURNS (list[Uncertain]): The chosen.
    RAISES: ValueError if something is missing, wrong or would be overwritten; nothing is written
        then. The other settings: see `uncertain`.
    """
    require_free([output], force=force)
    files = find_files(paths)
    nlp = load_pipeline(pipeline)
    origins: list[tuple[int, str]] = []  # the number of the first text of each file

    def texts() -> Iterator[Text]:
        number = 0
        for path, _ in files:
            origins.append((number, str(path)))
            for text in read_texts(path, text_key):
                number += 1
                yield text

    docs = (text.to_doc(nlp) for text in progress(texts(), "Reading"))
    chosen = uncertain(nlp, docs, n, level=level, measure=measure, component=component)
    if not chosen:
        raise ValueError("the files have no texts")
    output.parent.mkdir(parents=True, exist_ok=True)
    records = (to_record(found, _origin(found.text, origins)) for found in chosen)
    lines = (json.dumps(record, ensure_ascii=False) + "\n" for record in records)
    output.write_text("".join(lines), encoding="utf8")
    _tell(chosen)
    msg.good(f"Wrote {len(chosen)} of the least sure to {output}")
    return chosen


def to_record(found: Uncertain, origin: dict[str, Any]) -> dict[str, Any]:
    """Return a chosen sentence, or token, as annotation tools read it: Prodigy the keys "tokens",
    "spans" and "meta", doccano the key "label". All offsets are characters of "text".

    found (Uncertain): The sentence.
    origin (dict[str, Any]): Where it is from, for "meta".
    """
    tokens, spans, start = [], [], 0
    for i, (word, space) in enumerate(found.sentence):
        place = {"start": start, "end": start + len(word)}
        tokens.append({"text": word, **place, "id": i, "ws": bool(space)})
        start += len(word) + len(space)
        if found.token in (None, i):
            label, confidence = found.labels[i], round(found.confidences[i], 4)
            whole = {"token_start": i, "token_end": i, "label": label, "confidence": confidence}
            spans.append({**place, **whole})
    return {
        "text": "".join(word + space for word, space in found.sentence).rstrip(),
        "tokens": tokens,
        "spans": spans,
        "label": [[span["start"], span["end"], span["label"]] for span in spans],
        "meta": {"score": round(found.score, 4), **origin, "start_char": found.start_char},
    }


def _origin(number: int, origins: list[tuple[int, str]]) -> dict[str, Any]:
    first, path = max(origin for origin in origins if origin[0] <= number)
    return {"source": path, "text": number - first + 1}


def _tell(chosen: list[Uncertain]) -> None:
    rows = []
    for found in chosen[:10]:
        text = "".join(word + space for word, space in found.sentence).strip()
        if found.token is not None:
            text = f"{found.sentence[found.token][0]} ({found.labels[found.token]}) in: {text}"
        rows.append((f"{found.score:.3f}", text[:70]))
    msg.table(rows, header=("Score", "Text"), divider=True, aligns=("r", "l"))

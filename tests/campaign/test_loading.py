"""Damaged and hostile files of a saved pipeline: refused, or they change nothing."""

import gc
import json
import os
import pickle
import resource
import shutil
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from itertools import cycle
from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
import srsly
import torch
from hypothesis import assume, given
from hypothesis import strategies as st
from spacy.language import Language

OURS = ["parts/cfg", "parts/model", "tags/cfg", "tags/model"]
JSON = ["cfg", "meta.json", "strings.json", "vectors.cfg"]
MOST_MEMORY = 2**29  # bytes that a load can take in addition
ABSURD = [None, True, -1, 0, 2**31, 2**62, 1e308, float("nan"), "", "NN", [], {}, [[]], b"\0" * 9]


@pytest.fixture(scope="module")
def folder(saved: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the saved pipeline whose files may be damaged."""
    copy = tmp_path_factory.mktemp("damaged") / "pipeline"
    shutil.copytree(saved, copy)
    return copy


@contextmanager
def damaged(path: Path, contents: bytes | None) -> Iterator[None]:
    """Give a file other contents, or delete it, for a while."""
    whole = path.read_bytes()
    try:
        path.unlink() if contents is None else path.write_bytes(contents)
        yield
    finally:
        path.write_bytes(whole)


@contextmanager
def little_memory() -> Iterator[None]:
    """Let a load that reserves much memory raise a MemoryError, whether it touches it or not."""
    n_pages = int(Path("/proc/self/statm").read_text().split()[0])
    limits = resource.getrlimit(resource.RLIMIT_AS)
    most = n_pages * resource.getpagesize() + MOST_MEMORY
    resource.setrlimit(resource.RLIMIT_AS, (most, limits[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_AS, limits)


def load(folder: Path, name: str) -> Language | None:
    """Load a pipeline, one of whose files is damaged; None if it is refused. Of our files the
    error must name the folder; for the others spaCy chooses its errors.
    """
    try:
        with little_memory():
            return spacy.load(folder)
    except Exception as error:
        if name in OURS:
            assert type(error) is ValueError and str(folder / Path(name).parent) in str(error)
            assert gc.isenabled()
        assert not isinstance(error, MemoryError)
        gc.enable()  # srsly leaves it off
        return None


def damage(kind: str, whole: bytes, places: list[float], bit: int, new: bytes) -> bytes | None:
    """Return other contents for a file: altered in places, cut, exchanged, or none."""
    begin = int(places[0] * len(whole))
    if kind == "flip":
        altered = bytearray(whole)
        for place in places if whole else ():
            altered[int(place * len(whole))] ^= 1 << bit
        return bytes(altered)
    if kind in ("insert", "overwrite"):
        return whole[:begin] + new + whole[begin + (len(new) if kind == "overwrite" else 0) :]
    return {"cut": whole[:begin], "exchange": new, "delete": None}[kind]


def alter(value: Any, choices: Iterator[int]) -> Any:
    """Return what was read from a file with another value in place of one of its parts."""
    if not isinstance(value, dict | list) or not value or next(choices) % 5 == 0:
        return ABSURD[next(choices) % len(ABSURD)]
    keys = list(value) if isinstance(value, dict) else list(range(len(value)))
    key, other = (keys[next(choices) % len(keys)] for _ in range(2))
    how = ["inside", "inside", "inside", "drop", "swap", "twice"][next(choices) % 6]
    new = dict(value) if isinstance(value, dict) else list(value)
    if how == "drop":
        del new[key]
    elif how == "swap":
        new[key], new[other] = value[other], value[key]
    elif how == "twice" and isinstance(new, list):
        new.append(value[key])
    else:
        new[key] = alter(value[key], choices)
    return new


def altered_fields(name: str, whole: bytes, choices: list[int]) -> bytes:
    """Return other fields for a file that consists of fields."""
    numbers = cycle(choices)
    if Path(name).name in JSON:
        return json.dumps(alter(json.loads(whole), numbers), default=repr).encode()
    return srsly.msgpack_dumps(alter(srsly.msgpack_loads(whole), numbers))


@pytest.fixture(scope="module")
def check(folder: Path, answers: Callable, tell: Callable) -> Iterator[Callable]:
    """Return a function that damages a file and compares the loaded pipeline with the original."""
    expected = answers(spacy.load(folder))
    results: Counter[str] = Counter()

    def compare(name: str, contents: bytes | None) -> None:
        assume(contents != (folder / name).read_bytes())
        with damaged(folder / name, contents):
            nlp = load(folder, name)
        results["tried"] += 1
        results["refused" if nlp is None else "harmless"] += 1
        if nlp is not None:
            assert answers(nlp) == expected, name

    yield compare
    tell(f"Loading: {dict(results)}, 0 silently wrong")


class Files(dict[str, bytes]):
    """The contents of files by their paths; too large to be shown."""

    def __repr__(self) -> str:
        return f"{len(self)} files"


@pytest.fixture(scope="module")
def files(saved: Path) -> Files:
    """The files of the pipeline."""
    paths = [path for path in sorted(saved.rglob("*")) if path.is_file()]
    return Files({path.relative_to(saved).as_posix(): path.read_bytes() for path in paths})


@given(
    number=st.integers(0, 999),
    kind=st.sampled_from(["flip", "cut", "insert", "overwrite", "exchange", "delete"]),
    places=st.lists(st.floats(0, 0.999999), min_size=1, max_size=20),
    bit=st.integers(0, 7),
    new=st.binary(min_size=1, max_size=40),
)
def test_damaged_bytes_are_refused_or_harmless(
    files: Files,
    check: Callable,
    number: int,
    kind: str,
    places: list[float],
    bit: int,
    new: bytes,
) -> None:
    names = [*files, *(OURS * 4)]  # half of the time one of ours
    name = names[number % len(names)]
    other = [new, *files.values()][number % (1 + len(files))]
    check(name, damage(kind, files[name], places, bit, other if kind == "exchange" else new))


@given(number=st.integers(0, 999), choices=st.lists(st.integers(0, 999), min_size=9, max_size=9))
def test_altered_fields_are_refused_or_harmless(
    files: Files, check: Callable, number: int, choices: list[int]
) -> None:
    names = [name for name in files if Path(name).name in (*JSON, "model")]
    name = [*names, *OURS][number % (len(names) + len(OURS))]
    check(name, altered_fields(name, files[name], choices))


class Payload:
    """Leave a mark when it is unpickled."""

    def __init__(self, mark: Path):
        self.mark = mark

    def __reduce__(self) -> tuple[Callable, tuple[str]]:
        return os.mkdir, (str(self.mark),)


def payloads(mark: Path) -> dict[str, bytes]:
    """Return files that run code where they are unpickled, or read with too much trust."""
    pickled = pickle.dumps(Payload(mark))
    saved_by_torch, saved_by_numpy = BytesIO(), BytesIO()
    torch.save({"weight": Payload(mark)}, saved_by_torch)
    numpy.save(saved_by_numpy, numpy.array([Payload(mark)]), allow_pickle=True)
    array = {b"nd": True, b"type": "|O", b"kind": b"O", b"shape": [1], b"data": pickled}
    call = {"py/object": "os.mkdir", "py/reduce": [{"py/function": "os.mkdir"}, [str(mark)]]}
    return {
        "pickle": pickled,
        "torch": saved_by_torch.getvalue(),
        "numpy": saved_by_numpy.getvalue(),
        "array of objects": srsly.msgpack_dumps(array),
        "extension": b"\xc7" + bytes([len(pickled), 1]) + pickled,
        "jsonpickle": json.dumps(call).encode(),
        "yaml": f"!!python/object/apply:os.mkdir ['{mark}']".encode(),
        "config": f'[nlp]\n@misc = "os.mkdir"\npath = "{mark}"'.encode(),
    }


def planted(value: Any, payload: bytes) -> Iterator[Any]:
    """Yield what was read from a file with a payload in place of each of its parts in turn."""
    yield payload
    if isinstance(value, dict | list):
        for key in value if isinstance(value, dict) else range(len(value)):
            for new in planted(value[key], payload):
                copy = dict(value) if isinstance(value, dict) else list(value)
                copy[key] = new
                yield copy


@pytest.mark.parametrize("kind", payloads(Path()))
def test_no_payload_runs(
    files: Files,
    folder: Path,
    tmp_path: Path,
    size: Callable,
    tell: Callable,
    kind: str,
) -> None:
    mark = tmp_path / "ran"
    payload = payloads(mark)[kind]
    attacks = [(name, payload) for name in files]
    for name in ("tags/model", "parts/model"):
        parts = planted(srsly.msgpack_loads(files[name]), payload)
        attacks += [(name, srsly.msgpack_dumps(part)) for part in parts]
    attacks = attacks[:: size(1, 10)]
    for name, contents in attacks:
        with damaged(folder / name, contents):
            load(folder, name)
        assert not mark.exists(), name
    tell(f"Loading: payload {kind!r} tried {len(attacks)} times, ran 0 times")

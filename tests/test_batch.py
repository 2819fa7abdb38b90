"""Tests of `batch.py`: columns of tags for batches of texts."""

import os
import pickle
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
from spacy.language import Language
from spacy.tokens import Doc

from spacy_lstm_tagger import batch as batch_module
from spacy_lstm_tagger.batch import TagBatch, share_out

TEXTS = ["The dog ate the apple", "Everybody read that book", "", "Wugs  read 😀 books\n"]
NEW_COLUMNS = ["tokens", "tags", "offsets", "error"]


def make_dict(columns: dict[str, list[Any]]) -> Any:
    return {
        name: numpy.fromiter(values, dtype=object, count=len(values))
        for name, values in columns.items()
    }


def make_frame(columns: dict[str, list[Any]]) -> Any:
    return pytest.importorskip("pandas").DataFrame(columns)


def make_table(columns: dict[str, list[Any]]) -> Any:
    return pytest.importorskip("pyarrow").table(columns)


def column(batch: Any, name: str) -> list[Any]:
    values = batch[name]
    values = values.to_pylist() if hasattr(values, "to_pylist") else values.tolist()
    return [list(value) if isinstance(value, numpy.ndarray) else value for value in values]


@pytest.mark.parametrize("make", [make_dict, make_frame, make_table])
def test_tags_are_those_of_the_pipeline(make: Callable[..., Any], saved_pipeline: Path) -> None:
    batch = make({"id": [4, 3, 2, 1], "text": TEXTS})
    tagged = TagBatch(saved_pipeline)(batch)
    docs = list(spacy.load(saved_pipeline).pipe(TEXTS))
    assert type(tagged) is type(batch)
    assert column(tagged, "tags") == [[token.tag_ for token in doc] for doc in docs]
    assert column(tagged, "tokens") == [[token.text for token in doc] for doc in docs]
    assert column(tagged, "id") == [4, 3, 2, 1] and column(tagged, "text") == TEXTS
    assert "tags" not in getattr(batch, "column_names", batch)


def test_arrow_types_do_not_depend_on_the_texts(saved_pipeline: Path) -> None:
    tag = TagBatch(saved_pipeline, confidences=True)
    assert tag(make_table({"text": TEXTS})).schema == tag(make_table({"text": [""]})).schema


def test_tokens_are_where_the_offsets_say(saved_pipeline: Path) -> None:
    tagged: Any = TagBatch(saved_pipeline)({"text": TEXTS})
    for text, tokens, offsets in zip(TEXTS, tagged["tokens"], tagged["offsets"], strict=True):
        assert [text[i : i + len(word)] for i, word in zip(offsets, tokens, strict=True)] == tokens


@pytest.mark.parametrize("make", [make_dict, make_frame, make_table])
def test_lists_of_words_are_not_cut(make: Callable[..., Any], saved_pipeline: Path) -> None:
    batch = make({"tokens": [["The", "New York", "dog"], []]})
    tagged = TagBatch(saved_pipeline, "tokens")(batch)
    assert column(tagged, "tokens") == [["The", "New York", "dog"], []]
    assert [len(tags) for tags in column(tagged, "tags")] == [3, 0]


def test_confidences_are_those_of_the_tagger(saved_pipeline: Path) -> None:
    tagged: Any = TagBatch(saved_pipeline, confidences=True)({"text": TEXTS})
    nlp = spacy.load(saved_pipeline)
    nlp.get_pipe("lstm_tagger").store_probabilities = True
    for doc, confidences in zip(nlp.pipe(TEXTS), tagged["confidences"], strict=True):
        numpy.testing.assert_allclose(confidences, [t._.tag_confidence for t in doc], atol=1e-6)


@pytest.mark.parametrize("attribute", ["pos", "morph"])
def test_tags_are_of_the_attribute_of_the_tagger(
    attribute: str, nlp: Language, train: Callable[..., Language], tmp_path: Path
) -> None:
    train(nlp, attribute=attribute).to_disk(tmp_path)
    (tags,) = TagBatch(tmp_path)({"text": TEXTS[:1]})["tags"]
    doc = nlp(TEXTS[0])
    assert tags == [str(t.morph) if attribute == "morph" else t.pos_ for t in doc]
    assert "NOUN" in tags or "Definite=Def" in tags


@pytest.mark.parametrize("bad", [None, float("nan"), b"dog", ["dog", 1], "dog \ud800", ["\udce0"]])
def test_a_bad_text_has_an_error_and_spoils_no_other(bad: Any, saved_pipeline: Path) -> None:
    tag = TagBatch(saved_pipeline)
    good: Any = tag({"text": TEXTS})
    tagged: Any = tag({"text": [*TEXTS[:2], bad, *TEXTS[2:]]})
    assert (tagged["tokens"][2], tagged["tags"][2], tagged["offsets"][2]) == ([], [], [])
    assert tagged["error"][2].startswith(("ValueError: ", "UnicodeEncodeError: "))
    for name in NEW_COLUMNS:
        assert numpy.delete(tagged[name], 2).tolist() == good[name].tolist()


def test_errors_of_other_components_are_caught(
    train: Callable[..., Language], tmp_path: Path
) -> None:
    @Language.component("no_dogs")
    def no_dogs(doc: Doc) -> Doc:
        if "dog" in doc.text:
            raise KeyError("dog")
        return doc

    pipeline = train(spacy.blank("xx"))
    pipeline.add_pipe("no_dogs")
    pipeline.to_disk(tmp_path)
    errors = TagBatch(tmp_path)({"text": TEXTS})["error"]
    assert errors.tolist() == ["KeyError: 'dog'", "", "", ""]


@Language.component("batch_changes")
def changes(doc: Doc) -> Doc:
    words = [token.text for token in doc if token.text not in ("ate", " ")]
    return Doc(doc.vocab, words=[*words, "!"] if "book" in words else words)


@pytest.mark.parametrize("column", ["text", "words"])
def test_texts_that_the_pipeline_changes_have_errors(
    column: str, train: Callable[..., Language], tmp_path: Path
) -> None:
    pipeline = train(spacy.blank("xx"))
    pipeline.add_pipe("batch_changes", first=True)
    pipeline.to_disk(tmp_path)
    texts = ["The dog", "Everybody ate", " that  apple", "that book"]
    batch = {"text": texts, "words": [text.split() for text in texts]}
    tagged: Any = TagBatch(tmp_path, column)(batch)
    assert [bool(error) for error in tagged["error"]] == [False, True, False, True]
    assert "the pipeline changed the" in tagged["error"][1]
    offsets = [1, 7] if column == "text" else [0, 5]
    assert (tagged["offsets"][2], tagged["tokens"][2]) == (offsets, ["that", "apple"])


def test_a_text_that_is_dropped_has_an_error(
    train: Callable[..., Language], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    train(spacy.blank("xx")).to_disk(tmp_path)
    load = spacy.load

    def load_forgiving(path: str) -> Language:
        nlp = load(path)
        tagger = nlp.get_pipe("lstm_tagger")
        predict = tagger.predict
        tagger.predict = lambda docs: (
            [1 / ("dog" not in doc.text) for doc in docs] and predict(docs)
        )
        nlp.set_error_handler(lambda *args: None)
        return nlp

    monkeypatch.setattr(spacy, "load", load_forgiving)
    tagged: Any = TagBatch(tmp_path)({"text": TEXTS})
    assert [bool(error) for error in tagged["error"]] == [True, False, False, False]
    assert "'lstm_tagger' failed" in tagged["error"][0]
    assert tagged["tokens"][1] == TEXTS[1].split()


def test_a_text_of_any_length_is_tagged(saved_pipeline: Path) -> None:
    tagged: Any = TagBatch(saved_pipeline)({"text": ["The dog " * 150_000, "dog " + "$" * 5000]})
    assert [len(tags) for tags in tagged["tags"]] == [300_000, 5001]
    assert tagged["error"].tolist() == ["", ""]


@pytest.mark.parametrize(
    "values",
    [
        numpy.array(TEXTS),
        numpy.array(TEXTS, dtype=object),
        [numpy.str_(text) for text in TEXTS],
        [numpy.array(text.split()) for text in TEXTS],
        numpy.array([["The", "dog"], ["ate", "book"]]),
    ],
    ids=["strings", "objects", "list", "words", "matrix"],
)
def test_strings_of_numpy_are_strings(values: Any, saved_pipeline: Path) -> None:
    tagged: Any = TagBatch(saved_pipeline)({"text": values})
    assert not any(tagged["error"])
    assert tagged["tokens"][0][:2] == ["The", "dog"]
    assert all(type(word) is str for words in tagged["tokens"] for word in words)


FORK = """
import os, sys, threading, time
from spacy_lstm_tagger import batch

tag = batch.TagBatch(sys.argv[1])
batch.N_WORDS = 0  # so all is in memory zones
tag({"text": ["The dog"]})
stop = threading.Event()
texts = [f"The dog ate book {i}" for i in range(200)]


def work():
    while not stop.is_set():
        tag({"text": texts})


threads = [threading.Thread(target=work, daemon=True) for _ in range(3)]
for thread in threads:
    thread.start()
for _ in range(5):
    time.sleep(0.02)
    child = os.fork()
    if not child:
        rows = tag({"text": ["The dog", "ate"]})
        os._exit(0 if list(map(len, rows["tags"])) == [2, 1] and not any(rows["error"]) else 1)
    assert os.waitpid(child, 0)[1] == 0
stop.set()
for thread in threads:
    thread.join()
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
def test_a_forked_process_does_not_wait_for_threads_that_it_lacks(saved_pipeline: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-c", FORK, str(saved_pipeline)]
    subprocess.run(command, check=True, timeout=300)


ORPHANS = """
import os, sys, time
from spacy_lstm_tagger.batch import share_out


def stall(number):
    if number:
        os.write(1, b"%d\\n" % os.getpid())  # at once, as another process writes, too
        time.sleep(600)


if __name__ == "__main__":
    list(share_out(stall, [0, 1, 1], n_process=2))
"""


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_workers_end_with_the_process_that_started_them(end: int, tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text(ORPHANS)
    command = [sys.executable, "-W", "ignore", tmp_path / "script.py"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL) as process:
        assert process.stdout is not None
        workers = [int(process.stdout.readline()) for _ in range(2)]
        process.send_signal(end)
        process.stdout.read()  # until the workers have closed it, too
    for worker in workers:
        with pytest.raises(ProcessLookupError):
            for _ in range(1000):
                os.kill(worker, 0)
                time.sleep(0.01)


def test_pipelines_do_not_travel_and_are_loaded_once(
    saved_pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []
    load = spacy.load
    monkeypatch.setattr(spacy, "load", lambda path: loaded.append(path) or load(path))
    tag = TagBatch(saved_pipeline)
    tag({"text": TEXTS})
    copy = pickle.dumps(tag)
    pickle.loads(copy)({"text": TEXTS})
    assert len(copy) < 1000 and len(loaded) == 1
    TagBatch(saved_pipeline)({"text": TEXTS})
    assert len(loaded) == 2


def test_batches_without_rows_have_the_columns() -> None:
    tagged = TagBatch("no pipeline", confidences=True)({"text": numpy.zeros(0, dtype=object)})
    assert list(tagged) == ["text", "tokens", "tags", "offsets", "confidences", "error"]


@pytest.mark.parametrize("n_words", [0, 10**6])
def test_new_words_are_freed_when_there_are_many(
    n_words: int, saved_pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipelines = []
    load = spacy.load
    monkeypatch.setattr(batch_module, "N_WORDS", n_words)
    monkeypatch.setattr(spacy, "load", lambda path: pipelines.append(load(path)) or pipelines[0])
    tag = TagBatch(saved_pipeline)
    tag({"text": ["The dog"]})
    tag({"text": ["The borogove"]})
    assert ("borogove" in pipelines[0].vocab.strings) is (n_words > 0)


def test_threads_do_not_free_the_words_of_others(
    saved_pipeline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(batch_module, "N_WORDS", 0)
    interval = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    texts = [[f"wug{i} ate bar{j}" for j in range(20)] for i in range(100)]
    tag = TagBatch(saved_pipeline)
    tag({"text": TEXTS})
    with ThreadPoolExecutor(4) as pool:
        tagged = list(pool.map(lambda part: tag({"text": part}), texts))
    sys.setswitchinterval(interval)
    assert [[" ".join(words) for words in part["tokens"]] for part in tagged] == texts


@pytest.mark.parametrize(
    ("settings", "batch", "message"),
    [
        ({}, {"body": TEXTS}, r"no column 'text', but \['body'\]"),
        ({"column": "body"}, {"body": TEXTS, "tags": TEXTS}, r"already .*\['tags'\]"),
        ({}, TEXTS, "a dict of arrays, a pyarrow Table or a pandas DataFrame, not list"),
        ({"component": "tagger"}, {"text": TEXTS}, r"\['lstm_tagger'\]"),
        ({"pipeline": "no/pipeline"}, {"text": TEXTS}, "can't load the pipeline no/pipeline"),
    ],
)
def test_mistakes_are_explained(
    settings: dict[str, Any], batch: Any, message: str, saved_pipeline: Path
) -> None:
    tag = TagBatch(**{"pipeline": saved_pipeline, **settings})
    with pytest.raises(ValueError, match=message):
        tag(batch)


def test_one_of_several_taggers_must_be_named(shared: Language, tmp_path: Path) -> None:
    for name in ("tags", "parts"):
        shared.get_pipe(name).add_label("X")
    shared.initialize()
    shared.to_disk(tmp_path)
    with pytest.raises(ValueError, match=r"\['tags', 'parts'\]"):
        TagBatch(tmp_path)({"text": TEXTS})


def test_processes_return_batches_in_order(saved_pipeline: Path) -> None:
    batches = [{"text": TEXTS * n} for n in (1, 3, 0, 2, 1, 4, 2, 1)]
    tag = TagBatch(saved_pipeline)
    tagged = list(share_out(tag, batches, n_process=2))
    assert [t["tags"].tolist() for t in tagged] == [tag(b)["tags"].tolist() for b in batches]


class Deadly(dict[str, list[str]]):
    """A batch that ends the process which receives it."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os._exit, (1,)


def test_a_killed_process_is_reported(saved_pipeline: Path) -> None:
    with pytest.raises(BrokenProcessPool):
        list(share_out(TagBatch(saved_pipeline), [Deadly(text=TEXTS)], n_process=1))

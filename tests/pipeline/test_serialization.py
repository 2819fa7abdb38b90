"""Tests of `serialization.py`: a component is loaded whole, or stays as it was."""

import json
import pickle
from collections.abc import Callable
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
import srsly
from numpy.testing import assert_array_equal
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example

from spacy_lstm_tagger.pipeline.serialization import FORMAT
from spacy_lstm_tagger.pipeline.tagger import LSTMTagger

TEXT = "The dog ate that book"
CHANGED = {"label_smoothing": 0.25, "neg_prefix": "~", "overwrite": True}


@pytest.fixture(scope="module", params=[False, True], ids=["softmax", "crf"])
def trained(request: pytest.FixtureRequest, train: Callable, tiny: dict[str, Any]) -> Language:
    """A pipeline that knows the two sentences; not to be changed."""
    return train(spacy.blank("xx"), model={**tiny, "crf": request.param})


@pytest.fixture
def folder(trained: Language, tmp_path: Path) -> Path:
    """Where the trained component was saved."""
    trained.get_pipe("lstm_tagger").to_disk(tmp_path, exclude=["vocab"])
    return tmp_path


@pytest.fixture
def other(nlp: Language, trained: Language, make_examples: Callable) -> LSTMTagger:
    """A component with the config of the trained one, and other weights."""
    model = trained.config["components"]["lstm_tagger"]["model"]
    component = nlp.add_pipe("lstm_tagger", config={"model": model})
    nlp.initialize(lambda: make_examples(nlp))
    if component.model.has_param("transitions"):
        component.model.set_param("transitions", numpy.ones((3, 3), dtype="float32"))
    return component


def scores(component: LSTMTagger) -> numpy.ndarray:
    (found,) = component.predict_probabilities([spacy.blank("xx").make_doc(TEXT)])
    return found


def load(component: LSTMTagger, folder: Path) -> None:
    component.from_disk(folder, exclude=["vocab"])


def edit(folder: Path, change: Callable[[dict[str, Any]], Any]) -> None:
    cfg = json.loads((folder / "cfg").read_text())
    change(cfg)
    (folder / "cfg").write_text(json.dumps(cfg))


@pytest.mark.parametrize("file", ["cfg", "model"])
def test_altered_byte_is_refused(other: LSTMTagger, folder: Path, file: str) -> None:
    before = scores(other)
    whole = (folder / file).read_bytes()
    places = [i for i, byte in enumerate(whole) if file == "model" or not chr(byte).isspace()]
    for place in places[:: len(places) // 50]:
        altered = bytearray(whole)
        altered[place] ^= 1
        (folder / file).write_bytes(altered)
        with pytest.raises(ValueError, match=str(folder)):
            load(other, folder)
    assert_array_equal(scores(other), before)


@pytest.mark.parametrize(
    "change, message",
    [
        (lambda cfg: cfg["labels"].pop(), "damaged"),
        (lambda cfg: cfg["labels"].reverse(), "damaged"),
        (lambda cfg: cfg["lexicon"].update(dog=["V"]), "damaged"),
        (lambda cfg: cfg.pop("checksum"), "damaged"),
        (lambda cfg: cfg.pop("format"), "damaged"),
        (lambda cfg: cfg.update(format=FORMAT + 1), f"format {FORMAT + 1}, of a newer version"),
        (lambda cfg: cfg.clear(), "damaged"),
    ],
)
def test_altered_cfg_is_refused(
    other: LSTMTagger, folder: Path, change: Callable, message: str
) -> None:
    before = scores(other)
    edit(folder, change)
    with pytest.raises(ValueError, match=message):
        load(other, folder)
    assert_array_equal(scores(other), before)


@pytest.mark.parametrize("file", ["cfg", "model"])
def test_missing_file_is_refused(other: LSTMTagger, folder: Path, file: str) -> None:
    (folder / file).unlink()
    with pytest.raises(ValueError, match=f"there is no '{file}'"):
        load(other, folder)


@pytest.mark.parametrize("text", ["", "[]", "{", "null", "7", '[["a", 1]]'])
def test_cfg_that_is_no_cfg_is_refused(other: LSTMTagger, folder: Path, text: str) -> None:
    (folder / "cfg").write_text(text)
    with pytest.raises(ValueError, match="lstm_tagger: can't load"):
        load(other, folder)


def test_files_of_two_components_are_refused(
    trained: Language, other: LSTMTagger, folder: Path, tmp_path: Path
) -> None:
    other.to_disk(tmp_path / "other", exclude=["vocab"])
    (folder / "model").write_bytes((tmp_path / "other" / "model").read_bytes())
    with pytest.raises(ValueError, match="damaged"):
        load(other, folder)


@pytest.mark.parametrize(
    "config, message",
    [
        ({"factory": "lstm_pos_tagger"}, "it learnt tag: use the factory lstm_tagger"),
        ({"model": {"lstm_width": 7}}, r"lstm_width = 5 \(here 7\)"),
    ],
)
def test_refused_file_changes_neither_network_nor_transitions(
    nlp: Language,
    trained: Language,
    make_examples: Callable,
    folder: Path,
    config: dict[str, Any],
    message: str,
) -> None:
    model = {**trained.config["components"]["lstm_tagger"]["model"], **config.get("model", {})}
    component = nlp.add_pipe(config.get("factory", "lstm_tagger"), config={"model": model})
    component.initialize(lambda: make_examples(nlp), labels=["VERB", "DET", "NOUN"])
    if component.model.has_param("transitions"):
        component.model.set_param("transitions", numpy.ones((3, 3), dtype="float32"))
    before, labels = scores(component), component.labels
    with pytest.raises(ValueError, match=message):
        load(component, folder)
    assert component.labels == labels
    assert_array_equal(scores(component), before)


def test_a_model_of_another_size_is_refused(
    nlp: Language, trained: Language, make_examples: Callable, folder: Path
) -> None:
    model = trained.config["components"]["lstm_tagger"]["model"]
    component = nlp.add_pipe("lstm_tagger", config={"model": model})
    component.initialize(lambda: make_examples(nlp), labels=["A", "B"])
    before = scores(component)
    with pytest.raises(ValueError, match=r"nO = 3 \(here 2\)"):
        load(component, folder)
    assert component.labels == ("A", "B")
    assert_array_equal(scores(component), before)


@pytest.mark.parametrize("setting, value", [*CHANGED.items(), ("store_probabilities", True)])
def test_the_config_that_a_pipeline_is_loaded_with_wins(
    trained: Language, tmp_path: Path, setting: str, value: Any
) -> None:
    trained.to_disk(tmp_path)
    nlp = spacy.load(tmp_path, config={"components": {"lstm_tagger": {setting: value}}})
    component = nlp.get_pipe("lstm_tagger")
    assert component.cfg[setting] == value
    assert component.labels == trained.get_pipe("lstm_tagger").labels
    nlp.to_disk(tmp_path / "again")
    assert spacy.load(tmp_path / "again").get_pipe("lstm_tagger").cfg[setting] == value


def test_what_is_changed_at_run_time_is_not_saved(
    nlp: Language, train: Callable, tmp_path: Path
) -> None:
    component = train(nlp).get_pipe("lstm_tagger")
    before = dict(component.cfg)
    component.store_probabilities = True
    component.new_labels = "add"
    component.cfg.update(CHANGED)
    nlp.to_disk(tmp_path)
    assert spacy.load(tmp_path).get_pipe("lstm_tagger").cfg == before
    component.from_disk(tmp_path / "lstm_tagger", exclude=["vocab"])
    assert component.store_probabilities and component.cfg.items() >= CHANGED.items()


@pytest.mark.parametrize("copy", [deepcopy, lambda nlp: pickle.loads(pickle.dumps(nlp))])
def test_what_is_changed_at_run_time_reaches_other_processes(
    nlp: Language, train: Callable, copy: Callable
) -> None:
    component = train(nlp).get_pipe("lstm_tagger")
    component.store_probabilities = True
    component.cfg.update(CHANGED)
    assert copy(nlp).get_pipe("lstm_tagger").cfg == component.cfg


def test_labels_and_lexicon_come_from_the_file(
    nlp: Language, train: Callable, make_examples: Callable, tmp_path: Path
) -> None:
    lexicon = {"dog": ["V"]}
    nlp.config["initialize"]["components"]["lstm_tagger"] = {"lexicon": lexicon}
    train(nlp).to_disk(tmp_path)
    config = {"components": {"lstm_tagger": {"overwrite": True}}}
    component = spacy.load(tmp_path, config=config).get_pipe("lstm_tagger")
    assert (component.labels, component.cfg["lexicon"]) == (("DET", "NN", "V"), lexicon)


@pytest.mark.parametrize("missing", ["cfg", "model"])
def test_labels_of_another_number_than_the_models_are_refused(
    trained: Language, folder: Path, tiny: dict[str, Any], missing: str
) -> None:
    nlp = spacy.blank("xx")
    model = trained.config["components"]["lstm_tagger"]["model"]
    component = nlp.add_pipe("lstm_tagger", config={"model": model})
    component.add_label("DET")
    if missing == "model":
        words = Doc(nlp.vocab, words=["a"], tags=["DET"])
        nlp.initialize(lambda: [Example(Doc(nlp.vocab, words=["a"]), words)])
    with pytest.raises(ValueError, match=r"model has \d labels, and its cfg \d"):
        component.from_disk(folder, exclude=["vocab", missing])


def test_a_model_that_was_loaded_without_its_labels_tags_nothing(
    trained: Language, folder: Path
) -> None:
    nlp = spacy.blank("xx")
    model = trained.config["components"]["lstm_tagger"]["model"]
    component = nlp.add_pipe("lstm_tagger", config={"model": model})
    component.from_disk(folder, exclude=["vocab", "cfg"])
    with pytest.raises(ValueError, match="lstm_tagger: its model has 3 labels, and its cfg 0"):
        nlp(TEXT)


def test_what_is_excluded_can_be_any_iterable(
    trained: Language, other: LSTMTagger, tmp_path: Path
) -> None:
    component = trained.get_pipe("lstm_tagger")
    component.to_disk(tmp_path, exclude=(name for name in ("vocab", "model")))
    assert [path.name for path in tmp_path.iterdir()] == ["cfg"]
    other.from_disk(tmp_path, exclude=(name for name in ("vocab", "model")))
    data = component.to_bytes(exclude=(name for name in ("vocab", "model")))
    assert srsly.msgpack_loads(data).keys() == {"cfg"}


@pytest.mark.parametrize("part", ["weights", "transitions"])
def test_numbers_that_are_not_finite_are_not_saved(
    nlp: Language, train: Callable, tiny: dict[str, Any], tmp_path: Path, part: str
) -> None:
    train(nlp, model={**tiny, "crf": True}).to_disk(tmp_path)
    component = nlp.get_pipe("lstm_tagger")
    if part == "weights":
        component.model.layers[0].shims[0].network.output.weight.data.fill_(numpy.nan)
    else:
        component.model.set_param("transitions", numpy.full((3, 3), numpy.inf, dtype="float32"))
    with pytest.raises(ValueError, match=r"NaN or infinity|not finite"):
        nlp.to_disk(tmp_path)
    assert spacy.load(tmp_path).get_pipe("lstm_tagger").labels == component.labels

"""A trained `lstm_tagger` as bytes, on disk, pickled, copied, and in other processes."""

import gc
import pickle
import subprocess
import sys
from collections.abc import Callable
from contextlib import nullcontext
from copy import deepcopy
from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
import srsly
import torch
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import SGD, Model

from spacy_lstm_tagger.model.vocabulary import to_lists
from spacy_lstm_tagger.pipeline.labels import FACTORIES
from spacy_lstm_tagger.pipeline.tagger import LSTMTagger

TEXTS = ["The dog ate the apple", "", "Everybody read", "an unknown 🐈", "that book " * 60]
ATTRIBUTES = ["tag", "pos", "morph"]
SETTINGS = [
    {"depth": 2},
    {"bidirectional": False},
    {"character_lstm_width": 0},
    {"affixes": False},
    {"include_static_vectors": True},
]
OTHER_SETTINGS = {
    "word_width": 7,
    "character_width": 7,
    "character_lstm_width": 0,
    "lstm_width": 7,
    "depth": 2,
    "bidirectional": False,
    "affixes": False,
    "include_static_vectors": True,
}
PRINT_SCORES = """
import sys
import spacy
nlp = spacy.load(sys.argv[1])
docs = [nlp.make_doc(text) for text in sys.argv[2:]]
for scores in nlp.get_pipe("lstm_tagger").model.predict(docs):
    print(scores.tobytes().hex())
"""


def through_bytes(nlp: Language, tmp_path: Path) -> Language:
    return spacy.blank("xx").from_config(nlp.config).from_bytes(nlp.to_bytes())


def through_disk(nlp: Language, tmp_path: Path) -> Language:
    nlp.to_disk(tmp_path)
    return spacy.load(tmp_path)


def through_pickle(nlp: Language, tmp_path: Path) -> Language:
    return pickle.loads(pickle.dumps(nlp))


def through_deepcopy(nlp: Language, tmp_path: Path) -> Language:
    return deepcopy(nlp)


WAYS = [through_bytes, through_disk, through_pickle, through_deepcopy]


def scores(nlp: Language, name: str = "lstm_tagger") -> list[numpy.ndarray]:
    return nlp.get_pipe(name).model.predict([nlp.make_doc(text) for text in TEXTS])


def tags(nlp: Language, **settings: Any) -> list[list[str]]:
    return [[token.tag_ for token in doc] for doc in nlp.pipe(TEXTS, **settings)]


def equal(first: Any, second: Any) -> bool:
    """Say whether two lists, or dicts, of arrays are the same to the last bit."""
    if isinstance(first, dict):
        return first.keys() == second.keys() and equal([*first.values()], [*second.values()])
    return len(first) == len(second) and all(map(numpy.array_equal, first, second))


@pytest.fixture
def trained(saved_pipeline: Path) -> Language:
    """A trained pipeline that hasn't read anything: the cache of another one could hold word types
    that were computed in other batches, with other last digits.
    """
    return spacy.load(saved_pipeline)


@pytest.fixture
def component(nlp: Language, tiny: dict[str, Any]) -> LSTMTagger:
    """A component without weights, with the config of the trained one."""
    return nlp.add_pipe("lstm_tagger", config={"model": tiny})


@pytest.mark.parametrize("way", WAYS)
def test_weights_and_scores_survive(
    trained: Language, weights_of: Callable, tmp_path: Path, way: Callable
) -> None:
    loaded = way(trained, tmp_path)
    old, new = trained.get_pipe("lstm_tagger"), loaded.get_pipe("lstm_tagger")
    assert old is not new and old.cfg == new.cfg
    old_vocabulary, new_vocabulary = (c.model.shims[0].vocabulary for c in (old, new))
    assert to_lists(old_vocabulary) == to_lists(new_vocabulary)
    assert equal(weights_of(old.model), weights_of(new.model))
    assert equal(scores(trained), scores(loaded))
    assert tags(trained) == tags(loaded)


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("settings", SETTINGS, ids=lambda settings: next(iter(settings)))
def test_every_setting_survives(
    nlp: Language,
    tiny: dict[str, Any],
    make_examples: Callable,
    tmp_path: Path,
    settings: dict[str, Any],
    way: Callable,
) -> None:
    nlp.vocab.set_vector("dog", numpy.ones(3, dtype="float32"))
    nlp.add_pipe("lstm_tagger", config={"model": {**tiny, **settings}})
    nlp.initialize(lambda: make_examples(nlp))
    assert equal(scores(nlp), scores(way(nlp, tmp_path)))


@pytest.mark.parametrize("way", WAYS[:2])  # spaCy can't pickle a listener that was trained
def test_shared_encoder_survives(
    shared: Language, make_examples: Callable, weights_of: Callable, tmp_path: Path, way: Callable
) -> None:
    nlp = shared
    examples = make_examples(nlp)
    optimizer = nlp.initialize(lambda: examples)
    for _ in range(10):
        nlp.update(examples, sgd=optimizer)
    loaded = way(nlp, tmp_path)
    old, new = (
        weights_of(nlp.get_pipe("tok2vec").model),
        weights_of(loaded.get_pipe("tok2vec").model),
    )
    assert old and equal(old, new)
    assert equal(scores(nlp, "tok2vec"), scores(loaded, "tok2vec")) and tags(nlp) == tags(loaded)


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_component_survives_without_its_pipeline(
    nlp: Language,
    tiny: dict[str, Any],
    make_examples: Callable,
    weights_of: Callable,
    tmp_path: Path,
    attribute: str,
) -> None:
    config = {"model": tiny, "overwrite": True, "neg_prefix": "~"}
    old = nlp.add_pipe(FACTORIES[attribute], config=config)
    nlp.initialize(lambda: make_examples(nlp))
    old.to_disk(tmp_path)
    for load, data in (("from_bytes", old.to_bytes()), ("from_disk", tmp_path)):
        new = spacy.blank("xx").add_pipe(FACTORIES[attribute], config=config)
        getattr(new, load)(data)
        assert new.cfg == old.cfg and new.labels == old.labels
        assert equal(weights_of(new.model), weights_of(old.model))


def test_score_weights_survive(nlp: Language, tmp_path: Path) -> None:
    for attribute in ATTRIBUTES:
        nlp.add_pipe(FACTORIES[attribute], name=attribute)
    loaded = through_disk(nlp, tmp_path)
    weights = loaded.config["training"]["score_weights"]
    assert weights == nlp.config["training"]["score_weights"]
    assert [loaded.get_pipe(name).attribute for name in loaded.pipe_names] == ATTRIBUTES


@pytest.mark.parametrize("way", WAYS)
def test_pipeline_survives_after_use(
    nlp: Language, train: Callable, make_examples: Callable, tmp_path: Path, way: Callable
) -> None:
    train(nlp)
    tags(nlp)
    nlp.update(make_examples(nlp), drop=0.5, sgd=nlp.resume_training())
    nlp.get_pipe("lstm_tagger").model.begin_update([nlp.make_doc("left without backprop")])
    assert equal(scores(nlp), scores(way(nlp, tmp_path)))


def test_loading_then_saving_changes_no_byte(trained: Language, tmp_path: Path) -> None:
    loaded = through_disk(trained, tmp_path / "first")
    loaded.to_disk(tmp_path / "second")
    first, second = (tmp_path / folder / "lstm_tagger" for folder in ("first", "second"))
    assert sorted(path.name for path in first.iterdir()) == ["cfg", "model"]
    for path in first.iterdir():
        assert path.read_bytes() == (second / path.name).read_bytes()


@pytest.mark.parametrize("copy", [Model.copy, deepcopy, lambda m: pickle.loads(pickle.dumps(m))])
def test_copy_of_the_model_is_its_own(
    trained: Language, make_examples: Callable, weights_of: Callable, copy: Callable
) -> None:
    model = trained.get_pipe("lstm_tagger").model
    before, copied = weights_of(model), copy(model)
    assert equal(before, weights_of(copied)) and copied.shims[0].id != model.shims[0].id
    docs = [eg.predicted for eg in make_examples(trained)]
    scores, backprop = copied.begin_update(docs)
    backprop([doc_scores + 1 for doc_scores in scores])
    copied.finish_update(SGD(0.1))
    assert equal(before, weights_of(model)) and not equal(before, weights_of(copied))


@pytest.mark.parametrize("way", WAYS)
def test_training_goes_on_as_in_the_original(
    nlp: Language,
    tiny: dict[str, Any],
    make_examples: Callable,
    weights_of: Callable,
    tmp_path: Path,
    way: Callable,
) -> None:
    nlp.add_pipe("lstm_tagger", config={"model": {**tiny, "unknown_rate": 0}})
    nlp.initialize(lambda: make_examples(nlp))
    loaded = way(nlp, tmp_path)
    before = weights_of(nlp.get_pipe("lstm_tagger").model)
    for pipeline in (nlp, loaded):
        pipeline.update(make_examples(pipeline), sgd=SGD(0.1))
    after = [weights_of(pipeline.get_pipe("lstm_tagger").model) for pipeline in (nlp, loaded)]
    assert equal(*after) and not equal(before, after[0])


def test_averages_are_saved_while_they_are_in_place(
    nlp: Language, train: Callable, make_examples: Callable, weights_of: Callable, tmp_path: Path
) -> None:
    train(nlp)
    optimizer = SGD(0.5, use_averages=True)
    for _ in range(2):
        nlp.update(make_examples(nlp), sgd=optimizer)
    with nlp.use_params(optimizer.averages):
        nlp.to_disk(tmp_path)
    saved = weights_of(spacy.load(tmp_path).get_pipe("lstm_tagger").model)
    assert equal(list(saved.values()), list(optimizer.averages.values()))
    assert not equal(saved, weights_of(nlp.get_pipe("lstm_tagger").model))


def test_fresh_process_prints_the_same_scores(trained: Language, tmp_path: Path) -> None:
    trained.to_disk(tmp_path)
    run = subprocess.run(
        [sys.executable, "-c", PRINT_SCORES, tmp_path, *TEXTS],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    printed = run.stdout.split("\n")[:-1]
    assert printed == [array.tobytes().hex() for array in scores(trained)], run.stderr


def test_labels_are_strings_of_any_vocab(
    trained: Language, component: LSTMTagger, nlp: Language
) -> None:
    component.from_bytes(trained.get_pipe("lstm_tagger").to_bytes(exclude=["vocab"]))
    assert [token.tag_ for token in nlp(TEXTS[0])] == ["DET", "NN", "V", "DET", "NN"]


@pytest.mark.parametrize("is_on", [True, False])
def test_garbage_collection_stays_as_it_is_when_a_file_is_refused(
    is_on: bool, trained: Language, component: LSTMTagger, tmp_path: Path
) -> None:
    trained.get_pipe("lstm_tagger").to_disk(tmp_path)
    path = tmp_path / "model"
    whole = path.read_bytes()
    before = gc.isenabled()
    try:
        (gc.enable if is_on else gc.disable)()
        for length in (0, len(whole) // 2, len(whole)):
            path.write_bytes(whole[:length])
            with nullcontext() if length == len(whole) else pytest.raises(ValueError):
                component.from_disk(tmp_path)
            assert gc.isenabled() == is_on
    finally:
        (gc.enable if before else gc.disable)()


@pytest.mark.parametrize("part", [0, 0.001, 0.05, 0.1, 0.3, 0.6, 0.9, 0.9999])
def test_truncated_model_file_is_refused(trained: Language, tmp_path: Path, part: float) -> None:
    trained.to_disk(tmp_path)
    path = tmp_path / "lstm_tagger" / "model"
    whole = path.read_bytes()
    path.write_bytes(whole[: int(part * len(whole))])
    with pytest.raises(ValueError):
        spacy.load(tmp_path)


@pytest.mark.parametrize("setting, value", OTHER_SETTINGS.items())
def test_model_saved_with_other_settings_is_refused(
    trained: Language, tmp_path: Path, setting: str, value: Any
) -> None:
    trained.to_disk(tmp_path)
    config = {"components": {"lstm_tagger": {"model": {setting: value}}}}
    with pytest.raises(ValueError, match=f"{setting} = .*here {value}"):
        spacy.load(tmp_path, config=config)


@pytest.mark.parametrize("damage", [b"", b"altered", None])
def test_refusal_names_the_component_and_the_remedy(
    nlp: Language, train: Callable, tmp_path: Path, damage: bytes | None
) -> None:
    train(nlp, name="mine").to_disk(tmp_path)
    path = tmp_path / "mine" / "model"
    whole, half = path.read_bytes(), path.stat().st_size // 2
    config = {} if damage is not None else {"components": {"mine": {"model": {"depth": 2}}}}
    if damage is not None:
        path.write_bytes(whole[:half] + (damage and damage + whole[half + len(damage) :]))
    remedy = "again" if damage is not None else "config"
    with pytest.raises(ValueError, match=rf"\bmine\b.*{remedy}"):
        spacy.load(tmp_path, config=config)


def test_model_saved_with_another_attribute_is_refused(trained: Language, tmp_path: Path) -> None:
    trained.to_disk(tmp_path)
    config = {"components": {"lstm_tagger": {"factory": "lstm_pos_tagger"}}}
    with pytest.raises(
        ValueError, match=r"lstm_tagger: .*it learnt tag: use the factory lstm_tagger"
    ):
        spacy.load(tmp_path, config=config)


def test_refused_file_leaves_the_component_as_it_was(
    trained: Language, nlp: Language, tiny: dict[str, Any]
) -> None:
    component = nlp.add_pipe("lstm_tagger", config={"model": {**tiny, "lstm_width": 7}})
    words = ["one", "two", "three"]
    reference = Doc(nlp.vocab, words=words, tags=["X", "Y", "Z"])
    nlp.initialize(lambda: [Example(Doc(nlp.vocab, words=words), reference)])
    before, labels = component.model.predict([reference]), component.labels
    with pytest.raises(ValueError, match="lstm_width"):
        component.from_bytes(trained.get_pipe("lstm_tagger").to_bytes())
    assert component.labels == labels
    assert equal(component.model.predict([reference]), before)


def test_nothing_is_unpickled(
    trained: Language, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained.to_disk(tmp_path)

    def refuse(*_: Any, **__: Any) -> None:
        raise AssertionError("something was unpickled")

    for module, name in ((torch, "load"), (pickle, "load"), (pickle, "loads")):
        monkeypatch.setattr(module, name, refuse)
    monkeypatch.setattr(pickle, "Unpickler", refuse)
    assert equal(scores(spacy.load(tmp_path)), scores(trained))


@pytest.mark.parametrize("way", WAYS)
def test_uninitialized_component_survives(
    nlp: Language,
    component: LSTMTagger,
    make_examples: Callable,
    tmp_path: Path,
    way: Callable,
) -> None:
    component.add_label("EXTRA")
    loaded = way(nlp, tmp_path)
    with pytest.raises(ValueError, match="initialize"):
        loaded("a dog")
    loaded.initialize(lambda: make_examples(loaded))
    assert loaded.get_pipe("lstm_tagger").labels == ("EXTRA", "DET", "NN", "V")
    assert all(array.shape[1] == 4 for array in scores(loaded))


def test_weights_replace_those_that_are_there(
    trained: Language, nlp: Language, component: LSTMTagger, make_examples: Callable
) -> None:
    nlp.initialize(lambda: make_examples(nlp))
    assert not equal(scores(nlp), scores(trained))
    nlp.from_bytes(trained.to_bytes())
    assert equal(scores(nlp), scores(trained))


def test_excluded_component_is_not_saved(trained: Language, tmp_path: Path) -> None:
    trained.to_disk(tmp_path, exclude=["lstm_tagger"])
    assert not (tmp_path / "lstm_tagger").exists()
    assert spacy.load(tmp_path, exclude=["lstm_tagger"]).pipe_names == []


@pytest.mark.parametrize("excluded", ["model", "cfg", "vocab"])
def test_excluded_part_is_neither_saved_nor_loaded(
    trained: Language, component: LSTMTagger, tmp_path: Path, excluded: str
) -> None:
    tagger = trained.get_pipe("lstm_tagger")
    parts = {"cfg", "vocab", "model"}
    tagger.to_disk(tmp_path, exclude=[excluded])
    assert {path.name for path in tmp_path.iterdir()} == parts - {excluded}
    assert srsly.msgpack_loads(tagger.to_bytes(exclude=[excluded])).keys() == parts - {excluded}
    component.from_bytes(tagger.to_bytes(), exclude=[excluded])
    assert (component.labels == tagger.labels) == (excluded != "cfg")
    assert (component.model.has_dim("nO") is True) == (excluded != "model")

"""Tests of `listeners.py`: a tagger reads what its encoder wrote, or raises."""

import shutil
from collections.abc import Callable
from pathlib import Path

import numpy
import pytest
import spacy
from helpers import GOLD, WORDS, annotation, learn
from numpy.testing import assert_array_equal
from spacy.language import Language
from spacy.tokens import Doc
from spacy.util import load_model_from_config
from thinc.api import Adam, Config

TEXT = "The dog ate that book"
UNREAD = r"tags: .*listens to 'tok2vec'.*'The dog' has nothing.*nlp.get_pipe\('tok2vec'\)\(doc\)"

WIDTH = (
    r"tags: .*'tok2vec' with width = 40.*set width = 46 .*"
    r"LSTMListener.v1 with encoder = \$\{components.tok2vec.model\}"
)


@pytest.fixture
def doc(shared: Language, make_examples: Callable) -> Doc:
    """A Doc that no component has read."""
    shared.initialize(lambda: make_examples(shared))
    return shared.make_doc("The dog")


@pytest.mark.parametrize(
    "call",
    [
        lambda tagger, doc: tagger.predict_probabilities([doc]),
        lambda tagger, doc: tagger.k_best(doc, 2),
        lambda tagger, doc: tagger(doc),
        lambda tagger, doc: list(tagger.pipe([doc])),
    ],
)
def test_a_doc_that_the_encoder_did_not_read_is_refused(
    shared: Language, doc: Doc, call: Callable
) -> None:
    with pytest.raises(ValueError, match=UNREAD):
        call(shared.get_pipe("tags"), doc)


def test_a_pipeline_without_its_encoder_is_refused(shared: Language, doc: Doc) -> None:
    with shared.select_pipes(disable=["tok2vec"]), pytest.raises(ValueError, match=UNREAD):
        shared("The dog")


@pytest.mark.parametrize("shape", [(1, 46), (2, 45), (3, 46)])
def test_what_another_component_wrote_is_refused(
    shared: Language, doc: Doc, shape: tuple[int, int]
) -> None:
    doc.tensor = numpy.zeros(shape, dtype="float32")
    with pytest.raises(ValueError, match=r"needs \(2, 46\) values"):
        shared.get_pipe("tags").predict_probabilities([doc])


def test_the_advice_gives_what_the_pipeline_would(shared: Language, doc: Doc) -> None:
    tagger = shared.get_pipe("tags")
    (found,) = tagger.predict_probabilities([shared.get_pipe("tok2vec")(doc)])
    (expected,) = tagger.predict_probabilities([shared("The dog")])
    assert_array_equal(found, expected)


def test_an_empty_doc_needs_nothing(shared: Language, doc: Doc) -> None:
    docs = [Doc(shared.vocab), shared.get_pipe("tok2vec")(doc)]
    assert list(map(len, shared.get_pipe("tags").predict_probabilities(docs))) == [0, 2]


def test_listener_of_another_width_is_refused_when_it_is_initialized(
    shared_config: Config, make_examples: Callable
) -> None:
    shared_config["components"]["tags"]["model"]["tok2vec"]["width"] = 40
    nlp = load_model_from_config(shared_config, auto_fill=True)
    with pytest.raises(ValueError, match=WIDTH):
        nlp.initialize(lambda: make_examples(nlp))


def test_a_listener_is_not_rehearsed_while_its_encoder_is_trained(
    shared: Language, make_examples: Callable
) -> None:
    examples = make_examples(shared)
    shared.initialize(lambda: examples)
    optimizer = shared.resume_training()
    shared.update(examples, sgd=optimizer)
    with pytest.raises(ValueError, match="it can't be rehearsed while the encoder"):
        shared.rehearse(examples, sgd=optimizer)


def test_listeners_share_one_encoder(shared: Language, make_examples: Callable) -> None:
    learn(shared, make_examples(shared))
    doc = shared(Doc(shared.vocab, words=WORDS))
    assert (annotation(doc, "tag"), annotation(doc, "pos")) == (GOLD["tag"], GOLD["pos"])


def test_listeners_train_the_encoder(
    shared: Language, make_examples: Callable, weights_of: Callable
) -> None:
    examples = make_examples(shared)
    shared.initialize(lambda: examples)
    encoder = shared.get_pipe("tok2vec").model
    before = weights_of(encoder)
    optimizer = Adam(0.01, L2=0)
    for _ in range(3):  # output layers begin at zero, and spaCy moves the encoder an update late
        shared.update(examples, sgd=optimizer)
    after = weights_of(encoder)
    assert before and not any(numpy.array_equal(before[name], after[name]) for name in before)


def test_replaced_listeners_predict_the_same(shared: Language, make_examples: Callable) -> None:
    learn(shared, make_examples(shared))
    docs = [Doc(shared.vocab, words=words) for words in (WORDS, ["A", "cat"], [], ["dog"])]
    expected = [annotation(doc, "pos") for doc in shared.pipe(doc.copy() for doc in docs)]
    shared.replace_listeners("tok2vec", "parts", ["model.tok2vec"])
    assert [annotation(doc, "pos") for doc in shared.pipe(docs)] == expected
    assert expected[0] == GOLD["pos"]


def test_replaced_listeners_train_apart(
    shared: Language, make_examples: Callable, weights_of: Callable
) -> None:
    examples = make_examples(shared)
    shared.initialize(lambda: examples)
    shared.replace_listeners("tok2vec", "parts", ["model.tok2vec"])
    encoder, own = shared.get_pipe("tok2vec").model, shared.get_pipe("parts").model
    before, own_before = weights_of(encoder), weights_of(own)
    optimizer = Adam(0.01, L2=0)
    for _ in range(2):
        shared.update(examples, sgd=optimizer, exclude=["tok2vec", "tags"])
    after, own_after = weights_of(encoder), weights_of(own)
    assert all(numpy.array_equal(before[name], after[name]) for name in before)
    assert own_before
    assert not any(numpy.array_equal(own_before[name], own_after[name]) for name in own_before)


@pytest.fixture
def trained(shared: Language, make_examples: Callable) -> Language:
    """Two taggers over one encoder, trained a little."""
    examples = make_examples(shared)
    optimizer = shared.initialize(lambda: examples)
    for _ in range(3):
        shared.update(examples, sgd=optimizer)
    return shared


@pytest.fixture
def folder(trained: Language, tmp_path: Path) -> Path:
    """Where the pipeline was saved, and saved again."""
    trained.to_disk(tmp_path / "pipeline")
    trained.to_disk(tmp_path / "pipeline")
    return tmp_path / "pipeline"


def labels(nlp: Language) -> list[tuple[str, str]]:
    return [(token.tag_, token.pos_) for token in nlp(TEXT)]


def more(nlp: Language, make_examples: Callable) -> None:
    nlp.update(make_examples(nlp), sgd=nlp.resume_training())


@pytest.mark.parametrize("name", ["tags", "parts"])
def test_a_pipeline_that_was_not_saved_to_its_end_is_refused(
    trained: Language,
    folder: Path,
    make_examples: Callable,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    def stop(path: Path, **settings: object) -> None:
        raise KeyboardInterrupt

    more(trained, make_examples)
    monkeypatch.setattr(trained.get_pipe(name), "to_disk", stop)
    with pytest.raises(KeyboardInterrupt):
        trained.to_disk(folder)
    with pytest.raises(ValueError, match=f"{name}: .*it listens to 'tok2vec', and was saved with"):
        spacy.load(folder)
    monkeypatch.undo()
    trained.to_disk(folder)
    assert labels(spacy.load(folder)) == labels(trained)


def test_a_pipeline_that_was_copied_is_loaded(
    trained: Language, folder: Path, tmp_path: Path
) -> None:
    shutil.copytree(folder, tmp_path / "copy")
    nlp = spacy.load(tmp_path / "copy")
    copy = spacy.blank("xx").from_config(nlp.config).from_bytes(nlp.to_bytes())
    assert labels(nlp) == labels(copy) == labels(trained)


def test_sourced_components_are_saved_with_their_encoder(
    folder: Path, tmp_path: Path, make_examples: Callable
) -> None:
    source, nlp = spacy.load(folder), spacy.blank("xx")
    for name in ("tok2vec", "tags"):
        nlp.add_pipe(name, source=source)
    more(nlp, make_examples)
    nlp.to_disk(tmp_path / "sourced")
    assert labels(spacy.load(tmp_path / "sourced")) == labels(nlp)


@pytest.mark.parametrize("excluded", ["tags", "tok2vec"])
def test_components_are_excluded(
    trained: Language, folder: Path, tmp_path: Path, excluded: str
) -> None:
    assert excluded not in spacy.load(folder, exclude=[excluded]).pipe_names
    trained.to_disk(tmp_path / "part", exclude=[excluded])
    names = {path.name for path in (tmp_path / "part").iterdir() if (path / "model").exists()}
    assert names == {"tok2vec", "tags", "parts"} - {excluded}
    assert spacy.load(tmp_path / "part", exclude=[excluded]).has_pipe("parts")


def test_a_replaced_listener_needs_no_encoder(
    trained: Language, folder: Path, make_examples: Callable
) -> None:
    trained.replace_listeners("tok2vec", "tags", ["model.tok2vec"])
    trained.to_disk(folder)
    more(trained, make_examples)
    trained.get_pipe("tok2vec").to_disk(folder / "tok2vec")
    nlp = spacy.load(folder, exclude=["parts"])
    assert [token.tag_ for token in nlp(TEXT)] != [""] * 5
    with pytest.raises(ValueError, match=r"parts: .*it listens to 'tok2vec'"):
        spacy.load(folder)


def test_a_tagger_is_loaded_where_its_encoder_is_not(
    trained: Language, folder: Path, make_examples: Callable
) -> None:
    before = labels(trained)
    shutil.rmtree(folder / "tok2vec")
    more(trained, make_examples)
    trained.get_pipe("tags").from_disk(folder / "tags", exclude=["vocab"])
    assert len(labels(trained)) == len(before)


@pytest.mark.parametrize("order", [["tok2vec", "tags", "parts"], ["tags", "parts", "tok2vec"]])
def test_components_can_be_saved_in_any_order_over_older_ones(
    shared: Language, make_examples: Callable, tmp_path: Path, order: list[str]
) -> None:
    shared.initialize(lambda: make_examples(shared))
    shared.to_disk(tmp_path)
    for _ in range(2):
        for _ in range(3):
            shared.update(make_examples(shared), sgd=Adam(0.1))
        for name in order:
            shared.get_pipe(name).to_disk(tmp_path / name, exclude=["vocab"])
    (expected,), (found,) = (
        nlp.get_pipe("tags").predict_probabilities([nlp.get_pipe("tok2vec")(nlp.make_doc(TEXT))])
        for nlp in (shared, spacy.load(tmp_path))
    )
    assert_array_equal(found, expected)


def test_an_encoder_that_was_trained_on_is_refused(
    shared: Language, make_examples: Callable, tmp_path: Path
) -> None:
    shared.initialize(lambda: make_examples(shared))
    shared.to_disk(tmp_path)
    for _ in range(3):
        shared.update(make_examples(shared), sgd=Adam(0.1))
    shared.get_pipe("tok2vec").to_disk(tmp_path / "tok2vec", exclude=["vocab"])
    with pytest.raises(ValueError, match="it listens to 'tok2vec', and was saved with another one"):
        spacy.load(tmp_path)

"""A tagger and the encoder that it listens to belong together, though each is saved by itself."""

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import spacy
from spacy.language import Language

TEXT = "The dog ate that book"


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

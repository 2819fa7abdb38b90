"""The configs: each trains as it stands, and what it trains can be saved, loaded and used."""

from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
from spacy.cli.init_config import fill_config
from spacy.pipeline.tok2vec import Tok2VecListener
from spacy.tokens import Doc, DocBin
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import dict_to_dot, load_config
from spacy.vectors import Vectors
from spacy.vocab import Vocab

from spacy_lstm_tagger import LSTMTagger
from spacy_lstm_tagger.cli.convert import convert
from spacy_lstm_tagger.cli.pupil import CONFIG
from spacy_lstm_tagger.pipeline.distillation import Teacher, Teachers
from spacy_lstm_tagger.pipeline.labels import has_labels

ROOT = Path(__file__).parent.parent
CONFIGS = sorted((ROOT / "configs").glob("*.cfg"))
SHARING = [path for path in CONFIGS if "[components.tok2vec]" in path.read_text("utf8")]
MODEL = "components.lstm_tagger.model"
# In which settings each config differs from tagger.cfg; "*" stands for sections of its own.
DIFFERENCES = {
    "tagger": [],
    "accurate": [
        f"{MODEL}.{setting}"
        for setting in (
            "word_width",
            "character_width",
            "character_lstm_width",
            "lstm_width",
            "depth",
        )
    ],
    "vectors": [
        f"{MODEL}.include_static_vectors",
        "paths.lexicon",
        "initialize.vectors",
        "initialize.before_init.*",
    ],
    "labels": [
        "paths.train",
        "paths.dev",
        "components.lstm_tagger.factory",
        "components.lstm_tagger.extension",
        "components.lstm_tagger.spans",
        f"{MODEL}.crf",
        "training.score_weights.*",
    ],
    "distilled": [
        "components.lstm_tagger.new_labels",
        "paths.labelled",
        "paths.train",
        "corpora.train.*",
        "training.dropout",
        "training.max_epochs",
        "training.max_steps",
        "training.patience",
        "training.eval_frequency",
        "training.batcher.size.start",
    ],
    "shared": [
        "paths.pretrained",
        "initialize.components.*",
        "nlp.pipeline",
        "components.tok2vec.*",
        f"{MODEL}.@architectures",
        f"{MODEL}.tok2vec.*",
        "components.lstm_pos.*",
        "components.lstm_morph.*",
    ],
    "pipeline": [
        "paths.pretrained",
        "initialize.components.*",
        "paths.train",
        "paths.dev",
        "nlp.pipeline",
        "components.tok2vec.*",
        f"{MODEL}.@architectures",
        f"{MODEL}.tok2vec.*",
        "components.lstm_pos.*",
        "components.lstm_morph.*",
        "components.trainable_lemmatizer.*",
        "components.senter.*",
        "components.parser.*",
        "training.score_weights.sents_f",
    ],
    "pretrained": [
        "paths.pretrained",
        "initialize.components.*",
        "paths.raw_text",
        "paths.init_tok2vec",
        "paths.vectors",
        "nlp.pipeline",
        "components.tok2vec.*",
        f"{MODEL}.@architectures",
        f"{MODEL}.tok2vec.*",
        "corpora.pretrain.*",
        "pretraining.*",
        "initialize.vectors",
        "initialize.init_tok2vec",
    ],
    "adapt": [
        "initialize.components.*",
        "paths.*",
        "components.lstm_tagger.*",
        "corpora.*",
        "training.max_epochs",
        "training.max_steps",
        "training.patience",
        "training.eval_frequency",
        "training.batcher.*",
        "training.optimizer.learn_rate",
        "initialize.vectors",
    ],
    "tutorial": [
        "paths.pretrained",
        "initialize.components.*",
        "paths.train",
        "paths.dev",
        "paths.vectors",
        "system.seed",
        "nlp.batch_size",
        "components.lstm_tagger.label_smoothing",
        f"{MODEL}.word_width",
        f"{MODEL}.character_width",
        f"{MODEL}.character_lstm_width",
        f"{MODEL}.lstm_width",
        f"{MODEL}.bidirectional",
        f"{MODEL}.affixes",
        f"{MODEL}.unknown_rate",
        "corpora.train.augmenter.@augmenters",
        "corpora.dev.augmenter.@augmenters",
        "training.dropout",
        "training.max_epochs",
        "training.max_steps",
        "training.patience",
        "training.eval_frequency",
        "training.batcher.*",
        "training.optimizer.@optimizers",
        "training.optimizer.learn_rate",
        "training.optimizer.beta1",
        "training.optimizer.beta2",
        "training.optimizer.use_averages",
        "initialize.vectors",
    ],
}
# What spaCy's own components write.
WRITTEN = {"trainable_lemmatizer": "LEMMA", "senter": "SENT_START", "parser": "DEP"}
QUIET = {"@loggers": "spacy.ConsoleLogger.v3", "console_output": False}


@pytest.fixture
def parsed(tmp_path: Path) -> dict[str, str]:
    """The paths of a corpus that has lemmas and dependencies, which corpus/english lacks."""
    doc = Doc(
        Vocab(),
        words=["Ann", "ate", "apples", ".", "Dogs", "bark", "."],
        tags=["NNP", "VBD", "NNS", ".", "NNS", "VBP", "."],
        pos=["PROPN", "VERB", "NOUN", "PUNCT", "NOUN", "VERB", "PUNCT"],
        morphs=["Number=Sing", "Tense=Past", "Number=Plur", "", "Number=Plur", "Tense=Pres", ""],
        lemmas=["Ann", "eat", "apple", ".", "dog", "bark", "."],
        heads=[1, 1, 1, 1, 5, 5, 5],
        deps=["nsubj", "ROOT", "obj", "punct", "nsubj", "ROOT", "punct"],
    )
    DocBin(docs=[doc] * 30).to_disk(tmp_path / "parsed.spacy")
    return {f"paths.{split}": str(tmp_path / "parsed.spacy") for split in ("train", "dev")}


@pytest.fixture
def adapting(saved_pipeline: Path) -> dict[str, str]:
    """The paths of a trained pipeline, and of a small corpus that has its labels."""
    corpus = str(ROOT / "corpus" / "tutorial" / "train.spacy")
    paths = {name: corpus for name in ("train", "dev", "old_train", "old_dev")}
    return {f"paths.{name}": path for name, path in paths.items()} | {
        "paths.pipeline": str(saved_pipeline),
        "nlp.lang": "xx",
    }


@pytest.fixture
def knowledge(tmp_path: Path) -> dict[str, str]:
    """The paths of word vectors and a lexicon."""
    nlp = spacy.blank("en")
    nlp.vocab.vectors = Vectors(strings=nlp.vocab.strings, shape=(2, 3))
    nlp.vocab.set_vector("dog", numpy.ones(3, dtype="float32"))
    nlp.to_disk(tmp_path / "vectors")
    (tmp_path / "lexicon.json").write_text('{"dog": ["noun"], "ate": ["verb"]}', encoding="utf8")
    paths = {"vectors": tmp_path / "vectors", "lexicon": tmp_path / "lexicon.json"}
    return {f"paths.{name}": str(path) for name, path in paths.items()}


@pytest.fixture
def labelled(saved_pipeline: Path, tmp_path: Path) -> dict[str, str]:
    """The path of texts that a trained pipeline labelled."""
    docs = [Doc(Vocab(), words=text.split()) for text in ("The dog ate", "Everybody read it")]
    Teachers([Teacher(spacy.load(saved_pipeline))]).label(docs)
    (tmp_path / "labelled").mkdir()
    DocBin(store_user_data=True, docs=docs).to_disk(tmp_path / "labelled" / "texts.spacy")
    return {"paths.labelled": str(tmp_path / "labelled")}


@pytest.fixture
def converted(tmp_path: Path) -> dict[str, str]:
    """The path of a corpus that has labels in an extension."""
    convert([ROOT / "corpus" / "slots" / "dev.tsv"], tmp_path / "converted")
    path = str(tmp_path / "converted" / "dev.spacy")
    return {"paths.train": path, "paths.dev": path}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_trains_as_it_stands(
    path: Path,
    parsed: dict[str, str],
    adapting: dict[str, str],
    knowledge: dict[str, str],
    labelled: dict[str, str],
    converted: dict[str, str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(ROOT)
    few_steps = {"training.max_steps": 4, "training.eval_frequency": 2, "training.logger": QUIET}
    if path.stem == "pipeline":
        few_steps.update(parsed)
    if path.stem == "adapt":
        few_steps.update(adapting)
    if path.stem == "vectors":
        few_steps.update(knowledge)
    if path.stem == "distilled":
        few_steps.update(labelled)
    if path.stem == "labels":
        few_steps.update(converted)
    train(init_nlp(load_config(path, overrides=few_steps)), tmp_path)
    nlp = spacy.load(tmp_path / "model-last")
    doc = nlp("The dog ate the apple.")
    for name in nlp.pipe_names:
        if isinstance(tagger := nlp.get_pipe(name), LSTMTagger):
            assert has_labels(doc, tagger.attribute)
        elif name in WRITTEN:
            assert doc.has_annotation(WRITTEN[name])


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_scores_what_its_components_learn(path: Path, adapting: dict[str, str]) -> None:
    config = load_config(path, overrides=adapting if path.stem == "adapt" else {})
    nlp = spacy.util.load_model_from_config(config, auto_fill=True)
    pipes = [pipe for _, pipe in nlp.components]
    taggers = [pipe for pipe in pipes if isinstance(pipe, LSTMTagger)]
    learnt = {"ents_f" if one.cfg["spans"] else f"{one.attribute}_acc" for one in taggers}
    for name in set(WRITTEN) & set(nlp.pipe_names):
        scores = nlp.get_pipe_meta(name).default_score_weights
        learnt |= {score for score, weight in scores.items() if weight}
    weights = nlp.config["training"]["score_weights"]
    assert {name for name, weight in weights.items() if weight} == learnt


@pytest.mark.parametrize("path", SHARING, ids=lambda path: path.stem)
def test_listeners_of_a_config_follow_its_encoder(path: Path) -> None:
    config = load_config(path)
    config["components"]["tok2vec"]["model"]["lstm_width"] = 16
    nlp = spacy.util.load_model_from_config(config, auto_fill=True)
    nodes = [node for _, pipe in nlp.components for node in pipe.model.walk()]
    listeners = {node.get_dim("nO") for node in nodes if isinstance(node, Tok2VecListener)}
    assert listeners == {nlp.get_pipe("tok2vec").model.get_dim("nO")}


def settings_of(path: Path) -> dict[str, Any]:
    """Return all settings of a config as they stand in its file, by their dotted names."""
    return dict_to_dot(load_config(path, interpolate=False))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_differs_from_the_recommended_one_only_where_it_says(path: Path) -> None:
    here, recommended = settings_of(path), settings_of(ROOT / "configs" / "tagger.cfg")
    missing = object()
    different = [
        name
        for name in {**here, **recommended}
        if here.get(name, missing) != recommended.get(name, missing)
    ]
    expected = DIFFERENCES[path.stem]
    assert [n for n in different if not any(fnmatch(n, one) for one in expected)] == []
    assert [one for one in expected if not any(fnmatch(n, one) for n in different)] == []


def test_the_command_distill_has_the_same_config() -> None:
    # The command needs it where only the package is installed.
    assert CONFIG.read_bytes() == (ROOT / "configs" / "distilled.cfg").read_bytes()


@pytest.mark.parametrize("filled", [False, True])
def test_another_factory_is_given_on_the_command_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filled: bool
) -> None:
    monkeypatch.chdir(ROOT)
    overrides = {
        "components.lstm_tagger.factory": "lstm_pos_tagger",
        "training.max_epochs": 2,
        "training.eval_frequency": 1,
        "training.logger": QUIET,
    }
    path = ROOT / "configs" / "tutorial.cfg"
    if filled:
        fill_config(tmp_path / "filled.cfg", path, silent=True)
        path = tmp_path / "filled.cfg"
    train(init_nlp(load_config(path, overrides=overrides)), tmp_path)
    nlp = spacy.load(tmp_path / "model-best")
    # A filled config has the weight of `tag_acc`, which nothing scores now.
    weight = nlp.config["training"]["score_weights"]["pos_acc"]
    assert weight == (0.5 if filled else 1.0)
    assert nlp.meta["performance"]["pos_acc"] > 0
    assert nlp("The dog").has_annotation("POS")

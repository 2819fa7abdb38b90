"""The configs: each trains as it stands, and what it trains can be saved, loaded and used."""

from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import spacy
from spacy.cli.init_config import fill_config
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import dict_to_dot, load_config

from spacy_lstm_tagger import LSTMTagger

ROOT = Path(__file__).parent.parent
CONFIGS = sorted((ROOT / "configs").glob("*.cfg"))
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
    "crf": [f"{MODEL}.crf"],
    "streaming": [f"{MODEL}.bidirectional", f"{MODEL}.lookahead"],
    "shared": [
        "nlp.pipeline",
        "components.tok2vec.*",
        f"{MODEL}.@architectures",
        f"{MODEL}.tok2vec.*",
        "components.lstm_pos.*",
        "components.lstm_morph.*",
    ],
    "pretrained": [
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
        "initialize.before_init.*",
    ],
    "tutorial": [
        "paths.train",
        "paths.dev",
        "paths.vectors",
        "system.seed",
        "nlp.batch_size",
        "components.lstm_tagger.attribute",
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
QUIET = {"@loggers": "spacy.ConsoleLogger.v3", "console_output": False}


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_trains_as_it_stands(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(ROOT)
    few_steps = {"training.max_steps": 4, "training.eval_frequency": 2, "training.logger": QUIET}
    train(init_nlp(load_config(path, overrides=few_steps)), tmp_path)
    nlp = spacy.load(tmp_path / "model-last")
    doc = nlp("The dog ate the apple.")
    for name in nlp.pipe_names:
        if isinstance(tagger := nlp.get_pipe(name), LSTMTagger):
            assert doc.has_annotation(tagger.attribute.upper())


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_scores_what_its_components_learn(path: Path) -> None:
    config = load_config(path)
    nlp = spacy.util.load_model_from_config(config, auto_fill=True)
    pipes = [pipe for _, pipe in nlp.components]
    learnt = {pipe.attribute for pipe in pipes if isinstance(pipe, LSTMTagger)}
    weights = nlp.config["training"]["score_weights"]
    assert {name for name, weight in weights.items() if weight} == {f"{a}_acc" for a in learnt}


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


@pytest.mark.parametrize("filled", [False, True])
def test_training_keeps_the_best_by_the_attribute_that_the_command_line_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, filled: bool
) -> None:
    monkeypatch.chdir(ROOT)
    overrides = {
        "components.lstm_tagger.attribute": "pos",
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
    assert nlp.config["training"]["score_weights"] == {"pos_acc": 1.0}
    assert nlp.meta["performance"]["pos_acc"] > 0

"""The configs: each trains as it stands, and what it trains can be saved, loaded and used."""

from pathlib import Path

import pytest
import spacy
from spacy.training.initialize import init_nlp
from spacy.training.loop import train
from spacy.util import load_config

ROOT = Path(__file__).parent.parent
CONFIGS = sorted((ROOT / "configs").glob("*.cfg"))
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
        if nlp.get_pipe_meta(name).factory == "lstm_tagger":
            assert doc.has_annotation(nlp.get_pipe(name).attribute.upper())


@pytest.mark.parametrize("path", CONFIGS, ids=lambda path: path.stem)
def test_config_scores_what_its_components_learn(path: Path) -> None:
    config = load_config(path)
    learnt = {
        component.get("attribute", "tag")
        for component in config["components"].values()
        if component["factory"] == "lstm_tagger"
    }
    nlp = spacy.util.load_model_from_config(config, auto_fill=True)
    weights = nlp.config["training"]["score_weights"]
    assert {name for name, weight in weights.items() if weight} == {f"{a}_acc" for a in learnt}

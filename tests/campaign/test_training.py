"""Training that is killed, that diverges, or that goes on: nothing is lost."""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
from spacy.language import Language
from spacy.training.initialize import init_nlp
from spacy.training.loop import train as run_training
from spacy.util import load_config
from thinc.api import Config, Optimizer

from spacy_lstm_tagger import LSTMTagger

ROOT = Path(__file__).parents[2]
CONFIG = ROOT / "configs" / "tutorial.cfg"
PATHS = {"paths.train": str(ROOT / "corpus" / "tutorial" / "train.spacy")}
SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
QUIET = {"@loggers": "spacy.ConsoleLogger.v3", "console_output": False}
TEXT, TAGS = "Everybody read that book", ["NN", "V", "DET", "NN"]


def config(**changes: Any) -> Config:
    overrides = {**PATHS, "training.logger": QUIET, **changes}
    return load_config(CONFIG, overrides=overrides, interpolate=False)


def scores(nlp: Language) -> list[list[float]]:
    return nlp.get_pipe("lstm_tagger").model.predict([nlp.make_doc(TEXT)])[0].tolist()


def load_any(output: Path) -> tuple[Language | None, list[str]]:
    """Return a pipeline that training left, and which ones are whole."""
    whole, nlp = [], None
    for name in ("model-last", "model-best"):
        with suppress(Exception):
            nlp = spacy.load(output / name)
            whole.append(name)
    return nlp, whole


def kill_one(output: Path, how: signal.Signals, seconds: float) -> None:
    """Start a training that saves all the time, and kill it some time after it saved a pipeline."""
    settings = {**PATHS, "training.eval_frequency": 1, "training.max_epochs": 0}
    options = [part for name, value in settings.items() for part in (f"--{name}", str(value))]
    command = [sys.executable, "-m", "spacy", "train", str(CONFIG), "--output", str(output)]
    process = subprocess.Popen(
        [*command, *options], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        end = time.monotonic() + 120
        while not (output / "model-best").exists() and time.monotonic() < end:
            time.sleep(0.001)
        time.sleep(seconds)
        process.send_signal(how)
        process.wait(timeout=60)
    finally:
        process.kill()
        process.wait()


def test_killed_training_leaves_a_pipeline(tmp_path: Path, size: Callable, tell: Callable) -> None:
    n_kills, left = size(20, 0), Counter[str]()
    if not n_kills:
        pytest.skip("only --campaign does so: to start a training takes seconds")
    for i in range(n_kills):
        output = tmp_path / str(i)
        kill_one(output, SIGNALS[i % 3], random.uniform(0, 2))
        nlp, whole = load_any(output)
        assert nlp is not None and all(token.tag for token in nlp(TEXT)), (i, whole)
        left[" and ".join(whole)] += 1
    tell(f"Training: {n_kills} kills, what could be loaded: {dict(left)}, 0 times nothing")


@pytest.mark.filterwarnings("ignore:.*encountered:RuntimeWarning")
@pytest.mark.parametrize("crf", [False, True])
def test_training_stops_where_the_loss_is_no_number(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, crf: bool
) -> None:
    def diverge(component: LSTMTagger, sgd: Optimizer) -> None:
        sgd.learn_rate = 1e38 if component._n_steps == 30 else 0.5
        finish_update(component, sgd)

    finish_update = LSTMTagger.finish_update
    monkeypatch.setattr(LSTMTagger, "finish_update", diverge)
    changes = {"training.eval_frequency": 10, "components.lstm_tagger.model.crf": crf}
    with pytest.raises(ValueError, match=r"lstm_tagger: the loss is nan in step 3\d.*learn_rate"):
        run_training(init_nlp(config(**changes)), tmp_path)
    assert [token.tag_ for token in spacy.load(tmp_path / "model-best")(TEXT)] == TAGS


def test_loss_that_is_no_number_is_refused(pipeline: Language, make_examples: Callable) -> None:
    examples, component = make_examples(pipeline), pipeline.get_pipe("tags")
    scores, _ = component.model.begin_update([example.predicted for example in examples])
    scores[1][0] = numpy.nan
    with pytest.raises(ValueError, match=r"tags: the loss is nan in step 40 "):
        component.get_loss(examples, scores)


def test_interrupted_training_goes_on(tmp_path: Path) -> None:
    last, more = tmp_path / "training" / "model-last", tmp_path / "training-2"
    (tmp_path / "training").mkdir()
    more.mkdir()
    changes = {"training.max_steps": 30, "training.optimizer.learn_rate": 0.5}
    run_training(init_nlp(config(**changes)), last.parent)
    going_on = load_config(last / "config.cfg")
    going_on["components"]["lstm_tagger"] = {"source": str(last)}
    going_on.to_disk(tmp_path / "going_on.cfg")
    nlp = init_nlp(load_config(tmp_path / "going_on.cfg"))
    before = scores(spacy.load(last))
    assert scores(nlp) == before
    run_training(nlp, more)
    assert scores(spacy.load(more / "model-last")) != before
    assert spacy.load(more / "model-best").meta["performance"]["tag_acc"] == 1

"""The config of a pupil's training."""

from pathlib import Path
from typing import Any

from spacy.language import Language
from spacy.util import load_config
from thinc.api import Config

from ..pipeline.labels import FACTORIES
from .assembly import Plan

CONFIG = Path(__file__).parent / "templates" / "distilled.cfg"
REFERENCE_TOKENS = {"@augmenters": "spacy-lstm-tagger.reference_tokens.v1"}
TAGGER, ENCODER = "spacy-lstm-tagger.LSTMTagger.v1", "spacy-lstm-tagger.LSTMTok2Vec.v1"
# Settings of the model that differ from the config's.
SIZES: dict[str, dict[str, Any]] = {
    "fast": {"lstm_width": 64},
    "tagger": {},
    "accurate": {
        "word_width": 128,
        "character_width": 48,
        "character_lstm_width": 96,
        "lstm_width": 200,
        "depth": 2,
    },
}


def pupil_config(
    plan: Plan,
    teacher: Language,
    labelled: Path,
    *,
    config: Path | None = None,
    size: str = "tagger",
    vectors: str | None = None,
    has_gold: bool = False,
    has_dev: bool = False,
    overrides: dict[str, Any] | None = None,
) -> Config:
    """Return the config of a training with a component for each attribute. Its settings are those
    of the given config's tagger of this attribute, or else of its first tagger. Several components
    share an encoder, if they can.

    plan (Plan): The names of the components.
    teacher (Language): The pipeline with the pupil's language and tokenizer.
    labelled (Path): The folder of labelled texts.
    config (Path | None): The config to start from; None for this package's own.
    size (str): "fast", "tagger" or "accurate".
    vectors (str | None): A pipeline whose word vectors the pupil reads.
    has_gold (bool): Whether there are gold labels to learn from.
    has_dev (bool): Whether there is a dev set with gold labels.
    overrides (dict | None): Settings of the config to replace.
    RAISES: ValueError if there is no such size, if the config has no tagger, or if its training
        would never end.
    """
    if size not in SIZES:
        raise ValueError(f"the size {size!r} must be one of {', '.join(SIZES)}")
    made = load_config(config or CONFIG, overrides=overrides or {}, interpolate=False)
    _name_taggers(made, plan, labelled, config or CONFIG)
    for component in made["components"].values():
        if component.get("model", {}).get("@architectures") in (TAGGER, ENCODER):
            component["model"].update(SIZES[size])
            if vectors:
                component["model"]["include_static_vectors"] = True
    if vectors:
        made["initialize"]["vectors"] = vectors
    encoders = [name for name in plan.kept if hasattr(teacher.get_pipe(name), "listeners")]
    if not encoders:
        _share_encoder(made)
    elif len(made["nlp"]["pipeline"]) > len(plan.pupils):
        raise ValueError(
            f"{encoders[0]!r} can't be kept if the config's taggers share an encoder, as both "
            "write to doc.tensor: use a config whose taggers have encoders of their own"
        )
    theirs = teacher.config.interpolate()["nlp"]
    made["nlp"].update({"lang": theirs["lang"], "tokenizer": theirs["tokenizer"]})
    made["corpora"] = _corpora(made, labelled, has_gold=has_gold, has_dev=has_dev)
    made["training"]["max_epochs"] = -1
    if not made["training"].get("max_steps") and not made["training"].get("patience"):
        raise ValueError(
            "the training would never end: its texts are streamed, so max_epochs doesn't count. "
            "Set a number of steps, such as --training.max_steps 9000"
        )
    return made


def label_file(labelled: Path, component: str) -> Path:
    """Return the path of the labels of a component, in a folder of labelled texts."""
    return labelled / "labels" / f"{component}.json"


def _name_taggers(made: Config, plan: Plan, labelled: Path, path: Path) -> None:
    """Replace the taggers of a config by those of a plan."""
    components, pipeline = made["components"], made.interpolate()["nlp"]["pipeline"]
    taggers = [name for name in pipeline if components[name].get("factory") in FACTORIES.values()]
    if not taggers:
        raise ValueError(f"the config {path} has no lstm_tagger to train")
    by_factory = {components[name]["factory"]: name for name in reversed(taggers)}
    made.setdefault("initialize", {}).setdefault("components", {})
    initialized = made["initialize"]["components"]
    templates = {name: components.pop(name) for name in taggers}
    settings = {name: initialized.pop(name, {}) for name in taggers}
    for attribute, name in plan.pupils.items():
        template = by_factory.get(FACTORIES[attribute], taggers[0])
        component = Config(templates[template]).copy()
        components[name] = {**component, "factory": FACTORIES[attribute]}
        labels = {"@readers": "spacy.read_labels.v1", "path": str(label_file(labelled, name))}
        initialized[name] = {**settings[template], "labels": labels}
    others = [name for name in pipeline if name not in taggers]
    made["nlp"]["pipeline"] = [*others, *plan.pupils.values()]


def _share_encoder(made: Config) -> None:
    """Let taggers with the same model share one encoder, which is as accurate and faster."""
    names = made["nlp"]["pipeline"]
    models = [made["components"][name].get("model") for name in names]
    first = models[0]
    if len(names) < 2 or any(model != first for model in models):
        return
    if (
        first.get("@architectures") != TAGGER
        or first.get("crf")
        or not first.get("bidirectional", True)
    ):
        return
    of_tagger = ("crf", "lookahead", "nO")
    encoder = {key: value for key, value in first.items() if key not in of_tagger}
    made["components"]["tok2vec"] = {
        "factory": "tok2vec",
        "model": {**encoder, "@architectures": ENCODER},
    }
    listener = {
        "@architectures": "spacy-lstm-tagger.LSTMListener.v1",
        "encoder": "${components.tok2vec.model}",
    }
    for name in names:
        model = {"@architectures": "spacy.Tagger.v2", "tok2vec": listener}
        made["components"][name]["model"] = model
        made["initialize"]["components"][name].pop("pretrained", None)
    made["nlp"]["pipeline"] = ["tok2vec", *names]


def _corpora(made: Config, labelled: Path, *, has_gold: bool, has_dev: bool) -> dict[str, Any]:
    """Return the corpora of a folder of labelled texts, with the config's ratio of gold Docs."""
    train: dict[str, Any] = {
        "@readers": "spacy-lstm-tagger.LabelledCorpus.v1",
        "path": str(labelled / "texts"),
        "gold": str(labelled / "gold") if has_gold else None,
    }
    theirs = made.get("corpora", {}).get("train", {})
    if has_gold and "ratio" in theirs:
        train["ratio"] = theirs["ratio"]
    path = str(labelled / ("dev" if has_dev else "held_out"))
    dev = {"@readers": "spacy.Corpus.v1", "path": path, "augmenter": REFERENCE_TOKENS}
    return {"train": train, "dev": dev}

"""Distillation: from trained pipelines and raw texts to a fast pipeline, in one command."""

import shutil
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import spacy
import srsly
from spacy.cli._util import setup_gpu
from spacy.language import Language
from spacy.tokens import Doc, DocBin
from spacy.training.initialize import init_nlp
from spacy.training.loop import train as train_pipeline
from spacy.util import load_config, load_model, load_model_from_config
from spacy.vocab import Vocab
from thinc.api import Config
from wasabi import msg

from ..pipeline.distillation import Teacher, Teachers, load_teacher
from ..pipeline.labels import FACTORIES
from .agreement import judge, show
from .assembly import Plan, assemble, check_vectors, make_plan
from .compact import compact, save
from .evaluation import known_words
from .labelling import (
    Texts,
    annotated,
    check_manifest,
    label,
    label_texts,
    manifest_of,
    survey,
    write,
)
from .loading import load_pipeline, read_corpus, require_annotation, require_paths

CONFIG = Path(__file__).parent / "templates" / "distilled.cfg"
REFERENCE_TOKENS = {"@augmenters": "spacy-lstm-tagger.reference_tokens.v1"}


class Lesson(NamedTuple):
    """Who teaches, of what, and what becomes of it.

    gold, dev: Docs with gold labels to learn from, and to select the pupil by; none if there are
        none.
    """

    teachers: Teachers
    plan: Plan
    texts: Texts
    gold: list[Doc]
    dev: list[Doc]


def distill(
    inputs: Sequence[str],
    output: Path,
    *,
    train: Path | None = None,
    dev: Path | None = None,
    config: Path | None = None,
    components: Sequence[str] = (),
    vectors: str | None = None,
    keep: Sequence[str] = (),
    text_key: str = "text",
    overrides: dict[str, Any] | None = None,
    resume: bool = False,
    force: bool = False,
    use_gpu: int = -1,
) -> Language:
    """Train a pupil on what trained pipelines think of texts, and put it in a pipeline that takes
    the place of the first of them.

    inputs (Sequence[str]): The teachers, and files or folders of texts.
    output (Path): The folder to write to: `model-best` is the pipeline; `labelled` has the labels,
        `training` the pupil as it was trained, `config.cfg` its config.
    train, dev (Path | None): Corpora with gold labels, to learn from and to select the pupil by.
    config (Path | None): The config of the training; None for the one of this package.
    components (Sequence[str]): The components that teach; all that can if there are none.
    vectors (str | None): Word vectors for the pupil: a pipeline that has some.
    keep (Sequence[str]): Other components of the teacher to keep, with their encoders.
    text_key (str): Where JSONL files have their texts.
    overrides (dict | None): Settings of the config to replace.
    resume (bool): Whether to go on with labels that are there.
    force (bool): Whether to overwrite.
    use_gpu (int): Number of the GPU; -1 for none.
    RETURNS (Language): The pipeline.
    RAISES: ValueError if something is wrong with the input, before anything is written.
    """
    names, paths = split_inputs(inputs)
    require_paths([path for path in (train, dev, config) if path])
    _check_output(output, resume=resume, force=force)
    setup_gpu(use_gpu)
    teachers = Teachers([Teacher(load_teacher(name), components) for name in names])
    plan = make_plan(teachers.teachers[0], keep)
    _check_vectors(teachers.teachers[0], plan, vectors)
    gold, held_out = (_read_gold(path, teachers) for path in (train, dev))
    texts = survey(paths, text_key=text_key, hold_out=dev is None)
    lesson = Lesson(teachers, plan, texts, gold, held_out)
    settings = training_config(lesson, output, config, dev, vectors, overrides or {})
    load_model_from_config(
        settings, auto_fill=True
    )  # what is wrong with it is said before any work
    manifest = manifest_of(teachers, texts, gold)
    if force:
        shutil.rmtree(output / "labelled", ignore_errors=True)
    check_manifest(output / "labelled", manifest)
    _show_plan(lesson)
    try:
        label_texts(teachers, texts, gold, output / "labelled", manifest)
        _write_labels(lesson, output / "labelled")
        write(output / "config.cfg", settings.to_str().encode())
        msg.divider("Training the pupil")
        nlp = init_nlp(settings, use_gpu=use_gpu)
        (output / "training").mkdir(exist_ok=True)
        train_pipeline(nlp, output / "training", use_gpu=use_gpu, stdout=sys.stdout)
    except KeyboardInterrupt:
        raise ValueError(
            "interrupted. What is labelled stays: go on by the same command with --resume"
        ) from None
    return _deliver(lesson, output)


def split_inputs(inputs: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Tell teachers from texts: what is the folder of a pipeline or an installed package teaches.

    RAISES: ValueError if one is neither, or if there are no teachers or no texts.
    """
    teachers, texts = [], []
    for name in inputs:
        path = Path(name)
        if (path / "meta.json").is_file() or (path / "config.cfg").is_file():
            teachers.append(name)
        elif path.exists():
            texts.append(path)
        elif spacy.util.is_package(name):
            teachers.append(name)
        else:
            raise ValueError(
                f"there is no {name}: neither a trained pipeline, as a folder or as an installed "
                "package, nor a file or folder of texts"
            )
    if not teachers:
        raise ValueError("no teacher is named: give the folder or the name of a trained pipeline")
    if not texts:
        raise ValueError("no texts are named: give files or folders of texts")
    return teachers, texts


def training_config(
    lesson: Lesson,
    output: Path,
    config: Path | None,
    dev: Path | None,
    vectors: str | None,
    overrides: dict[str, Any],
) -> Config:
    """Return the config of the training: one component for each attribute, which has the settings
    of the config's tagger of this attribute, or else of its first one.

    RAISES: ValueError if the config has none.
    """
    loaded = load_config(config or CONFIG, overrides=overrides, interpolate=False)
    filled = loaded.interpolate()
    taggers = [
        name
        for name in filled["nlp"]["pipeline"]
        if filled["components"][name].get("factory") in FACTORIES.values()
    ]
    if not taggers:
        raise ValueError(f"the config {config or CONFIG} has no lstm_tagger to train")
    factories = {filled["components"][name]["factory"]: name for name in reversed(taggers)}
    pipeline = [name for name in filled["nlp"]["pipeline"] if name not in taggers]
    components = {name: loaded["components"][name] for name in pipeline}
    initialized = dict(loaded.get("initialize", {}).get("components", {}))
    of_taggers = {name: initialized.pop(name, {}) for name in taggers}
    labelled = output.absolute() / "labelled"
    for attribute, name in lesson.plan.pupils.items():
        template = factories.get(FACTORIES[attribute], taggers[0])
        components[name] = {**loaded["components"][template], "factory": FACTORIES[attribute]}
        labels = {"@readers": "spacy.read_labels.v1", "path": str(_label_file(labelled, name))}
        initialized[name] = {**of_taggers[template], "labels": labels}
    made = Config({**loaded, "components": components})
    theirs = lesson.teachers.teachers[0].nlp.config.interpolate()["nlp"]
    made["nlp"] = {**loaded["nlp"], "lang": theirs["lang"], "tokenizer": theirs["tokenizer"]}
    made["nlp"]["pipeline"] = [*pipeline, *lesson.plan.pupils.values()]
    made["initialize"] = {**loaded.get("initialize", {}), "components": initialized}
    if vectors:
        made["initialize"]["vectors"] = vectors
        for component in made["components"].values():
            model = component.get("model", {})
            if model.get("@architectures", "").startswith("spacy-lstm-tagger.LSTMT"):
                model["include_static_vectors"] = True
    made["corpora"] = _corpora(loaded, labelled, dev, has_gold=bool(lesson.gold))
    made["training"] = {**loaded["training"], "max_epochs": -1}
    return made


def _corpora(loaded: Config, labelled: Path, dev: Path | None, *, has_gold: bool) -> dict[str, Any]:
    ratio = loaded.get("corpora", {}).get("train", {}).get("ratio")
    train = {
        "@readers": "spacy-lstm-tagger.LabelledCorpus.v1",
        "path": str(labelled / "texts"),
        "gold": str(labelled / "gold") if has_gold else None,
        **({} if ratio is None else {"ratio": ratio}),
    }
    path = str(labelled / ("dev" if dev else "held_out"))
    held_out = {"@readers": "spacy.Corpus.v1", "path": path, "augmenter": REFERENCE_TOKENS}
    return {"train": train, "dev": held_out}


def _check_output(output: Path, *, resume: bool, force: bool) -> None:
    """Raise a ValueError if something would be overwritten."""
    if output.exists() and not output.is_dir():
        raise ValueError(f"{output} is a file; name a folder")
    if not (resume or force) and output.exists() and any(output.iterdir()):
        raise ValueError(
            f"{output} is not empty; use --force to overwrite what an earlier distillation wrote "
            "to it, or --resume to go on with its labels"
        )


def _check_vectors(teacher: Teacher, plan: Plan, vectors: str | None) -> None:
    """Raise a ValueError if there are no such word vectors, or a component needs other ones."""
    check_vectors(teacher, plan, vectors)
    if vectors and not load_pipeline(vectors).vocab.vectors_length:
        raise ValueError(f"{vectors} has no word vectors")


def _read_gold(path: Path | None, teachers: Teachers) -> list[Doc]:
    """Read a corpus with gold labels of what is taught, if there is one."""
    if path is None:
        return []
    docs = read_corpus(path, Vocab())
    for attribute in teachers.attributes:
        require_annotation(docs, attribute, path)
    return docs


def _show_plan(lesson: Lesson) -> None:
    """Say who teaches what, and what of the first teacher doesn't come along."""
    for teacher in lesson.teachers.teachers:
        for attribute, component in teacher.components.items():
            name = lesson.plan.pupils.get(attribute)
            if name is not None:
                msg.info(f"{component!r} of {teacher.name} teaches {name!r} its {attribute}")
    if left_out := lesson.plan.left_out:
        names = ", ".join(f"{name} ({reason})" for name, reason in left_out.items())
        msg.info(f"Left out, as they are no part of tagging: {names}. Keep one by --keep NAME")


def _label_file(labelled: Path, component: str) -> Path:
    return labelled / "labels" / f"{component}.json"


def _write_labels(lesson: Lesson, labelled: Path) -> None:
    """Write what the training reads beside the labelled texts: labels, and gold Docs."""
    for attribute, name in lesson.plan.pupils.items():
        strings = [(doc.vocab.strings, doc.to_array(attribute.upper())) for doc in lesson.gold]
        gold = {names[value] for names, values in strings for value in set(values.tolist())}
        labels = sorted({*lesson.teachers.labels[attribute], *gold} - {""})
        write(_label_file(labelled, name), srsly.json_dumps(labels).encode())
    if lesson.dev:
        data = DocBin(("TAG", "POS", "MORPH"), docs=lesson.dev).to_bytes()
        write(labelled / "dev" / "dev.spacy", data)


def _deliver(lesson: Lesson, output: Path) -> Language:
    """Build the pipeline, save it, and show how it compares to its teacher."""
    teacher, trained = lesson.teachers.teachers[0], load_model(output / "training" / "model-best")
    known = known_words(trained)
    if lesson.dev:
        examined = [
            annotated(doc, lesson.teachers.attributes) for doc in label(lesson.teachers, lesson.dev)
        ]
    else:
        examined = read_corpus(output / "labelled" / "held_out", Vocab())
    dropped, changed = compact(trained, examined)
    msg.info(
        f"Stored in half precision and without {dropped:.0%} of the words; "
        f"{1000 * changed:.2f} of 1,000 labels change by this"
    )
    nlp = assemble(teacher, trained, lesson.plan)
    nlp.meta["teachers"] = [
        {"pipeline": one.name, "components": one.components} for one in lesson.teachers.teachers
    ]
    best = output / "model-best"
    save(nlp, best)
    delivered = load_model(best)
    show(judge(delivered, teacher.nlp, lesson.plan, examined, lesson.dev, known=known))
    msg.good("Saved the pipeline", best)
    return delivered

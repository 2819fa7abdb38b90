"""The command `distill`: a fast pipeline from trained ones and raw texts."""

import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import spacy
import srsly
from spacy.cli._util import setup_gpu
from spacy.language import Language
from spacy.schemas import ConfigSchemaTraining
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from spacy.training.initialize import init_nlp
from spacy.training.loop import train as train_pipeline
from spacy.util import load_model, load_model_from_config, registry
from spacy.vocab import Vocab
from thinc.api import Config, ConfigValidationError
from wasabi import msg

from ..pipeline.distillation import Teacher, Teachers
from ..pipeline.labels import affirmed, gold_labels
from .agreement import judge, show
from .assembly import Plan, assemble, check_vectors, make_plan
from .compact import compact, save
from .evaluation import known_words
from .io import (
    different_labels,
    label_counts,
    load_pipeline,
    read_corpus,
    require_annotation,
    require_paths,
)
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
from .pupil import label_file, pupil_config

MIN_STEPS, MAX_STEPS = 500, 9000  # the latter is that of the config
DROPOUT = 0.25  # if fewer steps are enough
MAX_READINGS = 20  # of texts in a training, and of gold Docs while all texts are read once
WORDS_OF_STEP = 700  # about, while the batches grow


@dataclass(frozen=True, kw_only=True)
class Order:
    """The arguments of the command.

    inputs: Teachers, and files or folders of texts.
    output: The folder to write to: the pipeline to `model-best`, the labels to `labelled`, the
        pupil as it was trained to `training`, and its config to `config.cfg`.
    train, dev: Corpora with gold labels: to learn from, and to select the pupil.
    config: Config of the training; None for this package's own.
    size: "fast", "tagger" or "accurate".
    components: Components that teach; if empty, all that can.
    by_sentence: Whether teachers read texts sentence by sentence; None to do as in their training.
    vectors: A pipeline whose word vectors the pupil reads.
    keep: Other components of the first teacher to keep, with their encoders.
    text_key: Key of the text in JSONL files.
    overrides: Settings of the config to replace.
    resume: Whether to use the labels of an interrupted run.
    force: Whether to overwrite.
    use_gpu: Number of the GPU; -1 for none.
    """

    inputs: Sequence[str]
    output: Path
    train: Path | None = None
    dev: Path | None = None
    config: Path | None = None
    size: str = "tagger"
    components: Sequence[str] = ()
    by_sentence: bool | None = None
    vectors: str | None = None
    keep: Sequence[str] = ()
    text_key: str = "text"
    overrides: dict[str, Any] | None = None
    resume: bool = False
    force: bool = False
    use_gpu: int = -1

    @property
    def labelled(self) -> Path:
        """The folder of labelled texts."""
        return self.output.absolute() / "labelled"


class Lesson(NamedTuple):
    """What a distillation needs, after its arguments were checked.

    plan: The components of the new pipeline.
    gold, dev: Docs with gold labels: to learn from, and to select the pupil; can be empty.
    manifest: Identifies the labels; see `manifest_of`.
    config: Config of the pupil's training.
    """

    teachers: Teachers
    plan: Plan
    texts: Texts
    gold: list[Doc]
    dev: list[Doc]
    manifest: dict[str, Any]
    config: Config


def distill(order: Order) -> Language:
    """Train a pupil on the probabilities that trained pipelines predict for texts, and build a
    pipeline with it that replaces the first of them.

    order (Order): The arguments of the command.
    RETURNS (Language): The pipeline.
    RAISES: ValueError if the input is invalid, before anything is written.
    """
    lesson = prepare(order)
    if order.force:
        shutil.rmtree(order.labelled, ignore_errors=True)
    _show_plan(lesson)
    try:
        label_texts(lesson.teachers, lesson.texts, lesson.gold, order.labelled, lesson.manifest)
        _write_labels(lesson, order.labelled)
        write(order.output / "config.cfg", lesson.config.to_str().encode())
        msg.divider("Training the pupil")
        nlp = init_nlp(lesson.config, use_gpu=order.use_gpu)
        (order.output / "training").mkdir(exist_ok=True)
        train_pipeline(nlp, order.output / "training", use_gpu=order.use_gpu, stdout=sys.stdout)
    except KeyboardInterrupt:
        raise ValueError(
            "interrupted. What is labelled stays: go on by the same command with --resume"
        ) from None
    return _deliver(lesson, order.output)


def prepare(order: Order) -> Lesson:
    """Load the teachers and check the input; nothing is written.

    order (Order): The arguments of the command.
    RAISES: ValueError if the input is invalid.
    """
    names, paths = split_inputs(order.inputs)
    require_paths([path for path in (order.train, order.dev, order.config) if path])
    _check_output(order)
    setup_gpu(order.use_gpu)
    teachers = Teachers(_load_teachers(order, names))
    first, overrides = teachers.teachers[0], order.overrides or {}
    plan = make_plan(first, order.keep)
    check_vectors(first, plan, order.vectors)
    if order.vectors and not load_pipeline(order.vectors).vocab.vectors_length:
        raise ValueError(f"{order.vectors} has no word vectors")
    gold, dev = (_read_gold(path, teachers) for path in (order.train, order.dev))
    texts = survey(paths, text_key=order.text_key, hold_out=not dev, output=order.output)
    manifest = manifest_of(teachers, texts, gold)
    if not order.force:
        check_manifest(order.labelled, manifest)
    config = pupil_config(
        plan,
        first.nlp,
        order.labelled,
        config=order.config,
        size=order.size,
        vectors=order.vectors,
        has_gold=bool(gold),
        has_dev=bool(dev),
        overrides={**(suited_to(texts, gold) if order.config is None else {}), **overrides},
    )
    filled = load_model_from_config(config, auto_fill=True).config  # raises if a setting is wrong
    _check_training(config["training"], filled.interpolate()["training"])
    return Lesson(teachers, plan, texts, gold, dev, manifest, config)


def _load_teachers(order: Order, names: Sequence[str]) -> list[Teacher]:
    """Load the teachers. Each component that is to teach must be one of any of them."""
    pipelines = [load_pipeline(name) for name in names]
    for name, nlp in zip(names, pipelines, strict=True):
        if Path(nlp.path).resolve().is_relative_to(order.output.resolve()):
            raise ValueError(
                f"{order.output} has the teacher {name} in it, which would be overwritten: name "
                "another folder"
            )
    known = {component for nlp in pipelines for component in nlp.pipe_names}
    return [
        Teacher(
            nlp,
            [name for name in order.components if name in nlp.pipe_names or name not in known]
            or order.components,
            by_sentence=order.by_sentence,
        )
        for nlp in pipelines
    ]


def _check_training(training: dict[str, Any], filled: dict[str, Any]) -> None:
    """Raise a ValueError if a setting of [training] is unknown or wrong."""
    if unknown := training.keys() - filled.keys():
        raise ValueError(f"[training] has no setting {', '.join(sorted(unknown))}")
    try:
        registry.resolve(filled, schema=ConfigSchemaTraining)
    except ConfigValidationError as error:
        wrong = (f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors)
        raise ValueError(f"[training] has wrong settings: {'; '.join(wrong)}") from error


def suited_to(texts: Texts, gold: Sequence[Doc]) -> dict[str, Any]:
    """Return settings of this package's config that depend on the data: with few texts, fewer steps
    and more dropout; and the number of texts for each gold Doc. Three quarters of the words in
    training are from texts, or more if there are few gold Docs.
    """
    settings: dict[str, Any] = {}
    n_steps = max(MIN_STEPS, MAX_READINGS * texts.n_words // WORDS_OF_STEP)
    if n_steps < MAX_STEPS:
        settings = {"training.max_steps": n_steps, "training.dropout": DROPOUT}
    if gold:
        words_of_doc = sum(map(len, gold)) / len(gold)
        by_words = 3 * words_of_doc / (texts.n_words / texts.n_texts)
        by_readings = texts.n_texts / len(gold) / MAX_READINGS
        settings["corpora.train.ratio"] = float(f"{max(by_words, by_readings):.3g}")
    return settings


def split_inputs(inputs: Sequence[str]) -> tuple[list[str], list[Path]]:
    """Separate teachers from texts. Folders of pipelines and installed packages are teachers.

    RAISES: ValueError if one is neither, or if there are no teachers or no texts.
    """
    teachers, texts = [], []
    for name in inputs:
        path = Path(name)
        if (path / "model-best" / "meta.json").is_file():
            raise ValueError(f"{name} has pipelines in it: name one, {path / 'model-best'}")
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


def _check_output(order: Order) -> None:
    """Raise a ValueError if something would be overwritten."""
    output = order.output
    if output.exists() and not output.is_dir():
        raise ValueError(f"{output} is a file; name a folder")
    if not (order.resume or order.force) and output.exists() and any(output.iterdir()):
        raise ValueError(
            f"{output} is not empty; use --force to overwrite what an earlier distillation wrote "
            "to it, or --resume to go on with its labels"
        )


def _read_gold(path: Path | None, teachers: Teachers) -> list[Doc]:
    """Read a corpus with gold labels of what is taught, if there is one."""
    if path is None:
        return []
    docs = read_corpus(path, Vocab())
    for attribute in teachers.attributes:
        require_annotation(docs, attribute, path)
        found, known = label_counts(docs, attribute), teachers.labels[attribute]
        if not found.keys() & set(known):
            raise ValueError(different_labels(found, known, str(path), "the teacher"))
    return docs


def _show_plan(lesson: Lesson) -> None:
    """Print which components teach, and which of the first teacher's are left out."""
    for teacher in lesson.teachers.teachers:
        for attribute, component in teacher.components.items():
            name = lesson.plan.pupils.get(attribute)
            if name is not None:
                way = ", sentence by sentence" if teacher.by_sentence else ""
                msg.info(f"{component!r} of {teacher.name} teaches {name!r} its {attribute}{way}")
    if left_out := lesson.plan.left_out:
        names = ", ".join(f"{name} ({reason})" for name, reason in left_out.items())
        msg.info(f"Left out, as they are no part of tagging: {names}. Keep one by --keep NAME")


def _write_labels(lesson: Lesson, labelled: Path) -> None:
    """Write the labels of each pupil's component, and the dev set."""
    for attribute, name in lesson.plan.pupils.items():
        gold = gold_labels((Example(doc, doc) for doc in lesson.gold), attribute)
        gold = affirmed(gold, lesson.config["components"][name].get("neg_prefix", "!"))
        labels = sorted({*lesson.teachers.labels[attribute], *gold})
        write(label_file(labelled, name), srsly.json_dumps(labels).encode())
    if lesson.dev:
        data = DocBin(("TAG", "POS", "MORPH"), docs=lesson.dev).to_bytes()
        write(labelled / "dev" / "dev.spacy", data)


def _deliver(lesson: Lesson, output: Path) -> Language:
    """Build and save the pipeline, and print how it compares to its teacher."""
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
        f"Stored with rounded weights and without {dropped:.0%} of the words; "
        f"{1000 * changed:.2f} of 1,000 tokens get other labels by this"
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

"""The pipeline that replaces a teacher: its tokenizer, the pupil, and components without models."""

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from spacy.language import Language
from spacy.pipeline import Lemmatizer
from spacy.util import load_model_from_config
from thinc.api import Config

from ..pipeline.distillation import Teacher
from ..pipeline.labels import FACTORIES
from ..pipeline.listeners import nodes_of


class Plan(NamedTuple):
    """The components of a teacher's pipeline and of the one that replaces it.

    pupils: For each attribute, the name of the pupil's component.
    order: The components of the new pipeline, in their order.
    teacher_order: The components of the teacher that these replace.
    left_out: The other components of the teacher, and why each is left out.
    """

    pupils: dict[str, str]
    order: list[str]
    teacher_order: list[str]
    left_out: dict[str, str]

    @property
    def kept(self) -> list[str]:
        """The components of the teacher that are kept."""
        return [name for name in self.order if name not in self.pupils.values()]


def make_plan(teacher: Teacher, keep: Sequence[str] = ()) -> Plan:
    """Plan a pipeline that replaces a teacher where only tags are needed.

    keep (Sequence[str]): Components to keep although they have models of their own. The encoders
        that they listen to are kept, too.
    RAISES: ValueError if there is no such component to keep.
    """
    nlp, taught = teacher.nlp, set(teacher.components.values())
    for name in keep:
        if name not in nlp.pipe_names or name in taught:
            others = [other for other in nlp.pipe_names if other not in taught]
            disabled = ". It is disabled" if name in nlp.disabled else ""
            raise ValueError(
                f"{name!r} can't be kept: the teacher {teacher.name} has these components beside "
                f"the ones that teach: {', '.join(others) or 'none'}{disabled}"
            )
    kept = {*keep, *(encoder for name in keep for encoder in _encoders(nlp, name))}
    needed = {encoder for name in taught for encoder in _encoders(nlp, name)}
    left_out = {
        name: reason
        for name, pipe in nlp.pipeline
        if name not in taught | kept and (reason := _reason(nlp, name, pipe))
    }
    left_out.update(_unmet(nlp, left_out, kept))
    left_out.update({name: "disabled" for name in nlp.disabled})
    pupils = _pupil_names(teacher)
    order: list[str] = []
    for name in nlp.pipe_names:
        if name in taught:
            order += [pupils[a] for a, by in teacher.components.items() if by == name]
        elif name not in left_out:
            order.append(name)
    same = [name for name in nlp.pipe_names if name not in left_out or name in needed]
    return Plan(pupils, order, same, left_out)


def assemble(teacher: Teacher, pupil: Language, plan: Plan) -> Language:
    """Build the pipeline of a plan from a teacher and a trained pupil, with a new vocab."""
    theirs, trained = teacher.nlp.config.interpolate(), pupil.config.interpolate()
    source_of = {name: pupil if name in pupil.pipe_names and name not in plan.order else teacher.nlp
                 for name in [*pupil.pipe_names, *plan.order]}  # fmt: skip
    source_of.update(dict.fromkeys(plan.pupils.values(), pupil))
    encoders = [name for name in pupil.pipe_names if name not in plan.pupils.values()]
    order = [*encoders, *plan.order]
    config = Config(trained)
    config["nlp"] = {
        **theirs["nlp"],
        "pipeline": order,
        "disabled": [],
        "batch_size": trained["nlp"]["batch_size"],
    }
    config["components"] = {
        name: source_of[name].config.interpolate()["components"][name] for name in order
    }
    for name in order:
        if config["components"][name]["factory"] == "attribute_ruler":
            config["components"][name]["factory"] = "lstm_attribute_ruler"  # which is faster
    sources = [(name, source_of[name].get_pipe(name)) for name in order]
    vectors = teacher.nlp if _readers_of_vectors(teacher.nlp, plan) else pupil
    nlp = rebuild(config, teacher.nlp, sources, vectors.vocab.vectors)
    nlp.meta.update(_meta(teacher, pupil))
    return nlp


def rebuild(
    config: Config, nlp: Language, components: Sequence[tuple[str, Any]], vectors: Any
) -> Language:
    """Build a pipeline with a new vocab, which has only the strings that are needed.

    nlp (Language): The pipeline whose tokenizer and lookups are copied.
    components (Sequence[tuple[str, Any]]): Names, and trained components whose state is copied.
    vectors (Vectors): The word vectors; can be empty.
    """
    rebuilt = load_model_from_config(config, auto_fill=True)
    rebuilt.vocab.lookups = nlp.vocab.lookups
    if len(vectors):
        rebuilt.vocab.vectors = vectors
    pairs: list[tuple[Any, Any]] = [
        (nlp.tokenizer, rebuilt.tokenizer),
        *((component, rebuilt.get_pipe(name)) for name, component in components),
    ]
    for source, target in pairs:
        if hasattr(source, "to_bytes"):
            target.from_bytes(source.to_bytes(exclude=["vocab"]), exclude=["vocab"])
    return rebuilt


def check_vectors(teacher: Teacher, plan: Plan, vectors: str | None) -> None:
    """Raise a ValueError if the pupil would read other vectors than a component that is kept."""
    if vectors and (kept := _readers_of_vectors(teacher.nlp, plan)):
        raise ValueError(
            f"{kept[0]!r} can't be kept with --vectors: it reads the vectors of the teacher, and a "
            "pipeline has vectors of one kind"
        )


def _encoders(nlp: Language, name: str) -> Iterator[str]:
    """Yield the encoders that a component listens to."""
    nodes = {id(node) for node in nodes_of(nlp.get_pipe(name))}
    for encoder, pipe in nlp.pipeline:
        if any(id(listener) in nodes for listener in getattr(pipe, "listeners", ())):
            yield encoder
            yield from _encoders(nlp, encoder)


def _reason(nlp: Language, name: str, pipe: Any) -> str:
    """Return why a component is left out; "" if it is kept."""
    if hasattr(pipe, "listeners"):
        return "an encoder"
    if encoders := list(_encoders(nlp, name)):
        return f"listens to {encoders[0]}"
    return "has a model of its own" if nodes_of(pipe) else ""


def _unmet(nlp: Language, left_out: dict[str, str], kept: set[str]) -> dict[str, str]:
    """Return the components that require attributes which only left-out components assign."""
    metas = {name: nlp.get_pipe_meta(name) for name in nlp.pipe_names}
    unmet: dict[str, str] = {}
    while True:
        gone = {*left_out, *unmet}
        assigned = {a for name in metas if name not in gone for a in metas[name].assigns}
        lost = {a for name in gone for a in metas[name].assigns} - assigned
        needs = {name: lost.intersection(_required(nlp, name)) for name in metas}
        new = [name for name in needs if needs[name] and name not in gone | kept]
        if not new:
            return unmet
        unmet.update({name: f"needs {', '.join(sorted(needs[name]))}" for name in new})


def _required(nlp: Language, name: str) -> list[str]:
    """Return the attributes that a component requires; spaCy's lemmatizer doesn't say so."""
    pipe = nlp.get_pipe(name)
    if isinstance(pipe, Lemmatizer) and pipe.mode != "lookup":
        return ["token.pos"]
    return list(nlp.get_pipe_meta(name).requires)


def _pupil_names(teacher: Teacher) -> dict[str, str]:
    """Name the pupil's components: as the teacher's, if each teaches one attribute."""
    names: dict[str, str] = {}
    for attribute, component in teacher.components.items():
        is_only = list(teacher.components.values()).count(component) == 1
        name = component if is_only else FACTORIES[attribute]
        while name != component and name in (*teacher.nlp.pipe_names, *names.values()):
            name = f"{name}_pupil"
        names[attribute] = name
    return names


def _readers_of_vectors(nlp: Language, plan: Plan) -> list[str]:
    """Return the kept components that read word vectors."""
    return [
        name
        for name in plan.kept
        if any(node.name == "static_vectors" for node in nodes_of(nlp.get_pipe(name)))
    ]


def _meta(teacher: Teacher, pupil: Language) -> dict[str, Any]:
    theirs = teacher.nlp.meta
    return {
        "name": f"{theirs['name'].removesuffix('_distilled')}_distilled",
        "description": f"Taught by {teacher.name}",
        "license": theirs.get("license", ""),
        "sources": theirs.get("sources") or [],
        "performance": pupil.meta.get("performance", {}),
    }

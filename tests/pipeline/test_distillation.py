"""Tests of `distillation.py`: which components can teach, and what they think of texts."""

from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from time import time_ns
from typing import Any

import numpy
import pytest
import spacy
from helpers import CNN, LISTENER
from numpy.testing import assert_allclose
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import registry
from thinc.api import Model, fix_random_seed

from spacy_lstm_tagger.pipeline.distillation import Teacher, Teachers
from spacy_lstm_tagger.pipeline.soft_labels import soft_labels

TEXTS = ["The dog ate the apple", "Everybody read that book", "The book", "Everybody  ate \n it"]


class FakeListener(Model):
    """A listener that is no `Tok2VecListener`, as that of a transformer."""

    def __init__(self, upstream_name: str):
        super().__init__("fake-listener", read_vectors, dims={"nO": 3})
        self.upstream_name = upstream_name


def read_vectors(model: Model, docs: list[Doc], is_train: bool) -> tuple[list[Any], Callable]:
    return [doc.user_data.get("vectors", numpy.zeros((len(doc), 3), "f")) for doc in docs], list


@registry.architectures("test.FakeListener.v1")
def make_fake_listener(upstream: str) -> Model:
    return FakeListener(upstream)


class FakeEncoder:
    """An encoder that is no `Tok2Vec`, as a transformer: what it writes is not in `doc.tensor`."""

    def __init__(self, name: str):
        self.name = name
        self.model = Model("fake-encoder", lambda model, docs, is_train: (docs, list))
        self.listener_map: dict[str, list[Model]] = {}

    listeners = property(lambda self: [one for some in self.listener_map.values() for one in some])
    listening_components = property(lambda self: list(self.listener_map))

    def add_listener(self, listener: Model, name: str) -> None:
        self.listener_map.setdefault(name, []).append(listener)

    def remove_listener(self, listener: Model, name: str) -> bool:
        return bool(self.listener_map.pop(name, None))

    def find_listeners(self, component: Any) -> None:
        for node in component.model.walk() if hasattr(component, "model") else ():
            if isinstance(node, FakeListener) and node.upstream_name == self.name:
                self.add_listener(node, component.name)

    def __call__(self, doc: Doc) -> Doc:
        doc.user_data["vectors"] = numpy.asarray(
            [[len(token), token.text[0].isupper(), token.i == 0] for token in doc], dtype="float32"
        )
        return doc


@Language.factory("fake_encoder")
def make_fake_encoder(nlp: Language, name: str) -> FakeEncoder:
    return FakeEncoder(name)


def add(nlp: Language, factory: str, tok2vec: dict, version: int = 2, **kwargs: Any) -> None:
    model = {"@architectures": f"spacy.Tagger.v{version}", "tok2vec": tok2vec}
    nlp.add_pipe(factory, config={"model": model}, **kwargs)


def train(nlp: Language, examples: list[Example], n_steps: int = 15) -> Language:
    optimizer = nlp.initialize(lambda: examples)
    optimizer.learn_rate = 0.02
    for _ in range(n_steps):
        nlp.update(examples, sgd=optimizer)
    return nlp


@pytest.fixture
def both(nlp: Language, make_examples: Callable) -> Language:
    """spaCy's tagger and morphologizer over one `tok2vec`."""
    fix_random_seed(0)
    nlp.add_pipe("tok2vec", config={"model": CNN})
    add(nlp, "tagger", LISTENER)
    add(nlp, "morphologizer", LISTENER)
    return train(nlp, make_examples(nlp))


def docs_of(texts: Iterable[str] = TEXTS) -> list[Doc]:
    blank = spacy.blank("xx")
    return [blank.make_doc(text) for text in texts]


def words_of() -> list[Any]:
    """Return (tokens, 1) which tokens of the texts are words: whitespace has no labels."""
    return [numpy.asarray([[not token.is_space] for token in doc]) for doc in docs_of()]


def softmax(scores: Any) -> Any:
    powers = numpy.exp(scores - scores.max(axis=1, keepdims=True))
    return powers / powers.sum(axis=1, keepdims=True)


def read(nlp: Language, names: Sequence[str], texts: Iterable[str] = TEXTS) -> list[Doc]:
    """Let components read texts."""
    docs = [nlp.make_doc(text) for text in texts]
    for name in names:
        docs = [nlp.get_pipe(name)(doc) for doc in docs]
    return docs


def test_a_tagger_over_an_encoder_teaches_what_it_thinks(both: Language) -> None:
    teacher = Teacher(both, ["tagger"])
    found = teacher.probabilities(docs_of())["tag"]
    tagger = both.get_pipe("tagger")
    expected = tagger.model.predict(read(both, ["tok2vec"]))
    order = numpy.argsort(tagger.labels)
    for own, scores, is_word in zip(found, expected, words_of(), strict=True):
        assert_allclose(own, softmax(scores)[:, order] * is_word, atol=1e-5)
    assert len({tuple(row) for values in found for row in values.round(4)}) > 5
    assert teacher.labels("tag") == sorted(tagger.labels)


@pytest.mark.parametrize("version", [1, 2])
def test_a_tagger_with_an_encoder_of_its_own(
    nlp: Language, make_examples: Callable, version: int
) -> None:
    add(nlp, "tagger", CNN, version)
    train(nlp, make_examples(nlp))
    found = Teacher(nlp).probabilities(docs_of())["tag"]
    tagger = nlp.get_pipe("tagger")
    expected = tagger.model.predict(read(nlp, []))
    if version == 2:
        expected = map(softmax, expected)
    for own, values, is_word in zip(found, expected, words_of(), strict=True):
        assert_allclose(own, values[:, numpy.argsort(tagger.labels)] * is_word, atol=1e-5)
        assert_allclose(own.sum(axis=1), is_word[:, 0], atol=1e-5)


def test_the_labels_of_a_morphologizer_are_added_up(both: Language) -> None:
    teacher = Teacher(both)
    assert teacher.components == {"tag": "tagger", "pos": "morphologizer", "morph": "morphologizer"}
    found = teacher.probabilities(docs_of())
    morphologizer = both.get_pipe("morphologizer")
    joint = [softmax(scores) for scores in
             morphologizer.model.predict(read(both, ["tok2vec", "tagger"]))]  # fmt: skip
    for attribute, mark in (("pos", "POS={}"), ("morph", "{}")):
        for j, label in enumerate(teacher.labels(attribute)):
            columns = [
                i
                for i, whole in enumerate(morphologizer.labels)
                if mark.format(label) in whole.split("|")
                or "|".join(p for p in whole.split("|") if not p.startswith("POS=")) == label
                or (label == "_" and whole.startswith("POS=") and "|" not in whole)
            ]
            for own, values, is_word in zip(found[attribute], joint, words_of(), strict=True):
                expected = values[:, columns].sum(axis=1) * is_word[:, 0]
                assert_allclose(own[:, j], expected, atol=1e-5)
    assert teacher.labels("pos") == ["DET", "NOUN", "PRON", "VERB"]
    assert "_" in teacher.labels("morph")
    assert all("POS=" not in label for label in teacher.labels("morph"))


@pytest.mark.parametrize("crf", [False, True])
def test_an_lstm_tagger_teaches_its_probabilities(train: Callable, tiny: dict, crf: bool) -> None:
    nlp = train(spacy.blank("xx"), model={**tiny, "crf": crf})
    found = Teacher(nlp).probabilities(docs_of())["tag"]
    expected = nlp.get_pipe("lstm_tagger").predict_probabilities(read(nlp, []))
    for own, theirs in zip(found, expected, strict=True):
        assert_allclose(own, theirs, atol=1e-5)


def test_what_listens_to_an_encoder_of_another_package_doesnt_read_zeros(
    nlp: Language, make_examples: Callable
) -> None:
    nlp.add_pipe("fake_encoder", name="transformer")
    add(nlp, "tagger", {"@architectures": "test.FakeListener.v1", "upstream": "transformer"})
    examples = make_examples(nlp)
    for example in examples:
        nlp.get_pipe("transformer")(example.predicted)
    nlp.initialize(lambda: examples)
    nlp.get_pipe("tagger").model.get_ref("output_layer").set_param("W", numpy.eye(3, dtype="f"))
    (found,) = Teacher(nlp).probabilities(docs_of(["The dog"]))["tag"]
    assert_allclose(found, softmax(numpy.asarray([[3, 1, 1], [3, 0, 0]])), atol=1e-5)


@pytest.mark.parametrize("name", ["tok2vec", "transformer"])
def test_a_teacher_without_what_it_listens_to_is_refused(
    both: Language, nlp: Language, name: str, make_examples: Callable
) -> None:
    if name == "transformer":
        nlp = spacy.blank("xx")
        nlp.add_pipe("fake_encoder", name="transformer")
        add(nlp, "tagger", {"@architectures": "test.FakeListener.v1", "upstream": "transformer"})
        nlp.initialize(lambda: make_examples(nlp))
    message = f"'tagger' of the teacher xx_pipeline listens to '{name}', which is not before it"
    with nlp.select_pipes(disable=[name]), pytest.raises(ValueError, match=message):
        Teacher(nlp)
    nlp.remove_pipe(name)
    with pytest.raises(ValueError, match=message):
        Teacher(nlp)


def test_components_before_the_teacher_give_it_its_features(
    nlp: Language, make_examples: Callable
) -> None:
    @Language.component("same_norm")
    def same_norm(doc: Doc) -> Doc:
        for token in doc:
            token.norm_ = "dog"
        return doc

    nlp.add_pipe("same_norm")
    add(nlp, "tagger", {
        "@architectures": "spacy.Tok2Vec.v2",
        "embed": {"@architectures": "spacy.MultiHashEmbed.v2", "width": 8, "attrs": ["NORM"],
                  "rows": [50], "include_static_vectors": False},
        "encode": {"@architectures": "spacy.MaxoutWindowEncoder.v2", "width": 8, "window_size": 1,
                   "maxout_pieces": 2, "depth": 1},
    })  # fmt: skip
    examples = make_examples(nlp)
    nlp.initialize(lambda: examples)
    nlp.get_pipe("tagger").model.get_ref("output_layer").set_param("W", numpy.eye(3, 8, dtype="f"))
    first, second = Teacher(nlp).probabilities(docs_of(["a b c", "d e f"]))["tag"]
    assert_allclose(first, second)
    nlp.remove_pipe("same_norm")
    first, second = Teacher(nlp).probabilities(docs_of(["a b c", "d e f"]))["tag"]
    assert abs(first - second).max() > 1e-3


@pytest.mark.parametrize("by_sentence", [False, True])
def test_norms_are_those_of_the_teachers_tokenizer(by_sentence: bool) -> None:
    nlp, seen = spacy.blank("en"), []
    tagger = nlp.add_pipe("tagger")
    tagger.add_label("A")

    @Language.component(f"look_{by_sentence}")
    def look(doc: Doc) -> Doc:
        seen.extend(token.norm_ for token in doc)
        return doc

    nlp.add_pipe(f"look_{by_sentence}", first=True)
    nlp.initialize()
    seen.clear()
    docs = [Doc(spacy.blank("xx").vocab, words=["do", "n't"], spaces=[False, False])]
    Teacher(nlp, by_sentence=by_sentence).probabilities(docs)
    assert seen == ["do", "not"]


def test_sentence_by_sentence(both: Language) -> None:
    sentences = ["The dog ate.", "Everybody read!", "That book?", "The apple"]
    docs = docs_of([" ".join(sentences[:3]), "", "\n", sentences[3]])
    found = Teacher(both, by_sentence=True).probabilities(docs)
    alone = Teacher(both).probabilities(docs_of(sentences))
    together = Teacher(both).probabilities(docs)
    for attribute in ("tag", "pos", "morph"):
        assert [len(own) for own in found[attribute]] == [len(doc) for doc in docs]
        assert_allclose(found[attribute][0], numpy.concatenate(alone[attribute][:3]), atol=1e-6)
        assert_allclose(found[attribute][3], alone[attribute][3], atol=1e-6)
        assert abs(found[attribute][0] - together[attribute][0]).max() > 1e-4


@pytest.mark.parametrize(
    "corpora",
    [
        None,
        {},
        {"train": None},
        {"train": {"gold_preproc": False}},
        {"train": {"gold_preproc": "${system.sentences}"}},
    ],
)
def test_whole_texts_by_default(both: Language, corpora: Any) -> None:
    both.config["corpora"] = corpora
    assert not Teacher(both).by_sentence


def test_a_teacher_that_was_trained_on_sentences_reads_sentences(both: Language) -> None:
    both.config["corpora"] = {"train": {"@readers": "spacy.Corpus.v1", "gold_preproc": True}}
    assert Teacher(both).by_sentence
    assert not Teacher(both, by_sentence=False).by_sentence


def test_a_teacher_that_changes_tokens_is_refused(both: Language) -> None:
    @Language.component("merge_all")
    def merge_all(doc: Doc) -> Doc:
        with doc.retokenize() as retokenizer:
            retokenizer.merge(doc[:])
        return doc

    both.add_pipe("merge_all", first=True)
    with pytest.raises(ValueError, match="changes the tokens before its component 'tagger'"):
        Teacher(both).probabilities(docs_of())


def test_docs_stay_as_they_are_but_for_soft_labels(both: Language) -> None:
    docs = [*docs_of(), Doc(spacy.blank("xx").vocab)]
    Teachers([Teacher(both)]).label(docs)
    assert not any(doc.has_annotation("TAG") or doc.tensor.size for doc in docs[:-1])
    for doc in docs:
        for attribute in ("tag", "pos", "morph"):
            assert len(soft_labels(doc, attribute).ids) == len(doc)


def test_only_empty_docs(both: Language) -> None:
    docs = [Doc(spacy.blank("xx").vocab)]
    Teachers([Teacher(both)]).label(docs)
    assert soft_labels(docs[0], "tag").ids.shape[0] == 0


def test_the_mean_of_teachers_counts_also_for_a_label_that_only_one_knows(
    both: Language, train: Callable, make_examples: Callable
) -> None:
    other = spacy.blank("xx")
    nlp = train(other, label_smoothing=0.3)
    tagger = nlp.get_pipe("lstm_tagger")
    tagger.add_label("ONLY")
    teachers = Teachers([Teacher(both), Teacher(nlp)])
    assert teachers.attributes == ("tag", "pos", "morph")
    assert teachers.labels["tag"] == ["DET", "NN", "ONLY", "V"]
    docs = docs_of()
    teachers.label(docs)
    theirs = Teacher(both).probabilities(docs)
    own = Teacher(nlp).probabilities(docs)["tag"]
    for i, doc in enumerate(docs):
        mean = own[i] / 2
        mean[:, [0, 1, 3]] += theirs["tag"][i] / 2
        assert_allclose(soft_labels(doc, "tag").dense(teachers.labels["tag"]), mean, atol=1e-3)
        alone = soft_labels(doc, "pos").dense(teachers.labels["pos"])
        assert_allclose(alone, theirs["pos"][i], atol=1e-3)


def test_teachers_must_have_something_in_common(both: Language, train: Callable) -> None:
    nlp = train(spacy.blank("xx"))
    with pytest.raises(ValueError, match="nothing that they could teach together"):
        Teachers([Teacher(both, ["morphologizer"]), Teacher(nlp)])


def test_the_checksum_is_that_of_all_components_that_run(both: Language, tmp_path: Path) -> None:
    both.to_disk(tmp_path)

    def load() -> Teacher:
        nlp = spacy.load(tmp_path)
        # As of a transformer whose config has the path from which it was loaded.
        nlp.get_pipe("tok2vec").model.attrs["loaded_at"] = str(time_ns())  # type: ignore
        return Teacher(nlp)

    checksum = load().checksum()
    assert checksum == load().checksum() != Teacher(spacy.load(tmp_path), ["tagger"]).checksum()
    file = tmp_path / "tok2vec" / "model"
    file.write_bytes(file.read_bytes()[::-1])
    assert Teacher(both).nlp.path is None
    both._path = tmp_path
    assert Teacher(both).checksum() != checksum


@pytest.mark.parametrize(
    ("components", "message"),
    [
        (["parser"], r"has no component 'parser' whose .* can teach: tagger \(tag\), morpho"),
        (["tok2vec"], r"has no component 'tok2vec' .* morphologizer \(pos and morph\)"),
    ],
)
def test_components_that_cant_teach_are_refused(
    both: Language, components: list[str], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        Teacher(both, components)


def test_a_disabled_component_is_refused(both: Language) -> None:
    both.disable_pipe("tagger")
    with pytest.raises(ValueError, match=r"no component 'tagger' .* It is disabled"):
        Teacher(both, ["tagger"])


def test_two_components_of_an_attribute(both: Language) -> None:
    add(both, "tagger", LISTENER, name="other")
    for names in ([], ["tagger", "other"]):
        with pytest.raises(ValueError, match=r"'tagger' and 'other' of .* both write tag"):
            Teacher(both, names)
    assert Teacher(both, ["tagger", "tagger"]).components == {"tag": "tagger"}


def test_pipelines_that_cant_teach_are_refused(nlp: Language) -> None:
    nlp.add_pipe("senter")
    nlp.add_pipe("sentencizer")
    with pytest.raises(ValueError, match=r"no component whose .*: senter, sentencizer"):
        Teacher(nlp)
    nlp.add_pipe("tagger")
    with pytest.raises(ValueError, match="'tagger' of the teacher xx_pipeline is not trained"):
        Teacher(nlp)

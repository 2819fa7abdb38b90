"""Tests of `distill.py`: from teachers and texts to a pipeline, in one command."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy
import pytest
import spacy
from spacy.tokens import Doc, DocBin
from spacy.training import Example
from spacy.vocab import Vocab

from spacy_lstm_tagger import LSTMTagger
from spacy_lstm_tagger.cli import distill as module
from spacy_lstm_tagger.cli import pupil
from spacy_lstm_tagger.cli.distill import split_inputs, suited_to
from spacy_lstm_tagger.cli.labelling import Texts

MODEL = "--components.lstm_tagger.model."
QUICK = [
    *("--training.max_steps", "6", "--training.eval_frequency", "3"),
    *(f"{MODEL}word_width", "6", f"{MODEL}character_width=4"),
    *(f"{MODEL}character_lstm_width", "3", f"{MODEL}lstm_width", "5"),
]
TEXT = "The dog ate the apple"

# The teacher's attribute_ruler has one pattern; spaCy warns of a matcher that has none.
pytestmark = pytest.mark.filterwarnings("ignore:.*W036")


@pytest.fixture
def gold(make_examples: Callable, tmp_path: Path) -> Path:
    docs = [example.reference for example in make_examples(spacy.blank("xx"))]
    DocBin(docs=docs).to_disk(tmp_path / "gold.spacy")
    return tmp_path / "gold.spacy"


def test_a_pipeline_takes_the_place_of_its_teacher(
    run: Callable, teacher: Path, texts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    result = run("distill", teacher, texts, "-o", out, *QUICK, "--training.max_steps", 60)
    assert result.exit_code == 0, result.output
    nlp, theirs = spacy.load(out / "model-best"), spacy.load(teacher)
    assert nlp.pipe_names[:4] == ["tok2vec", "tagger", "lstm_pos_tagger", "lstm_morph_tagger"]
    assert nlp.pipe_names[4:] == ["attribute_ruler", "sentencizer"]
    assert all(isinstance(nlp.get_pipe(name), LSTMTagger) for name in nlp.pipe_names[1:4])
    own, other = nlp(TEXT), theirs(TEXT)
    assert [(t.tag_, t.pos_, t.lemma_) for t in own] == [(t.tag_, t.pos_, t.lemma_) for t in other]
    assert nlp.meta["teachers"] == [
        {
            "pipeline": "xx_teacher 0.0.0",
            "components": {"tag": "tagger", "pos": "morphologizer", "morph": "morphologizer"},
        }
    ]
    for words in ("Agreement: morph", "known words", "Tokens per second", "senter (listens to"):
        assert words in " ".join(result.output.split()), result.output
    assert not list(out.rglob(".*"))


def test_the_labels_train_another_pupil(
    run: Callable, teacher: Path, texts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    run("distill", teacher, texts, "-o", out, *QUICK, "--component", "tagger")
    made = {path: path.stat().st_mtime_ns for path in (out / "labelled").rglob("*.spacy")}
    result = run("distill", teacher, texts, "-o", out, *QUICK, "--component", "tagger", "--resume",
                 f"{MODEL}lstm_width", 7)  # fmt: skip
    assert result.exit_code == 0, result.output
    assert made == {path: path.stat().st_mtime_ns for path in (out / "labelled").rglob("*.spacy")}
    nlp = spacy.load(out / "model-best")
    assert nlp.config["components"]["tagger"]["model"]["lstm_width"] == 7
    config = spacy.util.load_config(out / "config.cfg")
    assert spacy.training.initialize.init_nlp(config).pipe_names == ["tagger"]


def test_gold_data_beside_the_teacher(
    run: Callable, teacher: Path, texts: Path, gold: Path, tmp_path: Path
) -> None:
    docs = list(DocBin().from_disk(gold).get_docs(Vocab()))
    docs[0][0].tag_ = "ONLYGOLD"
    DocBin(docs=docs).to_disk(gold)
    out = tmp_path / "out"
    result = run("distill", teacher, texts, "-o", out, "--component", "tagger", "--train", gold,
                 "--dev", gold, *QUICK)  # fmt: skip
    assert result.exit_code == 0, result.output
    assert not (out / "labelled" / "held_out").exists()
    assert "Accuracy: tag" in result.output
    assert "ONLYGOLD" in spacy.load(out / "model-best").get_pipe("tagger").labels


@pytest.mark.parametrize(
    "n_texts, n_gold, steps, ratio",
    [
        (10, 0, 500, None),  # 100 words: a minimum of steps
        (10_000, 0, 2857, None),  # 20 times 100,000 words
        (100_000, 0, None, None),
        (10_000, 1000, 2857, 15.0),  # a quarter of the words is that of gold Docs of 50 words
        (10_000, 10, 2857, 50.0),  # which are read 20 times for each time that the texts are read
    ],
)
def test_settings_that_suit_the_data(
    n_texts: int, n_gold: int, steps: int | None, ratio: float | None
) -> None:
    found = Texts([], "text", n_texts, 10 * n_texts, "", -1)
    settings = suited_to(found, [Doc(Vocab(), words=["a"] * 50)] * n_gold)
    assert settings.get("training.max_steps") == steps
    assert settings.get("training.dropout") == (None if steps is None else 0.25)
    assert settings.get("corpora.train.ratio") == ratio


def test_several_teachers(
    run: Callable, teacher: Path, pipeline: str, texts: Path, tmp_path: Path
) -> None:
    result = run("distill", pipeline, teacher, texts, "-o", tmp_path / "out", *QUICK)
    assert result.exit_code == 0, result.output
    nlp = spacy.load(tmp_path / "out" / "model-best")
    assert nlp.pipe_names == ["lstm_tagger"]
    assert [one["pipeline"] for one in nlp.meta["teachers"]] == [
        "xx_pipeline 0.0.0", "xx_teacher 0.0.0"
    ]  # fmt: skip


def test_a_config_whose_taggers_share_an_encoder(
    run: Callable, teacher: Path, texts: Path, shared_config: Any, tmp_path: Path
) -> None:
    config = spacy.util.load_config(Path(pupil.CONFIG), interpolate=False)
    config["nlp"] = shared_config["nlp"]
    config["components"] = shared_config["components"]
    config["initialize"].pop("components")
    config.to_disk(tmp_path / "shared.cfg")
    result = run("distill", teacher, texts, "-o", tmp_path / "out", *QUICK[:4],
                 "--config", tmp_path / "shared.cfg")  # fmt: skip
    assert result.exit_code == 0, result.output
    nlp = spacy.load(tmp_path / "out" / "model-best")
    assert nlp.pipe_names[:4] == ["tok2vec", "tagger", "lstm_pos_tagger", "lstm_morph_tagger"]
    assert nlp(TEXT).has_annotation("MORPH")


def test_word_vectors_for_the_pupil(
    run: Callable, teacher: Path, texts: Path, tmp_path: Path
) -> None:
    nlp = spacy.blank("xx")
    nlp.vocab.set_vector("dog", numpy.ones(3, dtype="float32"))
    nlp.to_disk(tmp_path / "vectors")
    result = run("distill", teacher, texts, "-o", tmp_path / "out", *QUICK, "--component", "tagger",
                 "--vectors", tmp_path / "vectors")  # fmt: skip
    assert result.exit_code == 0, result.output
    nlp = spacy.load(tmp_path / "out" / "model-best")
    assert nlp.vocab.vectors_length == 3
    assert nlp.config["components"]["tagger"]["model"]["include_static_vectors"]
    assert nlp(TEXT).has_annotation("TAG")


def test_interruption_leaves_what_is_labelled(
    run: Callable, teacher: Path, texts: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(*arguments: Any, **settings: Any) -> None:
        raise KeyboardInterrupt

    out = tmp_path / "out"
    command = ["distill", teacher, texts, "-o", out, *QUICK, "--component", "tagger"]
    with monkeypatch.context() as patched:
        patched.setattr(module, "train_pipeline", interrupt)
        result = run(*command)
    assert result.exit_code == 1
    assert "interrupted. What is labelled stays: go on by the same command with --resume" in (
        " ".join(result.output.split())
    )
    assert not (out / "model-best").exists()
    result = run(*command)
    assert result.exit_code == 1
    assert "is not empty; use --force" in " ".join(result.output.split())
    result = run(*command, "--resume")
    assert result.exit_code == 0, result.output
    assert (out / "model-best").exists()


def test_another_teacher_needs_force(
    run: Callable, teacher: Path, texts: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    assert run("distill", teacher, texts, "-o", out, *QUICK, "--component", "tagger").exit_code == 0
    manifest = (out / "labelled" / "manifest.json").read_text()
    result = run("distill", teacher, texts, "-o", out, *QUICK, "--resume")
    assert result.exit_code == 1
    assert "were made with other teachers" in " ".join(result.output.split())
    assert (out / "labelled" / "manifest.json").read_text() == manifest
    result = run("distill", teacher, texts, "-o", out, *QUICK, "--force")
    assert result.exit_code == 0, result.output
    assert json.loads((out / "labelled" / "manifest.json").read_text()) != json.loads(manifest)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["{teacher}"], "no texts are named"),
        (["{texts}"], "no teacher is named"),
        (["{teacher}", "nowhere"], "there is no nowhere: neither a trained pipeline"),
        (["{teacher}", "{texts}", "--component", "x"], "has no component 'x' whose model scores"),
        (["{teacher}", "{texts}", "--keep", "x"], "'x' can't be kept"),
        (["{teacher}", "{texts}", "--train", "nowhere"], "there is no nowhere"),
        (["{teacher}", "{texts}", "--config", "nowhere"], "there is no nowhere"),
        (["{teacher}", "{texts}", "--dev", "{texts}"], "has no annotated Docs"),
        (["{teacher}", "{empty}"], "there are no texts in"),
        (["{teacher}", "{short}"], "the texts are too few to hold one out"),
        (["{blank}", "{texts}"], "has no component whose model scores labels"),
        (["{teacher}", "{texts}", "--vectors", "nowhere"], "there is no pipeline nowhere"),
        (["{teacher}", "{texts}", "--vectors", "{blank}"], "blank has no word vectors"),
        (["{teacher}", "{texts}", f"{MODEL}depth", "0"], "depth = 0"),
        (["{teacher}", "{texts}", "--size", "huge"], "'huge' must be one of fast, tagger, accur"),
        (["{teacher}", "{texts}", f"{MODEL}no_setting", "0"], "no_setting"),
        (["{teacher}", "{texts}", "--config", "{other}"], "has no lstm_tagger to train"),
        (["{teacher}", "{texts}", "--training.max_steps", "x"], "wrong settings: max_steps: Input"),
        (["{teacher}", "{texts}", "--training.max_stepz", "9"], "has no setting max_stepz"),
        (["{teacher}", "{texts}", "{parent}"], "has pipelines in it: name one"),
        (["{teacher}", "{texts}", "--dev", "{tags}"], "and the teacher have no label in common"),
    ],
)
def test_bad_input_is_one_line_and_nothing_is_written(
    run: Callable,
    teacher: Path,
    texts: Path,
    tmp_path: Path,
    arguments: list[str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty.txt").write_text("\n \n")
    (tmp_path / "short.txt").write_text("One\n")
    spacy.blank("xx").to_disk(tmp_path / "blank")
    (tmp_path / "other.cfg").write_text(
        '[nlp]\nlang = "xx"\npipeline = []\n[components]\n[training]\n'
    )
    paths = {"teacher": teacher, "texts": texts, "empty": "empty.txt", "short": "short.txt",
             "blank": "blank", "other": "other.cfg"}  # fmt: skip
    (tmp_path / "parent").mkdir()
    spacy.blank("xx").to_disk(tmp_path / "parent" / "model-best")
    odd = Doc(Vocab(), words=["dog"], tags=["X"], pos=["NOUN"], morphs=["Number=Sing"])
    DocBin(docs=[odd]).to_disk(tmp_path / "tags.spacy")
    paths |= {"parent": "parent", "tags": "tags.spacy"}
    words = [argument.format(**paths) for argument in arguments]
    quick = [] if "other.cfg" in words or "--training.max_steps" in words else QUICK
    result = run("distill", *words, "-o", "out", *quick)
    assert result.exit_code == 1, result.output
    assert message in " ".join(result.output.split())
    assert result.output.count("✘") == 1
    assert not (tmp_path / "out").exists()


def test_teachers_are_told_from_texts(teacher: Path, texts: Path) -> None:
    names, paths = split_inputs([str(teacher), str(texts), str(texts.parent)])
    assert names == [str(teacher)]
    assert paths == [texts, texts.parent]


def test_gold_data_of_another_attribute_are_refused(
    run: Callable, teacher: Path, texts: Path, tmp_path: Path
) -> None:
    example = Example.from_dict(Doc(Vocab(), words=["dog"]), {"tags": ["NN"]})
    DocBin(docs=[example.reference]).to_disk(tmp_path / "tags.spacy")
    result = run("distill", teacher, texts, "-o", tmp_path / "out", "--train",
                 tmp_path / "tags.spacy")  # fmt: skip
    assert result.exit_code == 1
    assert "has no parts of speech" in " ".join(result.output.split())
    assert not (tmp_path / "out").exists()


def test_a_teacher_is_not_overwritten(
    run: Callable, teacher: Path, texts: Path, tmp_path: Path
) -> None:
    shutil.copytree(teacher, tmp_path / "out" / "model-best")
    result = run("distill", tmp_path / "out" / "model-best", texts, "-o", tmp_path / "out",
                 "--force")  # fmt: skip
    assert result.exit_code == 1
    assert "has the teacher" in " ".join(result.output.split())
    assert spacy.load(tmp_path / "out" / "model-best").meta["name"] == "teacher"


def test_teachers_whose_components_have_other_names(
    run: Callable, teacher: Path, pipeline: str, texts: Path, tmp_path: Path
) -> None:
    names = ["--component", "tagger", "--component", "lstm_tagger"]
    result = run("distill", teacher, pipeline, texts, "-o", tmp_path / "out", *names, *QUICK)
    assert result.exit_code == 0, result.output
    nlp = spacy.load(tmp_path / "out" / "model-best")
    assert [one["components"] for one in nlp.meta["teachers"]] == [
        {"tag": "tagger"}, {"tag": "lstm_tagger"}
    ]  # fmt: skip
    result = run("distill", teacher, pipeline, texts, "-o", tmp_path / "o", "--component", "x")
    assert "has no component 'x'" in " ".join(result.output.split())

"""The corpora: each DocBin agrees with its CoNLL-U text, and the annotation follows UD."""

import runpy
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from spacy.language import Language
from spacy.tokens import Doc, DocBin

from spacy_lstm_tagger.cli.tables import Columns, Labelled, read_table
from spacy_lstm_tagger.pipeline.spans import find_scheme, repair, spans_of

CORPUS = Path(__file__).parent.parent / "corpus"
SOURCES = sorted(CORPUS.glob("*/*.conllu"))
SLOTS = sorted(CORPUS.glob("slots/*.tsv"))
ENGLISH = sorted(CORPUS.glob("english/*.conllu"))
# The XPOS that each UPOS may go with in English: universaldependencies.org/en, "Tagset".
PAIRS = {
    "ADJ": "AFX GW JJ JJR JJS NNP",
    "ADP": "GW IN RP",
    "ADV": "AFX FW GW NNP RB RBR RBS WRB",
    "AUX": "MD VB VBD VBG VBN VBP VBZ",
    "CCONJ": "CC",
    "DET": "DT PDT WDT",
    "INTJ": "UH",
    "NOUN": "AFX FW GW NN NNS",
    "NUM": "CD LS NNP",
    "PART": "POS RB TO",
    "PRON": "DT EX NN PRP PRP$ WDT WP WP$",
    "PROPN": "ADD GW NNP NNPS",
    "PUNCT": "'' , -LRB- -RRB- . : GW HYPH NFP ``",
    "SCONJ": "IN",
    "SYM": "$ , HYPH IN NFP NN NNS SYM",
    "VERB": "VB VBD VBG VBN VBP VBZ",
    "X": "ADD AFX FW GW LS",
}


def columns(path: Path) -> Iterator[list[str]]:
    """Yield the ten columns of each word of a CoNLL-U file."""
    for line in path.read_text(encoding="utf8").splitlines():
        if line[:1].isdigit():
            yield line.split("\t")


def docs(path: Path, nlp: Language) -> list[Doc]:
    return list(DocBin().from_disk(path.with_suffix(".spacy")).get_docs(nlp.vocab))


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_docbin_agrees_with_its_source(path: Path, nlp: Language) -> None:
    tokens = [
        [t.text, t.pos_, t.tag_, str(t.morph) or "_", "_" if t.whitespace_ else "SpaceAfter=No"]
        for doc in docs(path, nlp)
        for t in doc
    ]
    assert tokens == [[row[i] for i in (1, 3, 4, 5, 9)] for row in columns(path)]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_texts_and_sentences_agree_with_the_source(path: Path, nlp: Language) -> None:
    lines = path.read_text(encoding="utf8").splitlines()
    texts = [line.removeprefix("# text = ") for line in lines if line.startswith("# text = ")]
    assert [sent.text for doc in docs(path, nlp) for sent in doc.sents] == texts


def test_builder_makes_the_same_docs(nlp: Language) -> None:
    read_conllu = runpy.run_path(str(CORPUS / "build.py"))["read_conllu"]
    for path in SOURCES:
        built = [doc.to_json() for doc in read_conllu(path, nlp.vocab)]
        assert built == [doc.to_json() for doc in docs(path, nlp)]


@pytest.mark.parametrize("path", ENGLISH, ids=lambda path: path.stem)
def test_english_pairs_of_upos_and_xpos_are_allowed(path: Path) -> None:
    wrong = [row[:5] for row in columns(path) if row[4] not in PAIRS[row[3]].split()]
    assert wrong == []


def test_english_corpus_is_large_enough_and_has_no_sentence_twice(nlp: Language) -> None:
    sentences = Counter(s.text for path in ENGLISH for doc in docs(path, nlp) for s in doc.sents)
    assert len(sentences) >= 600
    assert set(sentences.values()) == {1}
    n_tokens = {path.stem: sum(map(len, docs(path, nlp))) for path in ENGLISH}
    assert sum(n_tokens.values()) >= 6000
    assert 0.75 < n_tokens["train"] / sum(n_tokens.values()) < 0.85


@pytest.fixture(scope="module")
def utterances() -> dict[str, list[Labelled]]:
    """The utterances of each table of slots."""
    return {path.stem: list(read_table(path, Columns())) for path in SLOTS}


def test_slots_keep_to_bio(utterances: dict[str, list[Labelled]]) -> None:
    for utterance in (one for some in utterances.values() for one in some):
        assert repair(utterance.labels, "bio") == utterance.labels, utterance.words


def test_each_table_of_slots_has_all_eight(utterances: dict[str, list[Labelled]]) -> None:
    for some in utterances.values():
        labels = [label for utterance in some for label in utterance.labels]
        assert find_scheme(labels) == "bio"
        assert len({span.type for span in spans_of(labels)}) == 8


def test_slots_have_400_utterances_and_none_twice(utterances: dict[str, list[Labelled]]) -> None:
    sizes = {name: len(some) for name, some in utterances.items()}
    assert sizes == {"dev": 50, "test": 100, "train": 250}
    texts = [" ".join(one.words).lower() for some in utterances.values() for one in some]
    assert len(set(texts)) == 400

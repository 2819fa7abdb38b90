"""Train small pipelines, and save each with what it says: python make_pipelines.py FOLDER

The pipelines of a version are kept for good, so that later versions can show that they load them.
"""

import json
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import spacy
from spacy.language import Language
from spacy.tokenizer import Tokenizer
from spacy.tokens import Doc
from spacy.training import Example
from thinc.api import fix_random_seed

SENTENCES = [
    ("A small bird sang a song", "DET ADJ NOUN VERB DET NOUN"),
    ("She gave the old ship a name", "PRON VERB DET ADJ NOUN DET NOUN"),
    ("They found two letters", "PRON VERB NUM NOUN"),
]
MORPHS = {"DET": "PronType=Art", "NOUN": "Number=Sing", "VERB": "Tense=Past|VerbForm=Fin"}
TEXTS = [*(text for text, _ in SENTENCES), "The bird gave two unheard-of names", "?"]
WIDTHS = {"word_width": 6, "character_width": 4, "character_lstm_width": 3, "lstm_width": 5}
MODEL = {"@architectures": "spacy-lstm-tagger.LSTMTagger.v1", **WIDTHS}
ENCODER = {"@architectures": "spacy-lstm-tagger.LSTMTok2Vec.v1", **WIDTHS}
LISTENER = {
    "@architectures": "spacy.Tagger.v2",
    "tok2vec": {"@architectures": "spacy.Tok2VecListener.v1", "width": 46},
}
PIPELINES: dict[str, list[tuple[str, str, dict[str, Any]]]] = {
    "tag": [("lstm_tagger", "lstm_tagger", {"model": MODEL})],
    "pos": [("lstm_pos_tagger", "lstm_pos_tagger", {"model": MODEL})],
    "morph": [("lstm_morph_tagger", "lstm_morph_tagger", {"model": MODEL})],
    "crf": [("lstm_tagger", "lstm_tagger", {"model": {**MODEL, "crf": True}})],
    "shared": [
        ("tok2vec", "tok2vec", {"model": ENCODER}),
        ("lstm_tagger", "tags", {"model": LISTENER}),
        ("lstm_pos_tagger", "parts", {"model": LISTENER}),
    ],
}


def examples(nlp: Language) -> list[Example]:
    found = []
    for text, pos in SENTENCES:
        words, parts = text.split(), pos.split()
        morphs = [MORPHS.get(part, "") for part in parts]
        tags = [part[:2] for part in parts]
        reference = Doc(nlp.vocab, words=words, pos=parts, tags=tags, morphs=morphs)
        found.append(Example(Doc(nlp.vocab, words=words), reference))
    return found


def make(name: str) -> Language:
    """Train a pipeline."""
    fix_random_seed(0)
    nlp = spacy.blank("xx")
    nlp.tokenizer = Tokenizer(nlp.vocab)  # that splits at spaces; others take many kilobytes
    for factory, component, config in PIPELINES[name]:
        nlp.add_pipe(factory, component, config=config)
    optimizer = nlp.initialize(lambda: examples(nlp))
    optimizer.learn_rate = 0.03
    for _ in range(40):
        nlp.update(examples(nlp), sgd=optimizer)
    return nlp


def answers(nlp: Language) -> dict[str, Any]:
    """Return what a pipeline says of the texts."""
    docs = list(nlp.pipe(TEXTS))
    labels = [[[token.tag_, token.pos_, str(token.morph)] for token in doc] for doc in docs]
    probabilities = {
        name: [found.round(6).tolist() for found in component.predict_probabilities(docs)]
        for name, component in nlp.pipeline
        if name != "tok2vec"
    }
    return {"labels": labels, "probabilities": probabilities}


def save(nlp: Language, path: Path) -> None:
    """Write a pipeline, and what it says, to one archive."""
    with TemporaryDirectory() as folder, ZipFile(path, "w", ZIP_DEFLATED) as archive:
        nlp.to_disk(folder)
        for file in sorted(Path(folder).rglob("*")):
            archive.write(file, Path("pipeline") / file.relative_to(folder))
        archive.writestr("answers.json", json.dumps(answers(nlp)))


if __name__ == "__main__":
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for pipeline_name in PIPELINES:
        save(make(pipeline_name), target / f"{pipeline_name}.zip")

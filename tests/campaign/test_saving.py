"""Files of two pipelines in one folder, as a kill while the second is saved can leave them."""

import random
import shutil
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import spacy
from spacy.language import Language
from spacy.tokens import Doc
from thinc.api import SGD

TEXT = ["Everybody", "read", "that", "apple"]
NAMES = ["tags", "parts"]


def scores(nlp: Language) -> list[list[list[float]]]:
    doc = nlp(Doc(nlp.vocab, words=TEXT))
    return [nlp.get_pipe(name).predict_probabilities([doc])[0].tolist() for name in NAMES]


def test_files_of_two_pipelines_are_refused(
    shared: Language, make_examples: Callable, tmp_path: Path, size: Callable, tell: Callable
) -> None:
    n, left, expected = size(1000, 10), Counter[str](), []
    old, new, mixed = (tmp_path / name for name in ("old", "new", "mixed"))
    shared.initialize(lambda: make_examples(shared))
    for folder in (old, new):
        for _ in range(3):  # before the third, no gradient has reached the encoder
            shared.update(make_examples(shared), sgd=SGD(0.2))
        shared.to_disk(folder)
        expected.append(scores(shared))
    files = sorted(path.relative_to(new) for path in new.rglob("*") if path.is_file())
    generator = random.Random(0)
    for _ in range(n):
        shutil.copytree(old, mixed)
        for file in generator.sample(files, generator.randrange(len(files) + 1)):
            shutil.copyfile(new / file, mixed / file)
        try:
            found = scores(spacy.load(mixed))
        except ValueError as error:
            assert any(f"{name}: can't load {mixed}" in str(error) for name in NAMES)
            left["refused"] += 1
        else:
            assert found in expected
            left["whole"] += 1
        shutil.rmtree(mixed)
    tell(f"Saving: {n} folders with files of two pipelines: {dict(left)}, 0 times a mixture")

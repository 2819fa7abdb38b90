"""Tag a corpus, and save tags and probabilities; or compare with what was saved elsewhere.

python .ci/tag.py PIPELINE CORPUS OUTPUT
python .ci/tag.py PIPELINE CORPUS OUTPUT --without-torch
"""

import argparse
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy
import spacy
from spacy.tokens import Doc, DocBin


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pipeline")
    parser.add_argument("corpus", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--without-torch", action="store_true", help="compare, where it is missing")
    arguments = parser.parse_args()
    nlp = spacy.load(arguments.pipeline)
    gold = DocBin().from_disk(arguments.corpus).get_docs(nlp.vocab)
    docs = [Doc(nlp.vocab, words=[token.text for token in doc]) for doc in gold]
    tags = numpy.asarray([token.tag_ for doc in nlp.pipe(docs) for token in doc])
    tagger: Any = nlp.get_pipe("lstm_tagger")
    probabilities = numpy.concatenate(tagger.predict_probabilities(docs))
    if not arguments.without_torch:
        numpy.savez(arguments.output, tags=tags, probabilities=probabilities)
        return
    assert find_spec("torch") is None, "PyTorch is installed here"
    expected = numpy.load(arguments.output)
    numpy.testing.assert_array_equal(tags, expected["tags"])
    numpy.testing.assert_allclose(probabilities, expected["probabilities"], atol=1e-5)
    print(f"{len(tags):,} tokens: the same tags without PyTorch, and the same probabilities")


if __name__ == "__main__":
    main()

"""Write the splits of a treebank as DocBins: python scripts/convert.py TREEBANK FOLDER

TREEBANK is a folder as Universal Dependencies have it, with one file *train.conllu, one *dev.conllu
and one *test.conllu. FOLDER gets train.spacy, dev.spacy and test.spacy, in texts of ten sentences.
"""

import argparse
from pathlib import Path

from spacy.tokens import DocBin
from spacy.training.converters import conllu_to_docs

SENTENCES = 10  # of a text: more context than one sentence, and texts of about equal length


def find_split(treebank: Path, split: str) -> Path:
    """Return the file of a split; ValueError if there is none, or if there are several."""
    found = sorted(treebank.glob(f"*{split}.conllu"))
    if len(found) != 1:
        names = ", ".join(path.name for path in found) or "none"
        raise ValueError(f"{treebank} must have one file *{split}.conllu; it has {names}")
    return found[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("treebank", type=Path)
    parser.add_argument("folder", type=Path)
    arguments = parser.parse_args()
    try:
        paths = {split: find_split(arguments.treebank, split) for split in ("train", "dev", "test")}
    except ValueError as error:
        parser.error(str(error))
    arguments.folder.mkdir(parents=True, exist_ok=True)
    for split, path in paths.items():
        text = path.read_text(encoding="utf8")
        docs = conllu_to_docs(text, n_sents=SENTENCES, no_print=True)
        DocBin(docs=docs, store_user_data=True).to_disk(arguments.folder / f"{split}.spacy")


if __name__ == "__main__":
    main()

"""Write the DocBin (.spacy) of each CoNLL-U file below this folder: `python corpus/build.py`."""

from collections.abc import Iterator
from pathlib import Path

import spacy
from spacy.tokens import Doc, DocBin
from spacy.vocab import Vocab

CORPUS = Path(__file__).parent
ATTRIBUTES = ["ORTH", "SPACY", "POS", "TAG", "MORPH", "SENT_START"]


def read_conllu(path: Path, vocab: Vocab) -> Iterator[Doc]:
    """Read words, spaces, UPOS, XPOS, FEATS and sentence starts; one Doc per `# newdoc`.

    path (Path): The file.
    vocab (Vocab): The Docs' vocab.
    YIELDS (Doc): The Docs.
    """
    for text in path.read_text(encoding="utf8").split("# newdoc")[1:]:
        tokens: list[list[str]] = []
        sent_starts: list[bool | int | None] = []
        for sentence in text.strip().split("\n\n"):
            rows = [line.split("\t") for line in sentence.splitlines() if line[:1].isdigit()]
            sent_starts.extend(row is rows[0] for row in rows)
            tokens.extend(rows)
        yield Doc(
            vocab,
            words=[row[1] for row in tokens],
            spaces=["SpaceAfter=No" not in row[9] for row in tokens],
            pos=[row[3] for row in tokens],
            tags=[row[4] for row in tokens],
            morphs=[row[5] for row in tokens],
            sent_starts=sent_starts,
        )


def main() -> None:
    vocab = spacy.blank("en").vocab
    for path in sorted(CORPUS.glob("*/*.conllu")):
        docs = list(read_conllu(path, vocab))
        DocBin(ATTRIBUTES, docs=docs).to_disk(path.with_suffix(".spacy"))
        print(f"{path.relative_to(CORPUS)}: {len(docs)} Docs, {sum(map(len, docs))} tokens")


if __name__ == "__main__":
    main()

"""Simulate active learning: annotate the least sure sentences of a treebank first, or any.

    python benchmarks/annotation.py FOLDER --seeds 3

Both start with the same sentences. In each round a tagger is trained from scratch on all annotated
sentences, with configs/tagger.cfg and equally many steps, and evaluated on the dev set. Then
`uncertain` chooses the next sentences, or they are drawn at random.
"""

import argparse
import random
from pathlib import Path

import numpy
import torch
from accuracy import ROOT, read_treebank
from spacy.language import Language
from spacy.tokens import Doc
from spacy.training import Example
from spacy.util import fix_random_seed, load_config, load_model_from_config, registry
from thinc.api import Optimizer

from spacy_lstm_tagger import uncertain

BATCH_WORDS, N_STEPS = 500, 400


def blank(doc: Doc) -> Doc:
    """Return a Doc of the same words, without labels."""
    words = [token.text for token in doc]
    return Doc(doc.vocab, words=words, spaces=[bool(token.whitespace_) for token in doc])


def train(gold: list[Doc], seed: int) -> tuple[Language, Optimizer]:
    """Train a tagger on sentences; its optimizer knows the average of its weights."""
    fix_random_seed(seed)
    config = load_config(ROOT / "configs" / "tagger.cfg")
    nlp = load_model_from_config(config, auto_fill=True)
    settings = nlp.config.interpolate()["training"]
    optimizer = registry.resolve({"optimizer": settings["optimizer"]})["optimizer"]
    examples = [Example(blank(doc), doc) for doc in gold]
    nlp.initialize(lambda: examples, sgd=optimizer)
    batch: list[Example] = []
    for _ in range(N_STEPS):
        while sum(len(example.x) for example in batch) < BATCH_WORDS:
            batch.append(random.choice(examples))
        nlp.update(batch, sgd=optimizer, drop=settings["dropout"])
        batch = []
    return nlp, optimizer


def simulate(
    pool: list[Doc], dev: list[Doc], *, choose: bool, seed: int, n_rounds: int, size: int
) -> list[float]:
    """Return the accuracy after each round."""
    chance = random.Random(seed)
    left = chance.sample(pool, len(pool))
    gold, left = left[:size], left[size:]
    accuracies = []
    for _ in range(n_rounds):
        nlp, optimizer = train(gold, seed)
        with nlp.use_params(optimizer.averages):
            scores = nlp.evaluate([Example(blank(doc), doc) for doc in dev])
            chosen = set(range(size))
            if choose:
                chosen = {found.text for found in uncertain(nlp, map(blank, left), size)}
        accuracies.append(100 * scores["tag_acc"])
        n_tokens = sum(map(len, gold))
        print(f"  {len(gold)} sentences, {n_tokens} tokens: {accuracies[-1]:.2f}", flush=True)
        gold += [doc for i, doc in enumerate(left) if i in chosen]
        left = [doc for i, doc in enumerate(left) if i not in chosen]
    return accuracies


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("folder", type=Path, help="with …train.conllu and …dev.conllu")
    parser.add_argument("--seeds", type=int, default=3, help="how many, from 0 on")
    parser.add_argument("--rounds", type=int, default=10)
    parser.add_argument("--size", type=int, default=200, help="sentences of a round")
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    train_docs, dev = (
        read_treebank(next(arguments.folder.glob(f"*{split}.conllu")), "tag", None)
        for split in ("train", "dev")
    )
    pool = [sentence.as_doc() for doc in train_docs for sentence in doc.sents]
    sizes = {"n_rounds": arguments.rounds, "size": arguments.size}
    curves: dict[bool, list[list[float]]] = {False: [], True: []}
    for seed in range(arguments.seeds):
        for choose, own in curves.items():
            print("chosen" if choose else "by chance", f"seed {seed}", flush=True)
            own.append(simulate(pool, dev, choose=choose, seed=seed, **sizes))
    print("| sentences | by chance | chosen |\n|---:|---:|---:|")
    for i, means in enumerate(
        zip(*(numpy.mean(own, axis=0) for own in curves.values()), strict=True)
    ):
        print(f"| {(i + 1) * arguments.size:,} | {means[0]:.2f} | {means[1]:.2f} |")


if __name__ == "__main__":
    main()

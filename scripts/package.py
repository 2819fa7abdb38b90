"""Build a package of a trained pipeline, with a model card.

    python scripts/package.py PIPELINE REPORT EVALUATION TREEBANK OUTPUT \\
        --release r2.16 --version 1.0.0

PIPELINE is what `spacy train` wrote, REPORT the JSON of `spacy lstm-tagger report` on the test set,
EVALUATION that of `spacy evaluate`, with the scores of all components. TREEBANK is the folder of a
treebank, whose README says its licence. The package is called after the language and the treebank:
en_ud_ewt_lstm.
"""

import argparse
import re
import shutil
import tempfile
from pathlib import Path
from typing import Any

import srsly
from spacy.cli.package import package

ATTRIBUTES = {"tag": "tags", "pos": "universal parts of speech", "morph": "morphological features"}


def licence_of(treebank: Path) -> str:
    """Return the licence that the treebank's README names; ValueError if it names none."""
    for path in sorted(treebank.glob("README*")):
        if found := re.search(r"^License: *(.+)$", path.read_text(encoding="utf8"), re.M):
            return found[1].strip()
    raise ValueError(f"{treebank}: there is no README with a line 'License: ...'")


def percent(part: dict[str, Any]) -> str:
    return f"{100 * part['accuracy']:.2f}"


def card(report: dict[str, Any], source: str, licence: str) -> str:
    """Return a model card: what the pipeline is, its scores, and what it learnt from."""
    figures = report["pipelines"][0]
    overall, kind = figures["overall"], ATTRIBUTES[report["attribute"]]
    low, high = (f"{100 * bound:.2f}" for bound in overall["interval"])
    rows = "\n".join(
        f"| {row['label']} | {row['precision']:.3f} | {row['recall']:.3f} | {row['f']:.3f} "
        f"| {row['tokens']:,} |"
        for row in figures["labels"]
    )
    knowledge = "; ".join(f"{row['name']}: {percent(row)}" for row in figures["knowledge"])
    return f"""An LSTM tagger for {kind}, trained by spacy-lstm-tagger on {source} ({licence}).

On the test set, on the treebank's own tokens, {percent(overall)} of 100 {kind} are right
(95% interval {low} to {high}, {overall["tokens"]:,} tokens). {knowledge.capitalize()}.

The scores of all components stand under "Accuracy": those of `spacy evaluate` on the test set, from
text.

Text of another kind than the treebank's is tagged less accurately. The licence of the treebank
may hold for the pipeline, too.

| label | precision | recall | F | tokens |
|---|---:|---:|---:|---:|
{rows}
"""


def meta_of(arguments: argparse.Namespace) -> dict[str, Any]:
    """Return the pipeline's meta.json, completed for the package."""
    treebank, report = arguments.treebank, srsly.read_json(arguments.report)
    meta = srsly.read_json(arguments.pipeline / "meta.json")
    source, licence = f"{treebank.name} {arguments.release}", licence_of(treebank)
    evaluation = srsly.read_json(arguments.evaluation)
    return {
        **meta,
        "name": f"ud_{treebank.name.partition('-')[2].lower()}_lstm",
        "version": arguments.version,
        "description": f"LSTM tagger ({ATTRIBUTES[report['attribute']]}), trained on {source}",
        "license": licence,
        "sources": [
            {
                "name": source,
                "url": f"https://github.com/UniversalDependencies/{treebank.name}",
                "license": licence,
                "author": "Universal Dependencies",
            }
        ],
        "performance": {name: one for name, one in evaluation.items() if one is not None},
        "notes": card(report, source, licence),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("pipeline", type=Path)
    parser.add_argument("report", type=Path)
    parser.add_argument("evaluation", type=Path)
    parser.add_argument("treebank", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--release", required=True, help="of the treebank")
    parser.add_argument("--version", required=True, help="of the package")
    parser.add_argument("--build", default="wheel", choices=("wheel", "sdist", "none"))
    arguments = parser.parse_args()
    try:
        meta = meta_of(arguments)
    except (OSError, ValueError) as error:
        parser.error(str(error))
    arguments.output.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory() as folder:
        pipeline = Path(folder, "pipeline")
        shutil.copytree(arguments.pipeline, pipeline)
        srsly.write_json(pipeline / "meta.json", meta)
        for path in arguments.treebank.glob("LICENSE*"):
            shutil.copy(path, pipeline / "LICENSES_SOURCES")
        package(
            pipeline,
            arguments.output,
            create_sdist=arguments.build == "sdist",
            create_wheel=arguments.build == "wheel",
            force=True,
        )


if __name__ == "__main__":
    main()

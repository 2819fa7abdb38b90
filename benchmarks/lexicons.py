"""Make lexicons for `--lexicon` of accuracy.py from the data of other packages.

    pip install lemminflect
    python benchmarks/lexicons.py english english.json --wordnet /usr/share/wordnet \\
        --words /usr/share/dict/american-english-huge
    python benchmarks/lexicons.py french french.json --hunspell /usr/share/hunspell/fr

English: the inflections of lemminflect, the parts of speech of WordNet's index (Debian's package
wordnet-base), and the capitalized words of a list, which are names (Debian's package
wamerican-huge). French: the forms of a Hunspell dictionary whose entries have po: for the part of
speech and is: for gender, number and so on (Debian's package hunspell-fr-comprehensive).
"""

import argparse
import gzip
import importlib.util
import json
import re
from collections import defaultdict
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import NamedTuple

Pairs = Iterator[tuple[str, str]]  # of a word form and one of its classes


def inflections() -> Pairs:
    """Read lemminflect's table: on each line a lemma, its category and its inflections. Several
    spellings have slashes between them, and an empty field stands for the one before it.
    """
    package = importlib.util.find_spec("lemminflect")
    if package is None or package.origin is None:
        raise SystemExit("lemminflect is missing: pip install lemminflect")
    path = Path(package.origin).parent / "resources" / "infl_lu.csv.gz"
    with gzip.open(path, "rt", encoding="utf8") as lines:
        for line in lines:
            lemma, category, *fields = line.rstrip("\n").split(",")
            yield lemma, f"{category} 0"
            field = ""
            for i, own in enumerate(fields, start=1):
                field = own or field
                for form in filter(None, field.split("/")):
                    yield form, f"{category} {i}"


def wordnet(folder: Path) -> Pairs:
    """Read WordNet's indices and its lists of irregular forms; entries of several words are left
    out.
    """
    for part in ("noun", "verb", "adj", "adv"):
        for name, kind in ((f"index.{part}", part), (f"{part}.exc", f"irregular {part}")):
            for line in (folder / name).read_text(encoding="utf8").splitlines():
                form = line.partition(" ")[0]
                if form and "_" not in form:
                    yield form, f"WordNet {kind}"


def listed(path: Path) -> Pairs:
    """Read a list of words, one on each line; possessive forms are left out."""
    for form in path.read_text(encoding="utf8").splitlines():
        if form and not form.endswith("'s"):
            yield form, "listed capitalized" if form[0].isupper() else "listed"


class Suffix(NamedTuple):
    """A rule of a Hunspell affix file: what to take off the end of which words, what to put there,
    and what is said of the form.
    """

    stripped: str
    added: str
    condition: re.Pattern[str]
    facts: list[str]


def suffixes(path: Path) -> dict[str, list[Suffix]]:
    rules = defaultdict(list)
    for line in path.read_text(encoding="utf8").splitlines():
        kind, *fields = line.split() or [""]
        if kind == "SFX" and len(fields) >= 4:  # else the head of a group
            flag, stripped, added, condition, *facts = fields
            added, stripped = added.partition("/")[0].lstrip("0"), stripped.lstrip("0")
            rules[flag].append(Suffix(stripped, added, re.compile(f"(?:{condition})$"), facts))
    return rules


def hunspell(stem: Path) -> Pairs:
    """Read a Hunspell dictionary whose flags have two characters. A flag "()" marks entries that
    are no words without a suffix. Prefixes are left out.
    """
    rules = suffixes(stem.with_suffix(".aff"))
    for line in stem.with_suffix(".dic").read_text(encoding="utf8").splitlines()[1:]:
        entry, *facts = line.split()
        word, _, flags = entry.partition("/")
        found = [rule for i in range(0, len(flags), 2) for rule in rules.get(flags[i : i + 2], [])]
        forms = [
            (word.removesuffix(rule.stripped) + rule.added, rule.facts)
            for rule in found
            if rule.condition.search(word)
        ]
        if "()" not in flags or not found:
            forms.append((word, []))
        for form, own in forms:
            parts = {of_verbs(fact) for fact in facts if fact.startswith("po:")}
            own_parts = {of_verbs(fact) for fact in own if fact.startswith("po:")}
            others = {fact for fact in (*facts, *own) if fact.startswith("is:")}
            for name in (own_parts or parts) | others:
                yield form, name


def of_verbs(fact: str) -> str:
    """Return a part of speech; of verbs without their group and what they govern."""
    return re.sub(r"^po:v[0-3a-z]*$", "po:v", fact.partition("_")[0])


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("language", choices=["english", "french"])
    parser.add_argument("output", type=Path, help="a JSON file: to each form a list of classes")
    parser.add_argument("--wordnet", type=Path, help="folder of WordNet's indices")
    parser.add_argument("--words", type=Path, help="a list of words and names")
    parser.add_argument("--hunspell", type=Path, help="a Hunspell dictionary, without .dic or .aff")
    arguments = parser.parse_args()
    pairs: Iterable[tuple[str, str]]
    if arguments.language == "english":
        pairs = inflections()
        if arguments.wordnet is not None:
            pairs = chain(pairs, wordnet(arguments.wordnet))
        if arguments.words is not None:
            pairs = chain(pairs, listed(arguments.words))
    elif arguments.hunspell is None:
        parser.error("french needs --hunspell")
    else:
        pairs = hunspell(arguments.hunspell)
    classes: dict[str, set[str]] = defaultdict(set)
    for form, name in pairs:
        classes[form].add(name)
    for form in classes.keys() & set(map(str.title, classes)):  # a name, or a word that begins
        classes[form] |= classes.get(form.lower(), set())  # a sentence
    lexicon = {form: sorted(names) for form, names in classes.items()}
    arguments.output.write_text(json.dumps(lexicon, ensure_ascii=False), encoding="utf8")
    print(f"{len(lexicon):,} forms, {len(set().union(*classes.values()))} classes")


if __name__ == "__main__":
    main()

"""Check that a tag may be released: python scripts/check_version.py v0.1.0

setup.cfg and CITATION.cff must have the version of the tag, and the first section of CHANGELOG.md
must be about this version and have a date.
"""

import argparse
import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
SECTION = r"^## \[([^]\s]+)\] - (\S+)$"


def mistakes(tag: str, root: Path) -> list[str]:
    """Return what must be changed before the tag can be released."""
    version = tag.removeprefix("v")
    if not re.fullmatch(r"v\d+\.\d+\.\d+((a|b|rc)\d+)?", tag):
        return [f"{tag} is no tag of a version: it must look like v1.2.3 or v1.2.3rc1"]
    found = []
    for name, pattern in (("setup.cfg", r"^version = (.+)$"), ("CITATION.cff", r"^version: (.+)$")):
        match = re.search(pattern, (root / name).read_text(encoding="utf8"), re.M)
        if match is None or match[1] != version:
            found.append(f"{name} has version {match and match[1]}: make it {version}")
    section = re.search(SECTION, (root / "CHANGELOG.md").read_text(encoding="utf8"), re.M)
    if section is None or section[1] != version:
        found.append(f"CHANGELOG.md: the first section is {section and section[1]}, not {version}")
    elif not re.fullmatch(r"\d{4}-\d{2}-\d{2}", section[2]):
        found.append(f"CHANGELOG.md: {version} has {section[2]} in place of a date (YYYY-MM-DD)")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("tag", help="v and the version")
    tag = parser.parse_args().tag
    if found := mistakes(tag, ROOT):
        parser.exit(1, "".join(f"{mistake}\n" for mistake in found))


if __name__ == "__main__":
    main()

#!/usr/bin/env bash
# Build a release, install wheel and sdist in empty environments, and run the tests there.
# Usage: bash scripts/check_release.sh DIST [TAG [TESTS...]], where TAG is v and the version; TESTS
# are passed to pytest. The environment needs .ci/requirements.txt.
set -euo pipefail
dist=${1:?"usage: bash scripts/check_release.sh DIST [TAG [TESTS...]]"}
tag=${2-}
shift $(($# < 2 ? $# : 2))
root=$(cd "$(dirname "$0")/.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

if [ -n "$tag" ]; then
  python "$root/scripts/check_version.py" "$tag"
fi
bash "$root/scripts/build_release.sh" "$dist"
dist=$(cd "$dist" && pwd)

# The tests come from the sdist, without the package: only the installed one can be imported.
mkdir "$work/sdist"
tar --extract --file "$dist"/*.tar.gz --directory "$work/sdist" --strip-components 1
rm -r "$work/sdist/spacy_lstm_tagger"
cd "$work/sdist"
for file in "$dist"/*.whl "$dist"/*.tar.gz; do
  python -m venv "$work/empty"
  "$work/empty/bin/python" -m pip install --quiet -c constraints.txt "spacy-lstm-tagger[test] @ file://$file"
  "$work/empty/bin/python" -m pytest -rs "$@"
  rm -r "$work/empty"
done

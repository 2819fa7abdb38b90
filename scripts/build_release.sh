#!/usr/bin/env bash
# Build the sdist, and the wheel from it, into an empty folder, and check their metadata.
# The environment needs build, setuptools and twine. Usage: bash scripts/build_release.sh DIST
set -euo pipefail
dist=${1:?"usage: bash scripts/build_release.sh DIST"}
mkdir -p "$dist"
dist=$(cd "$dist" && pwd)
if [ -n "$(ls -A "$dist")" ]; then
  echo "$dist is not empty: remove it, or name another folder" >&2
  exit 2
fi
cd "$(dirname "$0")/.."
python -m build --quiet --no-isolation --outdir "$dist"
python -m twine check --strict "$dist"/*

#!/usr/bin/env bash
# Train a pipeline on a treebank of Universal Dependencies, or distill one on the treebank's texts, and
# put its wheel and its report into a folder, with its name and notes for a release.
# Usage: bash scripts/build_model.sh OUTPUT, with these variables in the environment:
#   TREEBANK, LANGUAGE, FACTORY, CONFIG, VERSION, SOURCE, MAX_STEPS: as in project.yml, whose values hold
#     where one is empty or missing
#   TEACHER: the name or folder of the pipeline to distill; empty to train on the treebank alone
#   COMPONENT: the teacher's component that teaches; tagger if empty or missing
set -euo pipefail
output=${1:?"usage: bash scripts/build_model.sh OUTPUT"}
mkdir -p "$output"
output=$(cd "$output" && pwd)
cd "$(dirname "$0")/.."
if [ -n "$(ls -A packages 2>/dev/null)" ]; then
  echo "packages/ is not empty: move it away, because it may have a package of the same name" >&2
  exit 2
fi

TREEBANK=${TREEBANK:-UD_English-EWT}
variables=(--vars.treebank "$TREEBANK")
add() { # NAME VALUE
  if [ -n "$2" ]; then variables+=("--vars.$1" "$2"); fi
}
add lang "${LANGUAGE-}"
add factory "${FACTORY-}"
add config "${CONFIG-}"
add version "${VERSION-}"
add source "${SOURCE-}"
add max_steps "${MAX_STEPS-}"

if [ -z "${TEACHER-}" ]; then
  python -m spacy project run all . "${variables[@]}"
  report=reports/$TREEBANK
else
  for step in fetch convert; do
    python -m spacy project run "$step" . "${variables[@]}"
  done
  pupil=training/$TREEBANK-distilled
  report=reports/$TREEBANK-distilled
  python -m spacy lstm-tagger distill "$TEACHER" "data/$TREEBANK/train.spacy" --output "$pupil" \
    --component "${COMPONENT:-tagger}" ${MAX_STEPS:+--training.max_steps "$MAX_STEPS"}
  # Scored on the treebank's labels: they may follow other conventions than the teacher's.
  python -m spacy lstm-tagger report "$pupil/model-best" "data/$TREEBANK/test.spacy" \
    --output "$report.html" --force
  mkdir -p packages
  python -m spacy package "$pupil/model-best" packages --version "${VERSION:-1.0.0}" \
    --build wheel
fi

package=$(echo packages/*/)
cp "$package"dist/*.whl "$report.html" "$report.json" "$output"
basename "$package" > "$output/name"
cp "$package"README.md "$output/notes.md"

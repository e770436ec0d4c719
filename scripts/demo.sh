#!/usr/bin/env bash
# Everything from a fresh clone to a prediction: packages, release build, and `mmra demo`: it makes a
# few hundred micro-videos, ingests them into a memory bank, trains, evaluates, and predicts a clip
# that the model has never seen. Safe to run twice. Arguments go to `mmra demo`.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/setup.sh
bash scripts/build.sh release mmra mmra_neural
exec build/release/bin/mmra demo "$@"

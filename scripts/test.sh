#!/usr/bin/env bash
# Everything from a fresh clone to a tested program: packages, release build, all tests. With --extras
# what CI adds: warnings are errors, format and lint, the tests under address and undefined-behaviour
# sanitizers (all but the network's: LibTorch is not built for them), and a few seconds of each fuzz
# target. Safe to run twice.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
extras=no
for argument in "$@"; do
  case "$argument" in
    --extras) extras=yes ;;
    *) echo "error: unknown argument $argument (scripts/test.sh [--extras])" >&2; exit 2 ;;
  esac
done

bash scripts/setup.sh
preset=release
[ "$extras" = yes ] && preset=ci
bash scripts/build.sh "$preset"
echo "Testing ..."
ctest --test-dir build/release --output-on-failure -j "$(nproc)"
[ "$extras" = yes ] || exit 0

bash scripts/lint.sh
bash scripts/build.sh asan-ubsan
echo "Testing under sanitizers ..."
ctest --test-dir build/asan-ubsan --output-on-failure -j "$(nproc)"
bash scripts/fuzz.sh 5

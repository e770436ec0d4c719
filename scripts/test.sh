#!/usr/bin/env bash
# Everything from a fresh clone to a tested program: packages, release build (warnings are errors),
# all tests. With --extras also what CI adds: the format check. Safe to run twice. The tests under
# sanitizers are a preset of their own (asan-ubsan, HACKING.md).
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
bash scripts/build.sh ci
echo "Testing ..."
ctest --test-dir build/release --output-on-failure -j "$(nproc)"
[ "$extras" = yes ] || exit 0

bash scripts/lint.sh --format-only

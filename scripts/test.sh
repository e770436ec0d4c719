#!/usr/bin/env bash
# Everything from a fresh clone to a tested program: packages, release build, all tests. With --extras
# what CI adds: a small real encoder for the tests that want one (scripts/fetch_encoders.sh; they are
# skipped where it cannot be had), axe-core for the test of the page (scripts/fetch_axe.sh; the same), warnings are errors, format and lint, the tests of what reads bytes
# from outside under address and undefined-behaviour sanitizers, and a few seconds of each fuzz target.
# Safe to run twice.
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
if [ "$extras" = yes ]; then
  bash scripts/fetch_encoders.sh --optional
  bash scripts/fetch_axe.sh --optional
fi
echo "Testing ..."
ctest --test-dir build/release --output-on-failure -j "$(nproc)"
[ "$extras" = yes ] || exit 0

bash scripts/lint.sh
# The rooms that read bytes from outside; all others by hand (HACKING.md), they take ten minutes.
sanitized=(core_tests hub_tests text_tests bank_tests media_tests sandbox_tests)
bash scripts/build.sh asan-ubsan "${sanitized[@]}"
echo "Testing under sanitizers ..."
for test in "${sanitized[@]}"; do "build/asan-ubsan/bin/$test" --gtest_brief=1; done
bash scripts/fuzz.sh 5

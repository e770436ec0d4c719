#!/usr/bin/env bash
# Everything from a fresh clone to a tested program: packages, release build, all tests. With --extras
# what CI adds: a small real encoder for the tests that want one (scripts/fetch_encoders.sh; they are
# skipped where it cannot be had), axe-core for the test of the page (scripts/fetch_axe.sh; the same), a Milvus server for
# the tests of banks on one (scripts/milvus.sh; the same), warnings are errors, format and lint, the tests of what reads bytes
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

# Banks on a server: the tests above skip these where no server is named.
bash scripts/milvus.sh start --optional
if bash scripts/milvus.sh answers; then
  trap 'bash scripts/milvus.sh stop' EXIT
  for test in bank_tests retrieval_tests; do
    MMRA_TEST_MILVUS=127.0.0.1:19530 "build/release/bin/$test" --gtest_filter='*/Milvus' --gtest_brief=1
  done
  bash scripts/milvus.sh stop
  trap - EXIT
fi

bash scripts/lint.sh
# The rooms that read bytes from outside; all others by hand (HACKING.md), they take ten minutes.
sanitized=(media_tests bank_tests text_tests net_tests hub_tests core_tests sandbox_tests)
bash scripts/build.sh asan-ubsan "${sanitized[@]}"
echo "Testing under sanitizers ..."
# In quarters, as many at a time as there are processors; the longest first.
run_quarter() {
  local said
  said=$(GTEST_TOTAL_SHARDS=4 GTEST_SHARD_INDEX=$2 "build/asan-ubsan/bin/$1" --gtest_brief=1 2>&1) && return
  printf '%s\n' "$said" >&2
  return 1
}
export -f run_quarter
for test in "${sanitized[@]}"; do printf "$test %s\n" 0 1 2 3; done |
  xargs -P "$(nproc)" -L 1 bash -c 'run_quarter "$@"' run_quarter
echo "Nothing found."
bash scripts/fuzz.sh 5

#!/usr/bin/env bash
# Everything from a fresh clone to a tested program: packages, release build, all tests. With --extras
# what CI adds: the packages for what is optional (scripts/packages-extras.txt), a small real encoder for
# the tests that want one (scripts/fetch_encoders.sh; they are skipped where it cannot be had), axe-core
# for the test of the page (scripts/fetch_axe.sh; the same), a Milvus server for the tests of banks on one
# (scripts/milvus.sh; the same), warnings are errors, format and lint, the tests of what reads bytes from
# outside under address and undefined-behaviour sanitizers, and a few seconds of each fuzz target.
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

preset=release
with_extras=()
if [ "$extras" = yes ]; then
  preset=ci
  with_extras=(--extras)
fi
bash scripts/setup.sh "${with_extras[@]}"
bash scripts/build.sh "$preset"
if [ "$extras" = yes ]; then
  bash scripts/fetch_encoders.sh --optional
  bash scripts/fetch_axe.sh --optional
fi
echo "Testing ..."
ctest --test-dir build/release --output-on-failure -j "$(nproc)"
[ "$extras" = yes ] || exit 0

# Banks on a server, whose tests mostly wait for it: beside the linter. Those above skip them.
log=$(mktemp)
bash scripts/milvus.sh start --optional
trap 'bash scripts/milvus.sh stop; rm -f "$log"' EXIT
test_on_milvus() {
  bash scripts/milvus.sh answers || return 0
  printf '%s\n' "bank_tests "{0..5} "retrieval_tests 0" |
    MMRA_TEST_MILVUS=127.0.0.1:19530 xargs -P 7 -L 1 bash -c \
      'shards=6; [ "$0" = bank_tests ] || shards=1
       GTEST_TOTAL_SHARDS=$shards GTEST_SHARD_INDEX=$1 "build/release/bin/$0" --gtest_filter="*/Milvus" --gtest_brief=1' || return 1
  MMRA_TEST_MILVUS=127.0.0.1:19530 MMRA_PROGRAM=$PWD/build/release/bin/mmra PYTHONDONTWRITEBYTECODE=1 \
    python3 tests/cli/ranks_test.py Ranks.test_an_ingest_onto_a_server_is_that_of_one_process || [ $? = 77 ]
}
test_on_milvus >"$log" 2>&1 &
on_milvus=$!

bash scripts/lint.sh
wait "$on_milvus" || { cat "$log"; exit 1; }
bash scripts/milvus.sh stop
# The rooms that read bytes from outside; all others by hand (HACKING.md), they take ten minutes. Built
# with the fuzz targets, by clang: one more compilation of everything less.
sanitized=(media_tests bank_tests text_tests net_tests hub_tests core_tests sandbox_tests)
bash scripts/build.sh fuzz fuzzers "${sanitized[@]}"
echo "Testing under sanitizers ..."
# In quarters, as many at a time as there are processors; the longest first.
run_quarter() {
  local said
  said=$(GTEST_TOTAL_SHARDS=4 GTEST_SHARD_INDEX=$2 "build/fuzz/bin/$1" --gtest_brief=1 2>&1) && return
  printf '%s\n' "$said" >&2
  return 1
}
export -f run_quarter
for test in "${sanitized[@]}"; do printf "$test %s\n" 0 1 2 3; done |
  xargs -P "$(nproc)" -L 1 bash -c 'run_quarter "$@"' run_quarter
echo "Nothing found."
bash scripts/fuzz.sh 5

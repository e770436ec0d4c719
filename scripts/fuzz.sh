#!/usr/bin/env bash
# Builds the fuzz targets (clang, libFuzzer, address and undefined-behaviour sanitizers) and runs each
# for some seconds (default: 60) on its seeds in tests/golden/fuzz/ and on what earlier runs found.
#   bash scripts/fuzz.sh [SECONDS [NAME ...]]
# A finding ends it with status 1; the input is then build/fuzz/findings/NAME-*.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
seconds=${1:-60}
[[ $seconds =~ ^[0-9]+$ ]] || { echo "error: not a number of seconds: $seconds" >&2; exit 2; }
shift $(($# > 0))
names=("$@")
[ ${#names[@]} -gt 0 ] || names=(calibration clip_stream export hub image_processor lmdb_pages manifest model_config
                                 multipart predictor_config record request safetensors svm_file training_files word_piece)

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { cmake --preset fuzz && cmake --build --preset fuzz -j "$(nproc)"; } >"$log" 2>&1; then
  cat "$log" >&2
  exit 1
fi
mkdir -p build/fuzz/findings
for name in "${names[@]}"; do
  corpus=build/fuzz/corpus/$name
  mkdir -p "$corpus"
  dictionary=()
  [ -f "fuzz/$name.dict" ] && dictionary=("-dict=fuzz/$name.dict")
  echo "fuzz_$name: $seconds s"
  if ! "build/fuzz/bin/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
      -artifact_prefix="build/fuzz/findings/$name-" "${dictionary[@]}" \
      "$corpus" "tests/golden/fuzz/$name" >"$log" 2>&1; then
    cat "$log" >&2
    echo "error: fuzz_$name found a fault; its input is in build/fuzz/findings" >&2
    exit 1
  fi
  tail -n 1 "$log"
done

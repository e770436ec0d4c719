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
[ ${#names[@]} -gt 0 ] || names=(calibration clip_stream export hub image_processor index_files lmdb_pages manifest milvus model_config
                                 multipart predictor_config record request safetensors svm_file training_files word_piece)

log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! { cmake --preset fuzz && cmake --build --preset fuzz -j "$(nproc)"; } >"$log" 2>&1; then
  cat "$log" >&2
  exit 1
fi
mkdir -p build/fuzz/findings
export seconds

# One target; what it said is shown where it found a fault.
fuzz_target() {
  local name=$1 corpus=build/fuzz/corpus/$1 dictionary=() said
  mkdir -p "$corpus"
  [ -f "fuzz/$name.dict" ] && dictionary=("-dict=fuzz/$name.dict")
  if ! said=$("build/fuzz/bin/fuzz_$name" -max_total_time="$seconds" -timeout=10 -rss_limit_mb=2048 \
      -artifact_prefix="build/fuzz/findings/$name-" "${dictionary[@]}" \
      "$corpus" "tests/golden/fuzz/$name" 2>&1); then
    printf '%s\nerror: fuzz_%s found a fault; its input is in build/fuzz/findings\n' "$said" "$name" >&2
    return 255  # xargs begins nothing more
  fi
  echo "fuzz_$name: ${said##*$'\n'}"
}
export -f fuzz_target
# As many at a time as there are processors; each has its seconds.
printf '%s\0' "${names[@]}" | xargs -0 -P "$(nproc)" -n 1 bash -c 'fuzz_target "$1"' fuzz_target || exit 1

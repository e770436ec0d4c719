#!/usr/bin/env bash
# Builds a preset (default: release) into build/PRESET, all of it or the targets that are named. The
# program is build/release/bin/mmra.
#   bash scripts/build.sh [PRESET [TARGET ...]]
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
preset=${1:-release}
shift $(($# > 0))
echo "Building ($preset) ..."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! cmake --preset "$preset" >"$log" 2>&1; then
  cat "$log" >&2
  echo "error: the build could not be configured; bash scripts/setup.sh installs what it needs" >&2
  exit 1
fi
directory=build/$preset
[ "$preset" = ci ] && directory=build/release
cmake --build "$directory" -j "$(nproc)" ${1:+--target "$@"}

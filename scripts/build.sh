#!/usr/bin/env bash
# Builds a preset (default: release) into build/PRESET. The program is build/release/bin/mmra.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
preset=${1:-release}
[ $# -gt 0 ] && shift
echo "Building ($preset) ..."
log=$(mktemp)
trap 'rm -f "$log"' EXIT
if ! cmake --preset "$preset" "$@" >"$log" 2>&1; then
  cat "$log" >&2
  echo "error: the build could not be configured; bash scripts/setup.sh installs what it needs" >&2
  exit 1
fi
directory=build/$preset
[ "$preset" = ci ] && directory=build/release
cmake --build "$directory" -j "$(nproc)"

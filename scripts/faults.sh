#!/usr/bin/env bash
# What `mmra serve` and whatever writes a bank must survive, at length; ctest runs the same for a few seconds each. Many
# requests, thousands of connections, kills under writes, full disks and torn models against build/release; hostile
# requests and videos against a server and decoders under address and undefined-behaviour sanitizers, which are built
# for it.
#   bash scripts/faults.sh [CLIPS]
# CLIPS: a folder of videos, to be mutated beside those that the program makes.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
clips=()
[ $# -eq 0 ] || clips=(--clips "$1")
run() {
  echo "$2 ..."
  MMRA_PROGRAM=$PWD/build/$1/bin/mmra PYTHONDONTWRITEBYTECODE=1 python3 -W ignore "tests/$2_test.py" "${@:3}"
}

bash scripts/build.sh release mmra
ulimit -n "$(ulimit -Hn)"
run release serving/faults/soak --requests 100000
run release serving/faults/connections --connections 10000
run release serving/faults/writes --kills 100
run release serving/faults/decoders --kills 30
run release serving/faults/full_disk --rounds 5
run release serving/faults/model_swap --seconds 60
run release cli/kills --kills 200
bash scripts/build.sh asan-ubsan mmra
run asan-ubsan serving/faults/hostile --requests 10000 --videos 1000 "${clips[@]}"

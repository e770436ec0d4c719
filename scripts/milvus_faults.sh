#!/usr/bin/env bash
# What a bank on a Milvus server must survive, at length: tests/bank/milvus/faults_test.py with build/release's program,
# against servers that it starts, kills and fills the disks of.
#   bash scripts/milvus_faults.sh [--times 20] [--fault KIND ...]
# MILVUS_PORT and MILVUS_MANAGEMENT_PORT [19630, 9631]: kinds may run side by side, each with ports of its own. A run takes
# about a minute, most of which the server's start.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
bash scripts/build.sh release mmra
bash scripts/milvus.sh fetch
MMRA_PROGRAM=$PWD/build/release/bin/mmra PYTHONDONTWRITEBYTECODE=1 exec python3 tests/bank/milvus/faults_test.py "$@"

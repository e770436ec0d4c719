#!/usr/bin/env bash
# A Milvus server on 127.0.0.1 for the tests and benchmarks of banks on one:
#   scripts/milvus.sh start [--optional]   fetches it (58 MB, the Python package `milvus`), starts it, waits until it answers
#   scripts/milvus.sh fetch                fetches it only
#   scripts/milvus.sh stop                 stops it, and leaves its data
#   scripts/milvus.sh kill                 kills it, as the kernel would
#   scripts/milvus.sh answers              whether one does
#   scripts/milvus.sh run COMMAND ...      starts it, runs the command with MMRA_TEST_MILVUS set, stops it
# Everything lies below build/milvus, or MILVUS_HOME (its package may be a link to another's). MILVUS_PORT [19530] and
# MILVUS_MANAGEMENT_PORT [9091]: where it listens; the ports behind follow the first one, so that two run side by side.
# --optional: where it cannot be had, says so and ends well.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=2.3.5
port=${MILVUS_PORT:-19530}
management=${MILVUS_MANAGEMENT_PORT:-9091}
home=${MILVUS_HOME:-build/milvus}
wheel=milvus-$version-py3-none-manylinux2014_x86_64.whl
sha256=69515a0630ce29fd10e101fa442afea8ca1387b93a456cd9bd41fdf3deb93d04

give_up() {
  echo "$1" >&2
  [ "${optional:-no}" = yes ] && exit 0
  exit 1
}

fetch() {
  [ -f "$home/package/milvus/__init__.py" ] && return 0
  mkdir -p "$home"
  python3 -m pip download --quiet --no-deps --only-binary :all: --platform manylinux2014_x86_64 \
    --dest "$home" "milvus==$version" || return 1
  echo "$sha256  $home/$wheel" | sha256sum --check --status || return 1
  rm -rf "$home/package.new"
  python3 -m zipfile -e "$home/$wheel" "$home/package.new"
  rm -f "$home/$wheel"
  mv "$home/package.new" "$home/package"
}

answers() {
  python3 - "$management" <<'PYTHON' 2>/dev/null
import sys, urllib.request
opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
sys.exit(b"OK" not in opener.open(f"http://127.0.0.1:{sys.argv[1]}/healthz", timeout=5).read())
PYTHON
}

start() {
  if answers; then echo "A Milvus server answers on 127.0.0.1:$management already."; return 0; fi
  fetch || give_up "milvus $version cannot be fetched; the tests of banks on a server are skipped"
  # Low priority: it is here to be tested against, not to slow the tests down.
  PYTHONPATH="$home/package" setsid nice -n 5 python3 scripts/milvus_server.py "$home/data" "$port" "$management" \
    >"$home/server.log" 2>&1 </dev/null &
  echo $! >"$home/pid"
  for _ in $(seq 360); do
    answers && { echo "Milvus $version answers on 127.0.0.1:$port."; return 0; }
    kill -0 "$(cat "$home/pid")" 2>/dev/null || break
    sleep 0.5
  done
  stop
  give_up "the Milvus server did not start; see $home/server.log and $home/data/logs"
}

# end SIGNAL SECONDS: ends it by that signal, or, after some time, by SIGKILL.
end() {
  [ -f "$home/pid" ] || return 0
  local pid
  pid=$(cat "$home/pid")
  rm -f "$home/pid"
  kill "-$1" "$pid" 2>/dev/null || return 0
  for _ in $(seq "$(($2 * 5))"); do
    kill -0 "$pid" 2>/dev/null || return 0
    sleep 0.2
  done
  kill -KILL "$pid" 2>/dev/null || true
}

stop() { end TERM 60; }

command=${1:-}
[ $# -gt 0 ] && shift
case "$command" in
  start) [ "${1:-}" = --optional ] && optional=yes; start ;;
  stop) stop ;;
  kill) end KILL 10 ;;
  answers) answers ;;
  fetch) fetch || give_up "milvus $version cannot be fetched" ;;
  run)
    start
    trap stop EXIT
    MMRA_TEST_MILVUS="127.0.0.1:$port?management=$management" "$@"
    ;;
  *) echo "error: scripts/milvus.sh start [--optional] | fetch | stop | kill | answers | run COMMAND ..." >&2; exit 2 ;;
esac

#!/usr/bin/env bash
# Fetches axe-core, with which the tests in tests/web look for faults of accessibility, by npm into
# build/axe. With --optional a machine without npm or network is no failure: the test then says that
# it did not look. Safe to run twice.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
version=4.10.3
sha256=880970c081707360e64f34cea25ff91892f5bc95675b0776925b9709dd8a68bb
optional=no
[ "${1:-}" = --optional ] && optional=yes
target=build/axe/axe.min.js

give_up() {
  if [ "$optional" = yes ]; then
    echo "$1; accessibility will not be checked"
    exit 0
  fi
  echo "error: $1" >&2
  exit 1
}

is_right() { [ -f "$target" ] && echo "$sha256  $target" | sha256sum --check --status; }

if is_right; then
  echo "axe-core $version is there."
  exit 0
fi
command -v npm >/dev/null || give_up "npm is not installed"
mkdir -p build/axe
(cd build/axe && npm pack --silent "axe-core@$version" >/dev/null 2>&1) || give_up "npm cannot fetch axe-core $version"
tar -xzf "build/axe/axe-core-$version.tgz" -C build/axe --strip-components=1 package/axe.min.js
rm -f "build/axe/axe-core-$version.tgz"
is_right || { rm -f "$target"; give_up "axe-core $version is not the file that was expected"; }
echo "axe-core $version is in build/axe."

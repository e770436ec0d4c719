#!/usr/bin/env bash
# Makes docs/images/page-*.png, the README's pictures of the page of `mmra serve`, and experiment.png, the
# report of an experiment: a demo bank, the service and `mmra reproduce` on it, and Chromium. Needs a
# release build and the packages chromium, chromium-driver and python3-selenium. Look at the pictures
# before committing them.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
program=build/release/bin/mmra
if [ ! -x "$program" ]; then
  echo "error: $program is not there; build it first: bash scripts/build.sh" >&2
  exit 1
fi
/usr/bin/python3 tests/web/screenshots.py "$program" build/screenshots docs/images
ls -l docs/images/page-*.png docs/images/experiment.png

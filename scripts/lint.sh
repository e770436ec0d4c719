#!/usr/bin/env bash
# clang-format and clang-tidy (--format-only: the first alone, as CI runs it). Needs a configured build/release. Files that include
# LibTorch are formatted but not linted: clang-tidy 14 cannot parse those headers as C++20.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
mapfile -t sources < <(git ls-files 'src/**/*.cpp' 'src/**/*.h' 'apps/**/*.cpp' 'apps/**/*.h' \
                       'tests/**/*.cpp' 'tests/**/*.h' 'bench/*.cpp' 'fuzz/*.cpp')
echo "clang-format: ${#sources[@]} files"
clang-format-14 --dry-run --Werror "${sources[@]}"
[ "${1:-}" = --format-only ] && exit 0

mapfile -t linted < <(git ls-files 'src/**/*.cpp' 'apps/**/*.cpp' |
                      xargs grep -LE '#include [<"](torch/|mmra/model/neural/)')
echo "clang-tidy: ${#linted[@]} files"
printf '%s\0' "${linted[@]}" |
  xargs -0 -P "$(nproc)" -n 4 clang-tidy-14 -p build/release --quiet 2>/dev/null

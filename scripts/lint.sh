#!/usr/bin/env bash
# clang-format and clang-tidy; ends with 1 where one of them has something to say. --format-only: the
# first alone. FILE...: clang-tidy on these .cpp files alone. It reads build/lint, which is configured
# and never built. Files that include LibTorch are formatted but not linted: clang-tidy 14 cannot parse
# those headers as C++20.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
format_only=no
if [ "${1:-}" = --format-only ]; then
  format_only=yes
  shift
fi

if [ $# -eq 0 ]; then
  mapfile -t sources < <(git ls-files 'src/**/*.cpp' 'src/**/*.h' 'apps/**/*.cpp' 'apps/**/*.h' \
                         'tests/**/*.cpp' 'tests/**/*.h' 'bench/*.cpp' 'fuzz/*.cpp')
  echo "clang-format: ${#sources[@]} files"
  clang-format-14 --dry-run --Werror "${sources[@]}"
  [ "$format_only" = yes ] && exit 0
  mapfile -t linted < <(git ls-files 'apps/**/*.cpp' 'src/**/*.cpp')
else
  linted=("$@")
fi

log=$(mktemp)
includes=$(mktemp -d)
trap 'rm -rf "$log" "$includes"' EXIT
if ! cmake --preset lint >"$log" 2>&1; then
  cat "$log" >&2
  echo "error: clang-tidy's build could not be configured" >&2
  exit 1
fi
mapfile -t linted < <(grep -LE '#include [<"](torch/|mmra/model/neural/)' "${linted[@]}")

# clang 14 has no omp.h here, and GCC's is not for it: declarations of what is used stand in.
cat >"$includes/omp.h" <<'END'
#pragma once
extern "C" {
void omp_set_num_threads(int);
int omp_get_max_threads(void);
int omp_get_thread_num(void);
int omp_in_parallel(void);
typedef struct { void* state; } omp_lock_t;
}
END
export includes

lint_file() {
  local output
  output=$(clang-tidy-14 -p build/lint --quiet --extra-arg=-isystem"$includes" "$1" 2>&1) && return
  printf '%s\n' "$output" | grep -vE '^([0-9]+ warnings|Error while processing|Suppressed)' >&2
  return 1
}
export -f lint_file

echo "clang-tidy: ${#linted[@]} files"
started=$SECONDS
if ! printf '%s\0' "${linted[@]}" |
    xargs -0 -P "$(nproc)" -n 1 bash -c 'lint_file "$1"' lint_file; then
  echo "error: clang-tidy found something (.clang-tidy says what it looks for)" >&2
  exit 1
fi
echo "clang-tidy: nothing found in $((SECONDS - started)) s"

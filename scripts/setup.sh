#!/usr/bin/env bash
# Installs the Debian packages that building and testing need (scripts/packages.txt), those that are
# missing; with --extras also those for what is optional (scripts/packages-extras.txt). Safe to run
# twice. Needs root or sudo only where something is missing.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
lists=("$root/scripts/packages.txt")
for argument in "$@"; do
  case "$argument" in
    --extras) lists+=("$root/scripts/packages-extras.txt") ;;
    *) echo "error: unknown argument $argument (scripts/setup.sh [--extras])" >&2; exit 2 ;;
  esac
done

if ! command -v dpkg-query >/dev/null 2>&1; then
  echo "error: this script installs Debian packages and finds no dpkg here; install what" \
       "${lists[*]} name by hand" >&2
  exit 1
fi

missing=()
while read -r package; do
  status=$(dpkg-query -W -f='${db:Status-Status}' "$package" 2>/dev/null || true)
  [ "$status" = installed ] || missing+=("$package")
done < <(sed 's/#.*//' "${lists[@]}" | tr -s ' \t' '\n' | sed '/^$/d')

if [ ${#missing[@]} -eq 0 ]; then
  echo "All packages are installed."
  exit 0
fi

as_root=()
if [ "$(id -u)" -ne 0 ]; then
  if ! command -v sudo >/dev/null 2>&1; then
    echo "error: ${#missing[@]} packages are missing and this user can neither be root nor sudo;" \
         "ask an administrator for: ${missing[*]}" >&2
    exit 1
  fi
  as_root=(sudo)
fi
echo "Installing ${#missing[@]} Debian packages: ${missing[*]}"
"${as_root[@]}" apt-get update -qq
"${as_root[@]}" env DEBIAN_FRONTEND=noninteractive \
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
echo "Packages installed."

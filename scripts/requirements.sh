#!/bin/sh
# Write requirements/: the newest versions that pyproject.toml allows, on every system, with the hashes of their files.
set -eu
cd "$(dirname "$0")/.."
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

"${PYTHON:-python3}" -m venv "$work"
"$work/bin/python" -m pip install --quiet --disable-pip-version-check uv
mkdir -p requirements

compile() { # WHAT FOR SOURCE FLAGS…
    what=$1 for=$2 source=$3
    shift 3
    {
        echo "# $for. Written by \`make requirements\`, from pyproject.toml."
        "$work/bin/uv" pip compile --quiet --no-config --upgrade --universal --python-version 3.11 --generate-hashes \
            --no-header --no-annotate --no-emit-index-url --no-emit-find-links "$@" "$source"
    } >"$work/$what.txt"
    cp "$work/$what.txt" "requirements/$what.txt"
}

"${PYTHON:-python3}" -c '
import sys, tomllib
print(*tomllib.load(open("pyproject.toml", "rb"))["build-system"]["requires"], sep="\n")' >"$work/build.in"
compile runtime "What the command runs with in the action" pyproject.toml
compile image "What the command runs with in the image, with the extras \`operator\` and \`s3\`" pyproject.toml \
    --extra operator --extra s3 --constraint "$work/runtime.txt"
compile build "What builds the package there" "$work/build.in"

#!/bin/sh
# Build the wheel and the sdist into dist/, check their metadata, and install each into an environment of its own.
set -eu
cd "$(dirname "$0")/.."
root=$PWD
work=$root/.dist
rm -rf dist "$work"
mkdir "$work"

pip() { # ENVIRONMENT ARGUMENTS…
    environment=$1
    shift
    "$environment/bin/python" -m pip --quiet --disable-pip-version-check "$@"
}

"${PYTHON:-python3}" -m venv "$work/build"
pip "$work/build" install build twine
"$work/build/bin/python" -m build --outdir dist . >"$work/build.log" 2>&1 || { cat "$work/build.log" >&2; exit 1; }
"$work/build/bin/twine" check --strict dist/*

version=$(sed -n 's/^__version__ = "\(.*\)"$/\1/p' reconciler/__init__.py)
for package in dist/*; do
    name=$(basename "$package")
    here=$work/$name
    "${PYTHON:-python3}" -m venv "$here"
    pip "$here" install "$root/$package"
    # From a folder of its own: nothing of the checkout is to be found by accident.
    mkdir "$here/work"
    (
        cd "$here/work"
        PATH=$here/bin:$PATH
        test "$(reconciler --version)" = "reconciler $version"
        reconciler schema manifest >manifest.schema.json
        reconciler init shop --name shop --model deepseek-chat --ci none >/dev/null
        reconciler init bookshop --example bookshop >/dev/null
        reconciler validate shop
        reconciler validate bookshop
        reconciler plan shop --endpoint local >/dev/null 2>&1
    )
    echo "$name: installs and runs"
done
rm -rf "$work"

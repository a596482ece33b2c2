#!/bin/sh
# The first hour of a catalog, on the embedded server: validate, plan, apply, edit a prompt, plan, test, apply, no
# changes.
# `make demo` runs it; so does anyone with `reconciler` on the PATH. It asks nothing and stops at the first failure.
set -eu

unset CDPATH
cd -- "$(dirname -- "$0")/.."

shop=.demo
# Nothing here goes to, or depends on, anyone's account.
unset MINDCRAFT_API_KEY MINDCRAFT_ENDPOINT

if [ -t 1 ] && [ -z "${NO_COLOR:-}" ]; then
    bold=$(printf '\033[1m') plain=$(printf '\033[0m')
else
    bold='' plain=''
fi

say() { printf '\n%s\n' "# $*"; }
run() {
    printf '\n%s\n' "${bold}\$ $*${plain}"
    "$@"
}
# The same, but of a long output the first lines and the last.
run_short() {
    printf '\n%s\n' "${bold}\$ $*${plain}"
    output=$("$@")
    lines=$(printf '%s\n' "$output" | wc -l)
    printf '%s\n' "$output" | sed -n '1,16p'
    if [ "$lines" -gt 17 ]; then
        printf '  %s\n\n' "(… $((lines - 17)) more lines, which apply will show)"
        printf '%s\n' "$output" | sed -n '$p'
    fi
}
die() {
    printf '\n%s\n' "demo: $*" >&2
    exit 1
}

command -v reconciler >/dev/null || die "there is no reconciler on the PATH; run 'make demo', which installs it"

# What the demo made, so that it never overwrites what somebody else changed since.
made() {
    (cd "$shop" && find . -path ./.reconciler -prune -o -type f ! -name .made -exec cksum {} + | LC_ALL=C sort)
}
if [ -e "$shop" ] && { [ ! -f "$shop/.made" ] || [ "$(made)" != "$(cat "$shop/.made")" ]; }; then
    die "$shop was changed since the demo made it, and the demo would overwrite it.
      Keep it under another name:  mv $shop my-shop
      or throw it away:            rm -r $shop"
fi

say "A fresh copy of the bookshop: sixteen personas in plain files, none of them live yet."
rm -rf "$shop"
cp -R examples/bookshop "$shop"
rm -rf "$shop/.reconciler"  # of someone who applied the original in place
# The copy lies one folder higher, and editors look for the schemas from where a file is.
for file in "$shop"/catalog.yaml "$shop"/sessions/*.yaml "$shop"/tests/*.yaml; do
    sed '1s|=\.\./|=|' "$file" >"$shop/edited"
    mv "$shop/edited" "$file"
done
made >"$shop/.made"
run ls "$shop" "$shop/sessions" "$shop/tests" "$shop/prompts"

run reconciler validate "$shop"
run_short reconciler plan "$shop" --endpoint local
run reconciler apply "$shop" --endpoint local --auto-approve

say "They are live. Now Alice is to talk less: one line of her prompt, in $shop/sessions/readers.yaml."
readers=$shop/sessions/readers.yaml
old='brief: two or three sentences, then a question.'
new='brief: one sentence.'
sed "s/$old/$new/" "$readers" >"$shop/edited"
if cmp -s "$readers" "$shop/edited"; then
    die "the line to change is no longer in $readers"
fi
mv "$shop/edited" "$readers"
made >"$shop/.made"
printf '  - %s\n  + %s\n' "$old" "$new"

run reconciler plan "$shop" --endpoint local

say "Alice has tests. A server that plays a model shows what the new line does to her answers."
mkdir -p "$shop/.reconciler"
: >"$shop/.reconciler/server.log" # it may be read before the server is there
reconciler server "$shop" --port 0 --chat-script examples/answers.yaml >"$shop/.reconciler/server.log" &
server=$!
trap 'kill "$server" 2>/dev/null || :' EXIT
address=''
until [ -n "$address" ]; do
    kill -0 "$server" 2>/dev/null || die "the server did not start"
    address=$(sed -n 's/.* at \(http:[^ ]*\) .*/\1/p' "$shop/.reconciler/server.log")
    sleep 0.1
done
code=0
run reconciler test --changed --catalog "$shop" --endpoint "$address" || code=$?
[ "$code" -eq 5 ] || die "the test should find that Alice no longer asks a question back"

say "The reviewer would not have seen that. So: brief, and still with a question."
better='brief: one sentence, then a question.'
sed "s/$new/$better/" "$readers" >"$shop/edited"
mv "$shop/edited" "$readers"
made >"$shop/.made"
run reconciler test --changed --catalog "$shop" --endpoint "$address"
kill "$server"
trap - EXIT
run reconciler apply "$shop" --endpoint local --auto-approve

say "And once more. With --detailed-exitcode, 0 means that files and server agree, 2 that they differ."
code=0
run reconciler plan "$shop" --endpoint local --detailed-exitcode || code=$?
case $code in
    0) ;;
    2) die "the last plan should say that there are no changes, and it has some" ;;
    *) die "the last plan failed with exit code $code" ;;
esac

cat <<END

${bold}That was it.${plain} The shop stays in $shop, with its sessions in $shop/.reconciler/local.db. To go on:

END
if [ -x .venv/bin/reconciler ]; then
    echo "  . .venv/bin/activate                        put reconciler on your PATH"
fi
cat <<END
  reconciler server $shop                     see the sessions in a browser
  \$EDITOR $shop/sessions/evenings.yaml        change something, or add a persona of your own
  reconciler plan $shop --endpoint local      then look what it would do
  reconciler apply $shop --endpoint local     and do it, when you say yes

With an account, the same commands work against the service: leave out --endpoint local and give your key.

  export MINDCRAFT_API_KEY=…
  reconciler plan $shop
END

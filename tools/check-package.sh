#!/bin/sh
# Builds the wheel, checks its metadata, and installs it into a clean environment outside the checkout: the demo must
# load and verify there, and a server answer. Needs python3 and a package index; everything is in a temporary folder.
set -eu
source=$(CDPATH='' cd "$(dirname "$0")/.." && pwd)
folder=$(mktemp -d)
server=
stop() {
    if [ -n "$server" ]; then kill "$server" 2>/dev/null || true; wait "$server" || true; fi
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 1' INT TERM

python3 -m venv "$folder/build"
"$folder/build/bin/pip" install --quiet --disable-pip-version-check build twine
"$folder/build/bin/python" -m build --wheel --outdir "$folder/dist" "$source" >"$folder/build.log"
"$folder/build/bin/twine" check --strict "$folder"/dist/*.whl

python3 -m venv "$folder/clean"
before=$(du -sm "$folder/clean" | cut -f1)
"$folder/clean/bin/pip" install --quiet --disable-pip-version-check "$folder"/dist/*.whl
size=$(($(du -sm "$folder/clean" | cut -f1) - before))
[ "$size" -le 250 ] || { echo "The package takes $size MB with what it needs." >&2; exit 1; }

cd "$folder"
export CREDITDESK_DATABASE_URL="sqlite:///$folder/creditdesk.db" PATH="$folder/clean/bin:$PATH"
creditdesk demo --uses 200 --seed 1 >demo.txt
creditdesk verify
creditdesk serve --port 18400 --port-or-next >server.txt 2>server.log &
server=$!
tries=0
until address=$(sed -n 's/^creditdesk serves //p' server.txt) && [ -n "$address" ] &&
    python3 -c "import sys, urllib.request; urllib.request.urlopen(sys.argv[1] + '/ready', timeout=5)" "$address" 2>ready.txt; do
    tries=$((tries + 1))
    [ "$tries" -lt 60 ] || { cat server.txt server.log ready.txt >&2; exit 1; }
    sleep 1
done
echo "The wheel installs, serves and verifies; $size MB with what it needs."

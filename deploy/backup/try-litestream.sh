#!/bin/sh
# Shows on this machine that Litestream loses nothing that was synced: fills a database, replicates it, writes more,
# kills Litestream, restores the copy and lets creditdesk compare both.
# Needs creditdesk and litestream on the path. Everything is in a temporary folder, which goes at the end.
set -eu
here=$(CDPATH='' cd "$(dirname "$0")" && pwd)
folder=$(mktemp -d)
litestream=
stop() {
    if [ -n "$litestream" ]; then kill -KILL "$litestream" 2>/dev/null || true; fi
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 1' INT TERM

export DATABASE_FILE="$folder/creditdesk.db" REPLICA_URL="file://$folder/replica"
export CREDITDESK_DATABASE_URL="sqlite:///$DATABASE_FILE"
creditdesk demo --uses 500 --seed 1 --until "$(date -u -d '40 days ago' +%F)" >"$folder/demo.txt"

litestream replicate -config "$here/litestream.yml" >"$folder/litestream.log" 2>&1 &
litestream=$!
creditdesk renew
creditdesk expire

# What was written a moment ago is in the copy once a restore has it.
tries=0
while true; do
    rm -f "$folder/restored.db"
    if litestream restore -config "$here/litestream.yml" -o "$folder/restored.db" "$DATABASE_FILE" >>"$folder/litestream.log" 2>&1 &&
        creditdesk drill --from "$folder/restored.db" --json >"$folder/drill.json" 2>>"$folder/litestream.log" &&
        grep -q '"entries_lost":0[,}]' "$folder/drill.json"; then
        break
    fi
    tries=$((tries + 1))
    if [ "$tries" -ge 30 ]; then
        cat "$folder/litestream.log" "$folder/drill.json" >&2
        exit 1
    fi
    sleep 1
done
kill -KILL "$litestream"
litestream=

rm -f "$folder/restored.db"
litestream restore -config "$here/litestream.yml" -o "$folder/restored.db" "$DATABASE_FILE" >>"$folder/litestream.log" 2>&1
creditdesk drill --from "$folder/restored.db"

#!/bin/sh
# Shows on this machine that PostgreSQL with pgBackRest goes back to an instant: fills a database, makes a backup,
# writes more, drops all tables, restores to the moment before that, and verifies the ledger.
# Needs creditdesk, pgbackrest and the programs of PostgreSQL (pg_config, or PG_BIN names their folder); not as root.
# Everything is in a temporary folder, which goes at the end; the database listens on a socket in it.
set -eu
here=$(CDPATH='' cd "$(dirname "$0")" && pwd)
bin=${PG_BIN:-$(pg_config --bindir)}
folder=$(mktemp -d)
running=
stop() {
    if [ -n "$running" ]; then "$bin/pg_ctl" --silent -D "$running" --mode immediate stop || true; fi
    rm -rf "$folder"
}
trap stop EXIT
trap 'exit 1' INT TERM

backrest() {
    pgbackrest --config="$here/pgbackrest.conf" --stanza=creditdesk --repo1-path="$folder/repository" \
        --pg1-path="$data" --log-path="$folder" --lock-path="$folder/lock" --log-level-file=off "$@"
}
sql() { "$bin/psql" --no-psqlrc --quiet --tuples-only --no-align --host "$folder" --dbname creditdesk --command "$1"; }
start() {
    running=$1
    "$bin/pg_ctl" --silent -D "$1" --log "$folder/postgresql.log" --wait --timeout 120 start
}

data=$folder/data
"$bin/initdb" --pgdata "$data" --auth trust --encoding UTF8 >"$folder/initdb.log"
cat >>"$data/postgresql.conf" <<CONFIGURATION
listen_addresses = ''
unix_socket_directories = '$folder'
archive_mode = on
archive_command = 'pgbackrest --config=$here/pgbackrest.conf --stanza=creditdesk --repo1-path=$folder/repository --pg1-path=$data --lock-path=$folder/lock --log-level-file=off archive-push %p'
CONFIGURATION
start "$data"
"$bin/createdb" --host "$folder" creditdesk
export CREDITDESK_DATABASE_URL="postgresql:///creditdesk?host=$folder&user=$(id -un)"
export CREDITDESK_AUTH_ENCRYPTION_KEY_FILE="$folder/encryption.key"

backrest --pg1-socket-path="$folder" stanza-create
creditdesk demo --uses 500 --seed 1 --until "$(date -u -d '40 days ago' +%F)" >"$folder/demo.txt"
backrest --pg1-socket-path="$folder" --type=full backup
creditdesk renew
entries=$(sql 'SELECT count(*) FROM journal_line')
instant=$(sql 'SELECT clock_timestamp()')
sleep 1
sql 'DROP SCHEMA public CASCADE' 2>"$folder/drop.log"
sql 'SELECT pg_switch_wal()' >"$folder/switch.log"
"$bin/pg_ctl" --silent -D "$data" --wait stop
running=

echo "All tables are gone. Restoring to $instant."
data=$folder/restored
mkdir -m 0700 "$data"
backrest --type=time --target="$instant" --target-action=promote restore
start "$data"
until [ "$(sql 'SELECT pg_is_in_recovery()')" = f ]; do sleep 0.2; done
restored=$(sql 'SELECT count(*) FROM journal_line')
[ "$restored" = "$entries" ] || { echo "$restored journal entries, not $entries" >&2; exit 1; }
creditdesk verify
echo "Restored: $restored journal entries, all that were written before $instant."

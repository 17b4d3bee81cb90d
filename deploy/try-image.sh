#!/bin/sh
# Builds the image from Debian's packages alone, without a daemon and a registry of images, and uses it: as user 10001,
# on a read-only root, with /data and /tmp to write to.
#   apt-get install buildah mmdebstrap curl
#   sh deploy/try-image.sh
# Needs root. BUILD_OPTIONS are further options of `buildah bud`, such as a volume with the certificates of a proxy.
set -eu

cd "$(dirname "$0")/.."
work=$(mktemp -d)
root="$work/root"
port=8499

buildah() {
    command buildah --storage-driver vfs --root "$work/store" --runroot "$work/run" "$@"
}

# As the container's user; `unshare` gives the command a mount table of its own, in which the root is read-only.
# shellcheck disable=SC2016  # the inner shell expands these
confined='
mount --bind "$1" "$1"
mount -t tmpfs tmpfs "$1/tmp"
mount --bind "$2" "$1/data"
mount -t proc proc "$1/proc"
mount --bind /dev "$1/dev"
mount -o remount,bind,ro "$1"
root=$1
shift 2
exec chroot --userspec=10001:10001 "$root" env -i HOME=/data PYTHONUNBUFFERED=1 PATH=/opt/creditdesk/bin:/usr/bin:/bin \
    CREDITDESK_AUTH_ENCRYPTION_KEY_FILE=/data/encryption.key "$@"
'
enter() {
    exec unshare --mount sh -euc "$confined" sh "$root" "$work/data" "$@"
}
run() {
    (enter "$@")
}

server=
finish() {
    [ -z "$server" ] || kill -KILL "$server" 2>/dev/null || true
    buildah rm --all >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap finish EXIT

echo "== base"
mmdebstrap --variant=minbase --include=python3,python3-venv,ca-certificates bookworm "$work/base.tar"
scratch=$(buildah from scratch)
buildah add --quiet "$scratch" "$work/base.tar" / >/dev/null
buildah commit --quiet "$scratch" localhost/creditdesk-base >/dev/null
buildah rm "$scratch" >/dev/null
rm "$work/base.tar"

echo "== image"
# shellcheck disable=SC2086  # several options
buildah bud ${BUILD_OPTIONS:-} --isolation chroot --build-arg BASE=localhost/creditdesk-base \
    --ignorefile deploy/Containerfile.dockerignore -f deploy/Containerfile -t localhost/creditdesk .
test "$(buildah inspect --type image --format '{{.OCIv1.Config.User}}' localhost/creditdesk)" = 10001:10001
container=$(buildah from localhost/creditdesk)
mounted=$(buildah mount "$container")
ln -s "$mounted" "$root"
root=$(readlink -f "$root")
du --summarize --human-readable "$root"

echo "== use"
install -d -o 10001 -g 10001 -m 0700 "$work/data"
test "$(run id -u)" = 10001
if run touch /opt/creditdesk/written 2>/dev/null; then
    echo "the root can be written to" >&2
    exit 1
fi
run creditdesk demo --uses 200 --database sqlite:////data/creditdesk.db >"$work/demo.txt"
email=$(sed -n 's/^E-mail: *//p' "$work/demo.txt")
password=$(sed -n 's/^Password: *//p' "$work/demo.txt")
enter creditdesk serve --port "$port" --workers 2 --database sqlite:////data/creditdesk.db >"$work/server.log" 2>&1 &
server=$!
tries=0
until curl --silent --fail --output /dev/null "http://127.0.0.1:$port/ready"; do
    tries=$((tries + 1))
    if [ "$tries" -gt 300 ]; then
        cat "$work/server.log" >&2
        exit 1
    fi
    sleep 0.2
done
run python -c "import urllib.request as r; r.urlopen('http://127.0.0.1:$port/ready', timeout=10)"
curl --silent --fail --user "$email:$password" "http://127.0.0.1:$port/api/billing/coworkerbookingcredits?size=1"
echo
curl --silent --fail --output /dev/null "http://127.0.0.1:$port/console/sign-in"
kill -TERM "$server"
wait "$server"
server=
run creditdesk verify --database sqlite:////data/creditdesk.db
echo "The image works."

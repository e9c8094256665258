#!/usr/bin/env bash
# Tests the Debian package where it is to live: on clean Debian machines.
#
# Builds the package, makes three machines of Debian bookworm (root folders, two of them with a network of their own between them), and
# on them: installs it; checks the shipped settings; runs the blocks of commands of docs/OPERATIONS.md, word for word, which make a CA,
# a hub and an edge and send a message; upgrades; removes; purges, with and without leave to take the data.
#
# Needs root, cargo-deb, debootstrap, iproute2, and the Debian archive (DEBIAN_MIRROR). Leaves nothing behind. systemctl and scp are
# stand-ins: there is no systemd in a root folder, and the machines are folders. The stand-in for systemctl runs what the unit says, as
# the user that it says; what else the unit says is judged by systemd-analyze.
set -euo pipefail
cd "$(dirname "$0")/.."
tree=$PWD
mirror=${DEBIAN_MIRROR:-http://deb.debian.org/debian}

if [ "$(id -u)" != 0 ]; then
    echo "packaging/test-deb.sh: needs root" >&2
    exit 77
fi

# Mounts, processes and networks of its own, which all go when it ends.
if [ "${CASEGATE_TEST_DEB:-}" != inside ]; then
    work=$(mktemp -d)
    trap 'rm -rf --one-file-system "$work"' EXIT
    mkdir "$work/debs"
    # cargo-deb removes the package of an earlier version, so this one is moved away first.
    mv "$(packaging/deb.sh)" "$work/debs/old.deb"
    version=$(dpkg-deb -f "$work/debs/old.deb" Version)
    mv "$(packaging/deb.sh "${version%-*}-$((${version##*-} + 1))")" "$work/debs/new.deb"
    debootstrap --variant=minbase --include=curl,ca-certificates bookworm "$work/hub" "$mirror" >"$work/debootstrap.log" ||
        { tail -n 20 "$work/debootstrap.log" >&2; exit 1; }
    CASEGATE_TEST_DEB=inside unshare --mount --pid --fork --kill-child --net -- "$0" "$work"
    exit
fi
work=$1

step() { echo "test-deb: $*" >&2; }
fail() { echo "test-deb: FAILED: $*" >&2; exit 1; }

# ---- the machines

on() { # MACHINE COMMAND...
    local machine=$1
    shift
    local netns=()
    if [ -e "/run/netns/$machine" ]; then netns=(nsenter --net="/run/netns/$machine"); fi
    "${netns[@]}" env -i PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 \
        DEBIAN_FRONTEND=noninteractive chroot "$work/$machine" "$@"
}

cat >"$work/hub/usr/bin/systemctl" <<'SHIM'
#!/bin/sh
# A stand-in: runs a service's ExecStart as its User, with its log in /var/log.
set -e
action=$1
shift
if [ "$1" = --now ]; then shift; fi
if [ "$action" = daemon-reload ]; then exit 0; fi
start() {
    command=$(sed -n 's/^ExecStart=//p' /usr/lib/systemd/system/casegate@.service | sed "s/%i/$name/g")
    user=$(sed -n 's/^User=//p' /usr/lib/systemd/system/casegate@.service)
    umask 0077
    # Replaced by the command, so that the number is the node's.
    setpriv --reuid "$user" --regid "$user" --init-groups $command </dev/null >>"/var/log/casegate-$name.log" 2>&1 &
    echo $! >"/run/casegate-$name.pid"
}
stop() {
    pid=$(cat "/run/casegate-$name.pid")
    kill -TERM "$pid"
    for try in $(seq 300); do kill -0 "$pid" 2>/dev/null || break; sleep 0.1; done
    rm "/run/casegate-$name.pid"
}
for service in "$@"; do
    case $service in
    *'*'*) names=$(cd /run && ls casegate-*.pid 2>/dev/null | sed 's/casegate-//; s/\.pid//') ;;
    *) names=${service#casegate@} names=${names%.service} ;;
    esac
    for name in $names; do
        case $action in
        enable | start) start ;;
        stop) stop ;;
        restart | try-restart) stop; start ;;
        reload) kill -HUP "$(cat "/run/casegate-$name.pid")" ;;
        esac
    done
done
SHIM
cat >"$work/hub/usr/bin/scp" <<'SHIM'
#!/bin/bash
# A stand-in: the other machines are folders.
for path; do
    case $path in
    hub:* | edge:*) paths+=("/machines/${path%%:*}${path#*:}") ;;
    *) paths+=("$path") ;;
    esac
done
exec cp "${paths[@]}"
SHIM
chmod 755 "$work"/hub/usr/bin/{systemctl,scp}
echo 'APT::Get::Assume-Yes "true";' >"$work/hub/etc/apt/apt.conf.d/yes"
cp -a --reflink=auto "$work/hub" "$work/edge"
cp -a --reflink=auto "$work/hub" "$work/ca"
for machine in hub edge ca; do
    mount -t proc proc "$work/$machine/proc"
    for device in null zero random urandom; do
        [ -c "$work/$machine/dev/$device" ] || fail "no /dev/$device in the root folder"
    done
    # What postinst looks for.
    mkdir -p "$work/$machine/run/systemd/system"
    cp "$work/debs/old.deb" "$work/$machine/root/casegate_old.deb"
done
for machine in hub edge; do
    mkdir -p "$work/ca/machines/$machine"
    mount --bind "$work/$machine" "$work/ca/machines/$machine"
done

mkdir -p /run/netns
mount -t tmpfs tmpfs /run/netns
ip netns add hub
ip netns add edge
ip link add v0 netns hub type veth peer name v1 netns edge
ip -n hub addr add 192.0.2.10/24 dev v0
ip -n edge addr add 192.0.2.20/24 dev v1
ip -n hub link set lo up
ip -n edge link set lo up
ip -n hub link set v0 up
ip -n edge link set v1 up

logs() { tail -n 30 "$work"/{hub,edge}/var/log/casegate-*.log >&2 2>/dev/null || true; }
trap 'code=$?; [ $code = 0 ] || logs' EXIT

# ---- the operators' book, word for word

blocks=0
while IFS= read -r -d '' block; do
    machines=${block%%$'\n'*}
    commands=${block#*$'\n'}
    for machine in $machines; do
        step "on $machine: ${commands%%$'\n'*}"
        on "$machine" bash -euo pipefail -c "cd /root
$commands" >"$work/out" 2>&1 || { cat "$work/out" >&2; fail "a block of docs/OPERATIONS.md on $machine"; }
    done
    blocks=$((blocks + 1))
done < <(awk '/^```sh [a-z]/ { sub(/^```sh /, ""); printf "%s\n", $0; inside = 1; next }
    /^```$/ && inside { printf "%c", 0; inside = 0; next } inside { print }' "$tree/docs/OPERATIONS.md")
[ "$blocks" -ge 10 ] || fail "only $blocks blocks in docs/OPERATIONS.md"

# ---- what was installed

step "shipped settings, files and rights"
for config in "$tree"/config/*.toml; do
    on ca casegate check --config "/etc/casegate/$(basename "$config")" || fail "$config"
done
state() { on "$1" stat -c '%U:%G %a' "$2"; }
[ "$(state hub /var/lib/casegate)" = "casegate:casegate 700" ] || fail "rights of the data folder"
[ "$(state hub /etc/casegate/identity)" = "casegate:casegate 700" ] || fail "rights of the identity"
[ "$(state hub /etc/casegate/identity/tls.key)" = "casegate:casegate 600" ] || fail "rights of a key"
[ "$(state hub /etc/casegate/hub.toml)" = "root:root 644" ] || fail "rights of the settings"
on hub id casegate >/dev/null || fail "no user casegate"
on hub sh -c 'cd /usr/share/doc/casegate && ls README.md OPERATIONS.md PROTOCOL.md copyright' >/dev/null || fail "documents"
on ca /var/lib/dpkg/info/casegate.postinst configure "" || fail "postinst a second time"

queued() { on hub curl -fsS http://127.0.0.1:8440/v1/queue | grep -c '"neighbour":"hebi.police"'; }
ready() { on "$1" curl -fs --retry 20 --retry-delay 1 --retry-all-errors http://127.0.0.1:8440/readyz >/dev/null; }
version() { on "$1" dpkg-query -W -f '${Version}' casegate; }
upgrade() { # MACHINE
    cp "$work/debs/new.deb" "$work/$1/root/casegate_new.deb"
    on "$1" apt-get install /root/casegate_new.deb >"$work/out" 2>&1 || { cat "$work/out" >&2; fail "the upgrade on $1"; }
}

step "a reload takes new settings: the unit is blocked, and let in again"
sed -i '/^name = "hebi.xunxian.tobacco"/,/^$/s/^#blocked = false/blocked = true/' "$work/hub/etc/casegate/hub.toml"
links() { on hub curl -fsS http://127.0.0.1:8440/v1/links; }
wait_for() { # WHAT COMMAND...
    local what=$1
    shift
    for _ in $(seq 30); do
        if "$@"; then return; fi
        sleep 1
    done
    fail "$what"
}
is_cut() { ! links | grep -q '"up":true'; }
is_linked() { links | grep -q '"up":true'; }
on hub systemctl reload casegate@hub
wait_for "the blocked unit is still connected" is_cut
sed -i 's/^blocked = true/#blocked = false/' "$work/hub/etc/casegate/hub.toml"
on hub systemctl reload casegate@hub
wait_for "the unit does not come back" is_linked

step "upgrade: nodes go on with what they had, settings that were changed stay"
before=$(cat "$work/hub/run/casegate-hub.pid")
upgrade hub
upgrade edge
[ "$(version hub)" = "$(dpkg-deb -f "$work/debs/new.deb" Version)" ] || fail "the version after the upgrade"
[ "$(cat "$work/hub/run/casegate-hub.pid")" != "$before" ] || fail "the hub was not restarted"
ready hub
ready edge
[ "$(queued)" = 1 ] || fail "the message in the mailbox did not outlive the upgrade"
grep -q '^address = "192.0.2.10:4433"' "$work/edge/etc/casegate/edge.toml" || fail "the edge's settings were overwritten"
wait_for "the link does not come back after the upgrade" is_linked

step "remove: data, keys and settings stay"
on edge apt-get remove casegate >"$work/out" 2>&1 || { cat "$work/out" >&2; fail "remove"; }
[ ! -e "$work/edge/usr/bin/casegate" ] || fail "the program is still there"
for kept in var/lib/casegate/journal etc/casegate/identity/tls.key etc/casegate/edge.toml; do
    [ -e "$work/edge/$kept" ] || fail "$kept went with remove"
done

step "purge without an answer: data and keys stay, and it says so"
on edge apt-get purge casegate >"$work/out" 2>&1 || { cat "$work/out" >&2; fail "purge"; }
grep -q "kept /var/lib/casegate" "$work/out" || { cat "$work/out" >&2; fail "purge does not say what it kept"; }
[ -e "$work/edge/var/lib/casegate/journal" ] || fail "purge took the data unasked"
[ ! -e "$work/edge/etc/casegate/edge.toml" ] || fail "the settings outlived purge"

step "installed again: everything is as it was"
upgrade edge
sed -i 's/^address = .*/address = "192.0.2.10:4433"/' "$work/edge/etc/casegate/edge.toml"
on edge systemctl start casegate@edge
ready edge
wait_for "the edge does not come back with its old keys and data" is_linked

step "purge with leave: nothing stays"
echo "casegate casegate/purge-data boolean true" | on hub debconf-set-selections
on hub apt-get purge casegate >"$work/out" 2>&1 || { cat "$work/out" >&2; fail "purge"; }
for gone in var/lib/casegate etc/casegate usr/bin/casegate; do
    [ ! -e "$work/hub/$gone" ] || fail "$gone outlived purge"
done

step "the service's sandbox"
if command -v systemd-analyze >/dev/null; then
    systemd-analyze security --offline=true --threshold=20 "$tree/packaging/systemd/casegate@.service" >"$work/out" ||
        { cat "$work/out" >&2; fail "the service is exposed by more than 2.0"; }
else
    fail "no systemd-analyze; install systemd"
fi
step "passed"

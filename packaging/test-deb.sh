#!/usr/bin/env bash
# Tests the Debian package where it is to live: on clean Debian machines.
#
# Builds the package, makes three machines of this machine's Debian release (two of them booted with systemd, with a network of their own
# between them; the third, which has the CA, is a folder), and on them: installs it; checks the shipped settings; runs the blocks of commands of
# docs/OPERATIONS.md, word for word, which make a CA, a hub and an edge and send a message; blocks the unit and lets it in again;
# upgrades; removes; purges, with and without leave to take the data; judges the service's sandbox.
#
# Needs root, cargo-deb, debootstrap, systemd-nspawn, iproute2, and a Debian archive (DEBIAN_MIRROR, otherwise the one that apt has).
# Leaves nothing behind. Exit code 77: this machine cannot run it, and says why. Only scp is a stand-in, since the machines' disks are
# folders.
set -euo pipefail
cd "$(dirname "$0")/.."
tree=$PWD
# The package needs this machine's C library at least, so the machines are of the same release, and from the same archive.
suite=$(. /etc/os-release && echo "${VERSION_CODENAME:-}")
mirror=${DEBIAN_MIRROR:-}

step() { echo "test-deb: $*" >&2; }
fail() { echo "test-deb: FAILED: $*" >&2; exit 1; }
cannot() { echo "test-deb: not run: $*" >&2; exit 77; }

own=(unshare --mount --mount-proc --pid --fork --kill-child --net --)
[ "$(id -u)" = 0 ] || cannot "it needs root"
"${own[@]}" true || cannot "it needs to make mounts, processes and networks of its own"

# Mounts, processes and networks of its own, which all go when it ends.
if [ "${CASEGATE_TEST_DEB:-}" != inside ]; then
    if [ -z "$mirror" ]; then
        mirror=$(apt-get indextargets --format '$(REPO_URI)' 'Created-By: Packages' 'Origin: Debian' 'Component: main' "Codename: $suite" |
            sed -n 1p) || true
        [ -n "$mirror" ] || cannot "apt knows no archive of the Debian release \"$suite\"; name one in DEBIAN_MIRROR"
        eval "$(apt-config shell http_proxy Acquire::http::Proxy https_proxy Acquire::https::Proxy)"
        if [ -n "${http_proxy:-}" ]; then export http_proxy; fi
        if [ -n "${https_proxy:-}" ]; then export https_proxy; fi
    fi
    work=$(mktemp -d)
    trap 'rm -rf --one-file-system "$work"' EXIT
    mkdir "$work/debs"
    # cargo-deb removes the package of an earlier version, so this one is moved away first.
    mv "$(packaging/deb.sh)" "$work/debs/old.deb"
    version=$(dpkg-deb -f "$work/debs/old.deb" Version)
    mv "$(packaging/deb.sh "${version%-*}-$((${version##*-} + 1))")" "$work/debs/new.deb"
    debootstrap --variant=minbase --include=curl,ca-certificates,systemd-sysv "$suite" "$work/hub" "$mirror" >"$work/debootstrap.log" ||
        { tail -n 20 "$work/debootstrap.log" >&2; exit 1; }
    CASEGATE_TEST_DEB=inside "${own[@]}" "$0" "$work"
    exit
fi
work=$1

# ---- the machines

declare -A init
on() { # MACHINE COMMAND...
    local machine=$1
    shift
    local enter=(chroot "$work/$machine")
    if [ -n "${init[$machine]:-}" ]; then
        enter=(nsenter --target "${init[$machine]}" --mount --uts --ipc --net --pid --cgroup --root)
    fi
    "${enter[@]}" env --chdir=/ -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LC_ALL=C.UTF-8 DEBIAN_FRONTEND=noninteractive "$@"
}
wait_for() { # WHAT COMMAND...
    local what=$1
    shift
    for _ in $(seq 60); do
        if "$@" >/dev/null 2>&1; then return; fi
        sleep 0.5
    done
    fail "$what"
}

echo 'APT::Get::Assume-Yes "true";' >"$work/hub/etc/apt/apt.conf.d/yes"
echo '127.0.0.1 localhost' >"$work/hub/etc/hosts"
cp "$work/debs/old.deb" "$work/hub/root/casegate_old.deb"
cp -a --reflink=auto "$work/hub" "$work/edge"
cp -a --reflink=auto "$work/hub" "$work/ca"
cat >"$work/ca/usr/bin/scp" <<'SHIM'
#!/bin/bash
for path; do
    case $path in
    hub:* | edge:*) paths+=("/machines/${path%%:*}${path#*:}") ;;
    *) paths+=("$path") ;;
    esac
done
exec cp "${paths[@]}"
SHIM
chmod 755 "$work/ca/usr/bin/scp"
mount -t proc proc "$work/ca/proc"

mkdir -p /run/netns
mount -t tmpfs tmpfs /run/netns
ip netns add hub
ip netns add edge
ip link add v0 netns hub type veth peer name v1 netns edge
ip -n hub addr add 192.0.2.10/24 dev v0
ip -n edge addr add 192.0.2.20/24 dev v1
for device in hub:lo hub:v0 edge:lo edge:v1; do ip -n "${device%:*}" link set "${device#*:}" up; done

for machine in hub edge; do
    mkdir -p "$work/ca/machines/$machine"
    mount --bind "$work/$machine" "$work/ca/machines/$machine"
    systemd-nspawn --quiet --directory "$work/$machine" --boot --register=no --keep-unit --console=read-only \
        --network-namespace-path="/run/netns/$machine" --machine="casegate-test-$machine" </dev/null >"$work/$machine.console" 2>&1 &
    nspawn=$!
    for _ in $(seq 120); do
        child=$(cat "/proc/$nspawn/task/$nspawn/children" 2>/dev/null | tr -d ' ' || true)
        if [ -n "$child" ]; then
            init[$machine]=$child
            if on "$machine" systemctl is-active --quiet multi-user.target 2>/dev/null; then break; fi
            unset "init[$machine]"
        fi
        sleep 0.5
    done
    [ -n "${init[$machine]:-}" ] || { tail -n 20 "$work/$machine.console" >&2; cannot "no systemd can be booted here"; }
done

logs() { for machine in hub edge; do on "$machine" journalctl --no-pager -n 40 -u 'casegate@*' >&2 || true; done; }
ended() {
    code=$?
    if [ $code != 0 ]; then logs; fi
    for machine in hub edge; do on "$machine" systemctl --no-block poweroff 2>/dev/null || true; done
    wait
    exit $code
}
trap ended EXIT

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
for machine in hub ca; do
    on "$machine" /var/lib/dpkg/info/casegate.postinst configure "" || fail "postinst a second time"
done
on hub journalctl --no-pager -u casegate@hub | grep -q "the node is ready" || fail "the log is not in the journal"
on hub journalctl --no-pager -o cat -p info -u casegate@hub | grep -q "^ INFO casegate" || fail "lines of the log have no level, or a time of their own"

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
is_cut() { ! links | grep -q '"up":true'; }
is_linked() { links | grep -q '"up":true'; }
on hub systemctl reload casegate@hub
wait_for "the blocked unit is still connected" is_cut
sed -i 's/^blocked = true/#blocked = false/' "$work/hub/etc/casegate/hub.toml"
on hub systemctl reload casegate@hub
wait_for "the unit does not come back" is_linked

step "upgrade: nodes go on with what they had, settings that were changed stay"
main() { on hub systemctl show --property=MainPID --value casegate@hub; }
before=$(main)
upgrade hub
upgrade edge
[ "$(version hub)" = "$(dpkg-deb -f "$work/debs/new.deb" Version)" ] || fail "the version after the upgrade"
[ "$(main)" != "$before" ] || fail "the hub was not restarted"
ready hub
ready edge
[ "$(queued)" = 1 ] || fail "the message in the mailbox did not outlive the upgrade"
grep -q '^address = "192.0.2.10:4433"' "$work/edge/etc/casegate/edge.toml" || fail "the edge's settings were overwritten"
wait_for "the link does not come back after the upgrade" is_linked

step "remove: the node stops; data, keys and settings stay"
on edge apt-get remove casegate >"$work/out" 2>&1 || { cat "$work/out" >&2; fail "remove"; }
[ ! -e "$work/edge/usr/bin/casegate" ] || fail "the program is still there"
! on edge systemctl is-active --quiet casegate@edge || fail "the node outlived its program"
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

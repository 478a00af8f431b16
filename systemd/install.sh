#!/usr/bin/env bash
# Installs or upgrades ospreyd as a system service. An upgrade that does not work is taken back.
set -euo pipefail
umask 022

usage() {
    cat <<'END'
usage: install.sh [OPTION]... [SOURCE]
Installs ospreyd from SOURCE, a wheel or a source tree (default: the tree that this script lies in). Run it again to
upgrade: the configuration stays, running services are restarted, and where the new version does not accept the
configuration or does not start, the old one goes on.

  --extra NAME             also what the extra NAME needs: gpu (TensorRT), rtx (TensorRT for RTX) or none; with nvdec
                           behind a comma (rtx,nvdec) also what decodes on an NVIDIA GPU
  --jetson                 use JetPack's TensorRT, CUDA and OpenCV, and compile PyCUDA (docs/install.md)
                           An upgrade without these does as the installation before it.
  --web                    also the web page: its packages, its socket on 127.0.0.1:9470, and a configuration that the page
                           may change; an upgrade does as the installation before it
  --wheels FOLDER          take every package from FOLDER and none from the network
  --python PROGRAM         the Python to run on, 3.10 or later (default: python3)

Exit status: 0 installed, 1 nothing changed or taken back, 2 wrong usage.
END
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
base=/opt/ospreyd
system=/usr/local/lib
config=/etc/ospreyd
extra="" jetson=no web=no wheels="" python=python3 source=""
version="" old="" units="" installed=no

say() { echo "install.sh: $*"; }
fail() { echo "install.sh: $*" >&2; exit 1; }
wrong_usage() { echo "install.sh: $*; see install.sh --help" >&2; exit 2; }

while [ $# -gt 0 ]; do
    case "$1" in
        --help | -h) usage; exit 0 ;;
        --jetson) jetson=yes ;;
        --web) web=yes ;;
        --extra | --wheels | --python)
            [ $# -ge 2 ] || wrong_usage "$1 needs a value"
            case "$1" in --extra) extra=$2 ;; --wheels) wheels=$(realpath "$2") ;; --python) python=$2 ;; esac
            shift ;;
        -*) wrong_usage "there is no option $1" ;;
        *) [ -z "$source" ] || wrong_usage "one SOURCE, not two"; source=$1 ;;
    esac
    shift
done
source=$(realpath "${source:-$here/..}")

check_machine() {
    [ "$(id -u)" = 0 ] || fail "only root can install a system service; run it with sudo"
    [ -d /run/systemd/system ] || fail "systemd does not run here; install with pip instead (README.md)"
    [ -e "$source" ] || fail "there is no $source"
    "$python" -c 'import sys; sys.exit(sys.version_info < (3, 10))' || fail "$python must be Python 3.10 or later; name another with --python"
    "$python" -c 'import ensurepip, venv' 2>/dev/null || fail "$python cannot make virtual environments; on Debian or Ubuntu run: apt-get install python3-venv"
}

# What a version was installed with holds for the next too: an upgrade shall not take the GPU away.
as_before() {
    old=$(readlink -e "$base/current") || return 0
    local before_extra before_jetson before_web
    [ -e "$old/options" ] || return 0
    read -r before_extra before_jetson before_web <"$old/options"
    [ "$web" = yes ] || web=${before_web:-no}
    [ -z "$extra" ] && [ "$jetson" = no ] || return 0
    extra=$before_extra jetson=$before_jetson
    say "as before: --extra $extra, Jetson: $jetson, web page: $web"
}

# However this ends, by a signal too, what runs is what is there.
undo() {
    trap "" INT TERM HUP
    [ "$installed" = no ] && [ -n "$version" ] || return 0
    [ "$(readlink "$base/current")" != "$version" ] || go_back
    rm -rf "$version"
}

go_back() {
    [ -n "$old" ] || { rm "$base/current"; return 0; }
    turn_to "$old"
    # shellcheck disable=SC2086  # several units
    [ -z "$units" ] || systemctl restart $units || true
}

# A virtual environment for each version, so that going back is to turn one link.
make_version() {
    version=$base/versions/$(date -u +%Y%m%dT%H%M%S.%N)
    mkdir -p "$base/versions"
    say "installing $source into $version"
    local options=() packages extras=""
    [ "$extra" = none ] || extras=$extra
    [ "$web" = no ] || extras=${extras:+$extras,}web
    packages=("$source${extras:+[$extras]}")
    [ "$jetson" = no ] || options+=(--system-site-packages)
    "$python" -m venv "${options[@]}" "$version"
    options=(--quiet --disable-pip-version-check)
    [ -z "$wheels" ] || options+=(--no-index --find-links "$wheels")
    if [ "$jetson" = yes ]; then
        jetson_packages
    fi
    "$version/bin/python" -m pip install "${options[@]}" "${packages[@]}" ||
        fail "pip could not install $source (its reason is above); nothing was changed"
    provides "$extra" || fail "there is no extra $extra; --extra gpu, rtx or none; nothing was changed"
    if [ "$jetson" = yes ]; then # JetPack's has GStreamer with the hardware decoder
        "$version/bin/python" -m pip uninstall --quiet --yes opencv-python
    fi
    systemd-sysusers "$here/sysusers.conf"
    systemd-tmpfiles --create "$here/tmpfiles.conf"
    runuser -u ospreyd -- env HOME=/var/lib/ospreyd "$version/bin/ospreyd" --version || fail "what was installed does not run; nothing was changed"
    mkdir "$version/systemd"
    cp "$here"/*.service "$here"/*.socket "$here"/*.conf "$here"/ospreyd-service "$version/systemd"
    echo "$extra $jetson $web" >"$version/options"
}

# pip only warns of extras that are not there.
provides() {
    "$version/bin/python" -c 'import sys
from importlib.metadata import metadata
there = {"none", *(metadata("ospreyd").get_all("Provides-Extra") or ())}
sys.exit(not there.issuperset(sys.argv[1].split(",")))' "$1"
}

# CUDA's bindings must be those of the installed CUDA, and NumPy one that JetPack's OpenCV was compiled for.
jetson_packages() {
    local cuda
    cuda=$(sed -n 's/.*"version" *: *"\([0-9]*\.[0-9]*\).*/\1/p' /usr/local/cuda/version.json 2>/dev/null | head -1) || true
    [ -n "$cuda" ] || fail "there is no CUDA in /usr/local/cuda; run: apt-get install nvidia-jetpack"
    packages+=(pycuda "cuda-bindings~=$cuda.0" "numpy<2" "opencv-python<4.12")
    export PATH=/usr/local/cuda/bin:$PATH
}

# Only what this script made itself: what is there stays.
make_configuration() {
    [ -z "$(find "$config" -maxdepth 1 -name '*.yaml')" ] || return 0
    install -m 0640 -o root -g ospreyd "$here/../configs/minimal.yaml" "$config/ospreyd.yaml"
    say "an example of a configuration is in $config/ospreyd.yaml"
}

# Turns everything to the version given: the link, the units.
turn_to() {
    ln -sfn "$1" "$base/current.new"
    mv -T "$base/current.new" "$base/current"
    local newer
    newer=$(systemctl --version | sed -n '1s/^systemd \([0-9]*\).*/\1/p')
    for unit in ospreyd.service ospreyd@.service; do
        install -D -m 0644 "$1/systemd/$unit" "$system/systemd/system/$unit"
        if [ "$newer" -ge 254 ]; then
            install -D -m 0644 "$1/systemd/newer.conf" "$system/systemd/system/$unit.d/10-newer.conf"
        fi
    done
    turn_page_to "$1"
    install -D -m 0644 "$1/systemd/sysusers.conf" "$system/sysusers.d/ospreyd.conf"
    install -D -m 0644 "$1/systemd/tmpfiles.conf" "$system/tmpfiles.d/ospreyd.conf"
    install -d /usr/local/bin
    ln -sfn "$base/current/bin/ospreyd" /usr/local/bin/ospreyd
    ln -sfn "$base/current/systemd/ospreyd-service" /usr/local/bin/ospreyd-service
    systemctl daemon-reload
}

# The units of the web page, where the version has one: a version before may not.
turn_page_to() {
    local unit wanted
    read -r _ _ wanted <"$1/options" || true
    for unit in ospreyd-web.socket ospreyd-web.service ospreyd-web@.socket ospreyd-web@.service; do
        if [ "${wanted:-no}" = yes ]; then
            install -D -m 0644 "$1/systemd/$unit" "$system/systemd/system/$unit"
        else
            rm -f "$system/systemd/system/$unit"
        fi
    done
    if [ "${wanted:-no}" = yes ]; then
        install -D -m 0644 "$1/systemd/web-tmpfiles.conf" "$system/tmpfiles.d/ospreyd-web.conf"
        systemd-tmpfiles --create "$1/systemd/web-tmpfiles.conf"
    else
        rm -f "$system/tmpfiles.d/ospreyd-web.conf"
    fi
}

# Nobody waits for the page: what serves it is started anew by the next who looks.
start_page() {
    [ "$web" = yes ] || return 0
    systemctl enable --quiet --now ospreyd-web.socket || say "the page's socket does not start: journalctl -u ospreyd-web.socket"
    systemctl stop 'ospreyd-web.service' 'ospreyd-web@*.service' 2>/dev/null || true
    say "the web page: ospreyd-service web --link $config/ospreyd.yaml prints a link to log in"
}

running() {
    systemctl list-units --plain --no-legend --state=active,activating,reloading 'ospreyd.service' 'ospreyd@*.service' |
        cut -d' ' -f1
}

# The configuration of a unit as the service itself would read it: with its user, its variables and its credentials.
accepts() {
    local name=${1%.service} file
    name=${name#ospreyd@}
    file=$(systemctl show --value --property=Environment "$1" | tr ' ' '\n' | sed -n 's/^OSPREYD_CONFIG=//p')
    OSPREYD_INSTANCE=$name OSPREYD_PROGRAM=$version/bin/ospreyd "$here/ospreyd-service" check "$file"
}

upgrade() {
    local unit folder
    units=$(running)
    for unit in $units; do
        accepts "$unit" || fail "the new version does not accept the configuration of $unit; nothing was changed"
    done
    turn_to "$version"
    for unit in $units; do
        systemctl restart "$unit" && continue
        journalctl --unit "$unit" --no-pager --lines 20 --output cat >&2
        go_back
        fail "the new version does not start (its last lines are above); the old one is back"
    done
    installed=yes
    for folder in "$base"/versions/*; do # this one and the one before stay
        [ "$folder" = "$version" ] || [ "$folder" = "$old" ] || rm -rf "$folder"
    done
}

trap undo EXIT
check_machine
as_before
extra=${extra:-none}
make_version
make_configuration
if [ -n "$old" ]; then
    upgrade
    say "upgraded; the version before is in $old"
else
    turn_to "$version"
    installed=yes
    say "installed; now edit $config/ospreyd.yaml, then: ospreyd-service model get && ospreyd-service doctor $config/ospreyd.yaml && systemctl enable --now ospreyd"
fi
start_page

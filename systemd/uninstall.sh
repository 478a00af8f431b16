#!/usr/bin/env bash
# Takes ospreyd off this machine. What the user made stays, unless --purge is given.
set -euo pipefail

kept=(/etc/ospreyd /var/lib/ospreyd /var/cache/ospreyd)
edited=(/etc/systemd/system/ospreyd{,@*,-web*}.{service,socket}.d)
purge=no
case "$*" in
    "") ;;
    --purge) purge=yes ;;
    *) echo "usage: uninstall.sh [--purge]   (--purge: also configuration, state, engines and the user)"; exit 2 ;;
esac
[ "$(id -u)" = 0 ] || { echo "uninstall.sh: only root can remove a system service; run it with sudo" >&2; exit 1; }

while read -r unit _; do
    [ -z "$unit" ] || systemctl disable --now "$unit"
done < <(
    systemctl list-units --all --plain --no-legend 'ospreyd-web*.socket' 'ospreyd-web*.service' 'ospreyd.service' 'ospreyd@*.service'
    systemctl list-unit-files --state=enabled --plain --no-legend 'ospreyd-web*.socket' 'ospreyd.service' 'ospreyd@?*.service'
)
rm -rf /usr/local/lib/systemd/system/ospreyd{,@,-web,-web@}.{service,socket}{,.d} /usr/local/lib/{sysusers,tmpfiles}.d/ospreyd{,-web}.conf
rm -rf /run/ospreyd
for folder in systemd/system systemd sysusers.d tmpfiles.d; do
    [ ! -d "/usr/local/lib/$folder" ] || rmdir --ignore-fail-on-non-empty "/usr/local/lib/$folder"
done
rm -rf /opt/ospreyd
rm -f /usr/local/bin/ospreyd /usr/local/bin/ospreyd-service
systemctl daemon-reload
systemctl reset-failed 'ospreyd*.service' 2>/dev/null || true # fails where none has
if [ "$purge" = yes ]; then
    rm -rf "${kept[@]}" "${edited[@]}"
    if id ospreyd >/dev/null 2>&1; then userdel ospreyd; fi
    echo "uninstall.sh: ospreyd and everything of it is gone"
else
    echo "uninstall.sh: ospreyd is gone; configuration, state, engines and the user ospreyd are left:"
    ls -d "${kept[@]}" "${edited[@]}" 2>/dev/null || true
    echo "uninstall.sh: to remove these too: uninstall.sh --purge"
fi

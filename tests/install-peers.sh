#!/bin/sh
# Installs what the tests need beside Rust, on Debian 12: real RDP clients and servers, TLS and network tools, Prometheus.
# Nothing happens when all of it is there. Without the right to install, the line to run is printed and the exit is 1.
set -eu

# The one list: what a test looks for (a program, or a file by its path), and the package that brings it.
needs="
xrdp:xrdp
xfreerdp:freerdp2-x11
freerdp-shadow-cli:freerdp2-shadow-x11
winpr-hash:winpr-utils
rdesktop:rdesktop
Xvfb:xvfb
gnutls-serv:gnutls-bin
openssl:openssl
sslscan:sslscan
tcpdump:tcpdump
tshark:tshark
ip:iproute2
nft:nftables
promtool:prometheus
valgrind:valgrind
"

PATH="$PATH:/usr/sbin:/sbin"
packages=
for need in $needs; do
  what=${need%%:*}
  case $what in
    /*) [ -e "$what" ] && continue ;;
    *) command -v "$what" >/dev/null 2>&1 && continue ;;
  esac
  packages="$packages ${need#*:}"
done
# The legacy leg of the bridge is built against the system's OpenSSL.
pkg-config --exists openssl 2>/dev/null || packages="$packages pkg-config libssl-dev"
[ -n "$packages" ] || exit 0

line="apt-get install -y --no-install-recommends$packages"
if [ "$(id -u)" -ne 0 ] || ! command -v apt-get >/dev/null 2>&1; then
  echo "The tests need programs that are not installed. As root, on Debian 12:" >&2
  echo "  apt-get update && $line" >&2
  exit 1
fi

# Neither xrdp nor Prometheus must start as a service: the tests run their own, on ports of their own.
policy=/usr/sbin/policy-rc.d
if [ ! -e "$policy" ]; then
  printf '#!/bin/sh\nexit 101\n' >"$policy"
  chmod +x "$policy"
  trap 'rm -f "$policy"' EXIT
fi
export DEBIAN_FRONTEND=noninteractive
# A machine that has just started may hold the lock for its own updates, and a mirror may fail once.
apt() { apt-get -o DPkg::Lock::Timeout=120 -o Acquire::Retries=3 "$@"; }
apt update -qq || { echo "apt-get update failed. By hand: apt-get update && $line" >&2; exit 1; }
# shellcheck disable=SC2086 # one word per package
apt install -y -qq --no-install-recommends $packages >/dev/null ||
  { echo "Installation failed. By hand: apt-get update && $line" >&2; exit 1; }
echo "installed:$packages"

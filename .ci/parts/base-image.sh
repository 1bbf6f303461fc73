#!/usr/bin/env bash
# Make the image tocsin-base:local, a small Debian with Python, which takes the place of
# python:3-slim since nothing can be pulled.
# Usage: base-image.sh [SOCKET]
set -euo pipefail
. "$(dirname "$0")/stamp.sh"
is_made tocsin-base:local && exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
release=$(. /etc/os-release && echo "$VERSION_CODENAME")
# From where this machine itself takes Debian's packages.
mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
  awk -v release="$release" '$2 == release { print $1; exit }')
# What is unpacked and not configured takes half the time, and is as much as the image needs; like
# python:3-slim it has no compiled modules. With the authorities that this machine trusts.
mmdebstrap --quiet --variant=extract --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
  --include=base-files,base-passwd,coreutils,dash,grep,libc-bin,python3-minimal,python3-venv,sed,util-linux \
  --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
  --dpkgopt='path-exclude=/usr/share/locale/*' \
  --extract-hook='cp "$1/usr/share/base-passwd/passwd.master" "$1/etc/passwd"' \
  --extract-hook='cp "$1/usr/share/base-passwd/group.master" "$1/etc/group"' \
  --extract-hook='copy-in /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs' \
  "$release" "$work/base.tar" "deb $mirror $release main"
"${docker[@]}" import "${stamp[@]}" -c 'CMD ["python3"]' "$work/base.tar" tocsin-base:local >/dev/null

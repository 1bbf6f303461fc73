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
mmdebstrap --quiet --variant=essential --include=ca-certificates,python3-minimal,python3-venv \
  --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/doc/*' \
  --dpkgopt='path-exclude=/usr/share/man/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
  "$release" "$work/base.tar" "deb $mirror $release main"
# The authorities that this machine trusts.
mkdir -p "$work/root/etc/ssl/certs"
cp /etc/ssl/certs/ca-certificates.crt "$work/root/etc/ssl/certs/"
tar -C "$work/root" --owner=0 --group=0 -rf "$work/base.tar" ./etc/ssl/certs/ca-certificates.crt
"${docker[@]}" import "${stamp[@]}" -c 'CMD ["python3"]' "$work/base.tar" tocsin-base:local >/dev/null

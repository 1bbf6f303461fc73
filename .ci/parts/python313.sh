#!/usr/bin/env bash
# Run tests on Python 3.13, which this machine lacks: in a root file system of Debian 13, against the
# wheel of this checkout. Needs root, mmdebstrap and .venv (make .venv/.test). The root file system and
# the packages are kept in TOCSIN_PYTHON313, a directory, and ~/.cache/tocsin-python313 by default.
# Coverage is measured here since Python 3.12 and newer do it at hardly any cost.
# Usage: python313.sh [ARGUMENT...]     pytest's; a fast and telling part of the tests by default
set -euo pipefail
cd "$(dirname "$0")/../.."
[ $# -gt 0 ] || set -- -n 3 -m 'not (docker or browser or ship or fuzz or kill or slow)' \
  --ignore tests/notifiers/test_mail_in_a_browser.py tests/alerting tests/alerts tests/api tests/config \
  tests/core tests/messages tests/notifiers tests/plugins tests/probes tests/store
debian=base-files,base-passwd,bash,ca-certificates,coreutils,dash,findutils,git,grep,libc-bin
debian+=,media-types,mount,procps,python3,sed,tzdata,util-linux
cache=${TOCSIN_PYTHON313:-${HOME:-/root}/.cache/tocsin-python313}
root=$cache/root-$(sha256sum <<<"$debian" | cut -c1-16)

if [ ! -e "$root/complete" ]; then
  rm -rf "$cache"/root-*
  mkdir -p "$root"
  release=$(. /etc/os-release && echo "$VERSION_CODENAME")
  # From where this machine itself takes Debian's packages.
  mirror=$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
    awk -v release="$release" '$2 == release { print $1; exit }')
  # Unpacked and not configured: it takes half the time, and Python runs.
  timeout 300 mmdebstrap --quiet --variant=extract --include="$debian" \
    --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/man/*' \
    --dpkgopt='path-exclude=/usr/share/locale/*' \
    --extract-hook='cp "$1/usr/share/base-passwd/passwd.master" "$1/etc/passwd"' \
    --extract-hook='cp "$1/usr/share/base-passwd/group.master" "$1/etc/group"' \
    trixie "$root" "deb $mirror trixie main" 2>&1
  echo 'pgserver:x:999:999::/:/usr/sbin/nologin' >>"$root/etc/passwd" # for the embedded PostgreSQL
  echo 'pgserver:x:999:' >>"$root/etc/group"
  mkdir -p "$root"/{src,wheel}
  touch "$root/complete"
fi

# The wheel is built from a copy: a build directory that lies about would add what was removed since.
sources=$(mktemp -d)
trap 'rm -rf "$sources"' EXIT
git ls-files -z --cached --others --exclude-standard | tar --null --no-recursion -T - -cf - |
  tar -C "$sources" -xf -
rm -rf "$root"/wheel/*
.venv/bin/python -m build --wheel --no-isolation --outdir "$root/wheel" "$sources" >/dev/null 2>&1
cp .venv/bin/uv "$root/usr/bin/uv"
# The authorities that this machine trusts, and how it finds names.
cp /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/"
cp -L /etc/resolv.conf /etc/hosts "$root/etc/"
cat >"$root/run-tests" <<'IN'
set -eu
cd /src
mkdir /tmp/coverage
[ -x /opt/venv/bin/python ] || uv venv -q --seed --python /usr/bin/python3 /opt/venv
uv pip install -q --python /opt/venv/bin/python --reinstall-package tocsin \
  "$(echo /wheel/*.whl)[embedded,fast,dev]"
coverage run -m pytest -q -p no:cacheprovider -W ignore::hypothesis.errors.HypothesisWarning \
  --durations=3 "$@"
coverage combine -q
coverage report --skip-covered --skip-empty --omit '*/dashboard/*' --sort=cover >/tmp/report
echo "Lines that these tests run, without a Docker Engine; the least first:"
head -n 20 /tmp/report
grep TOTAL /tmp/report
IN

# Mounts and processes are in namespaces of their own: whatever is left of them ends with this command.
# The tests are those of the checkout, read-only; what they import is the wheel, which is installed.
timeout -k 10 "${TOCSIN_PYTHON313_SECONDS:-300}" \
  unshare --mount --pid --fork --kill-child bash -euo pipefail -c '
    root=$1
    shift
    mount --bind "$PWD" "$root/src"
    mount -o remount,bind,ro "$root/src"
    mount -t proc proc "$root/proc"
    mount --rbind /dev "$root/dev"
    mount -t tmpfs tmpfs "$root/tmp"
    exec chroot "$root" /usr/bin/env -i HOME=/root LANG=C.UTF-8 PYTHONPYCACHEPREFIX=/var/cache/python \
      PATH=/opt/venv/bin:/usr/sbin:/usr/bin:/sbin:/bin UV_CACHE_DIR=/var/cache/uv \
      COVERAGE_CORE=sysmon COVERAGE_FILE=/tmp/coverage/data SSL_CERT_FILE=/etc/ssl/certs/ca-certificates.crt UV_PYTHON_DOWNLOADS=never \
      sh /run-tests "$@"
  ' _ "$root" "$@"

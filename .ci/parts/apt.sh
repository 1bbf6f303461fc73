#!/usr/bin/env bash
# Install the real parts that Debian packages; their services are not to start by themselves.
set -euo pipefail
missing=()
need() {
  command -v "$1" >/dev/null 2>&1 || [ -x "/usr/sbin/$1" ] ||
    [ -x "/usr/lib/nagios/plugins/$1" ] || missing+=("$2")
}
need dockerd docker.io
need docker-compose docker-compose
need busybox busybox-static
need iptables iptables
need promtool prometheus
need prometheus-alertmanager prometheus-alertmanager
need check_disk monitoring-plugins-basic
need nginx nginx-light
need wrk wrk
need haproxy haproxy
need mkfs.ext4 e2fsprogs
need pgbouncer pgbouncer
need mmdebstrap mmdebstrap
need faketime faketime
need sshd openssh-server
need chromium chromium
need nsd nsd
need dovecot dovecot-imapd
need exim4 exim4-daemon-light
need ip iproute2
need openssl openssl
if [ ${#missing[@]} -gt 0 ]; then
  export DEBIAN_FRONTEND=noninteractive
  policy=/usr/sbin/policy-rc.d
  if [ ! -e $policy ]; then
    printf '#!/bin/sh\nexit 101\n' >$policy
    chmod +x $policy
    trap 'rm -f $policy' EXIT
  fi
  apt-get update -qq
  apt-get install -y -qq --no-install-recommends "${missing[@]}" >/dev/null
fi

#!/usr/bin/env bash
# A Docker Engine of our own: dockerd.sh start|empty|stop DIR SOCKET [dockerd arguments]
# Everything it keeps lies under DIR; its pid is in DIR/docker.pid. With APART set it has a network
# namespace of its own: an engine told to do without a bridge removes the one of its neighbour.
set -euo pipefail
action=$1 dir=$2 socket=${3:-}
shift $(($# < 3 ? $# : 3))

answers() { docker -H "unix://$socket" version --format '{{.Server.Version}}' >/dev/null 2>&1; }

case $action in
start)
  mkdir -p "$dir"
  rm -f "$dir/docker.pid"
  # A container whose bind mount names a socket that is not there leaves an empty directory instead.
  [ ! -d "$socket" ] || rmdir "$socket"
  apart=()
  [ -z "${APART:-}" ] || apart=(unshare --net sh -c 'busybox ip link set lo up; exec "$@"' apart)
  setsid "${apart[@]}" dockerd --data-root "$dir/data" --exec-root "$dir/exec" \
    --pidfile "$dir/docker.pid" -H "unix://$socket" "$@" >"$dir/dockerd.log" 2>&1 </dev/null &
  for _ in $(seq 300); do
    answers && exit 0
    sleep 0.1
  done
  echo "dockerd did not answer on $socket within 30 s; its log:" >&2
  tail -30 "$dir/dockerd.log" >&2
  exit 1
  ;;
empty)
  # A network that is left would leave its bridge, and its addresses would be taken for ever.
  timeout 20 docker -H "unix://$socket" ps -aq | xargs -r timeout 60 docker -H "unix://$socket" rm -f \
    >/dev/null 2>&1 || true
  timeout 20 docker -H "unix://$socket" network prune -f >/dev/null 2>&1 || true
  ;;
stop)
  [ -s "$dir/docker.pid" ] || exit 0
  pid=$(cat "$dir/docker.pid")
  # What it leaves mounted would keep DIR from being removed.
  trap 'umount "$dir/exec/netns/default" 2>/dev/null || true' EXIT
  kill "$pid" 2>/dev/null || exit 0
  for _ in $(seq 200); do
    kill -0 "$pid" 2>/dev/null || exit 0
    sleep 0.1
  done
  kill -9 "$pid" 2>/dev/null || true
  ;;
*)
  echo "usage: dockerd.sh start|empty|stop DIR SOCKET [dockerd arguments]" >&2
  exit 2
  ;;
esac

#!/usr/bin/env bash
# Print how long the image tocsin:local takes from `docker run` to its first answer on /health.
# Usage: start-time.sh [SOCKET]
set -euo pipefail
docker=(docker -H "unix://${1:-/var/run/docker.sock}")

# In a shell of its own, which a connection that is cut may end.
answers() (
  exec 3<>"/dev/tcp/127.0.0.1/$1" || exit 1
  printf 'GET /health HTTP/1.0\r\n\r\n' >&3
  read -r -t 2 line <&3 && [[ $line == *" 200 "* ]]
)

once() {
  local begun port id
  begun=$(date +%s%N)
  id=$("${docker[@]}" run -d -p 127.0.0.1::8095 tocsin:local)
  port=$("${docker[@]}" port "$id" 8095 | head -1 | sed 's/.*://')
  for _ in $(seq 300); do
    if answers "$port" 2>/dev/null; then
      echo $((($(date +%s%N) - begun) / 1000000))
      "${docker[@]}" rm -f "$id" >/dev/null
      return
    fi
    sleep 0.02
  done
  "${docker[@]}" logs "$id" >&2
  "${docker[@]}" rm -f "$id" >/dev/null
  return 1
}

times=$(for _ in 1 2 3; do once; done | sort -n | tr '\n' ' ')
read -r least median most <<<"$times"
echo "figure: docker run to the first answer: $least, $median and $most ms in three starts"

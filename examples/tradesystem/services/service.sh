#!/bin/sh
# A stand-in for one service of the trade system: answers /health, writes plausible log lines, and
# stops promptly when told to.  Usage: service.sh NAME KIND [PORT]
name=$1 kind=$2 port=${3:-8000}
now() { date -u +%H:%M:%S; }
trap 'echo "$(now) INFO  $name is stopping"; kill $(jobs -p) 2>/dev/null; exit 0' TERM INT

serve() {
  mkdir -p /tmp/www/_stcore
  printf '{"status": "ok", "service": "%s"}\n' "$name" | tee /tmp/www/health >/tmp/www/_stcore/health
  cp /tmp/www/health /tmp/www/index.html
  httpd -f -p "$port" -h /tmp/www &
}

talk() {
  n=0
  while :; do
    n=$((n + 1))
    case $kind in
    stream) echo "$(now) INFO  Processing stream data for EURUSD"; echo "$(now) INFO  Received $((1000 + n % 500)) ticks" ;;
    worker) echo "$(now) INFO  Task $n done" ;;
    backup) echo "backup $n of forex $(date -u)" >"/backups/forex-$(date -u +%Y%m%d%H%M%S).dump"
      head -c 20000 /dev/urandom >>"/backups/$(ls -t /backups | head -1)"
      ls -t /backups | tail -n +6 | sed 's|^|/backups/|' | xargs -r rm
      echo "$(now) INFO  Backup written" ;;
    *) echo "$(now) INFO  GET /health 200" ;;
    esac
    [ $((n % 7)) -eq 0 ] && echo "$(now) WARN  High processing latency: $((300 + n % 300))ms" >&2
    [ $((n % 50)) -eq 0 ] && echo "$(now) ERROR Lost the connection to IG, trying again" >&2
    sleep "$([ "$kind" = backup ] && echo 60 || echo 5)" &
    wait $!
  done
}

case $kind in
oneshot)
  echo "$(now) INFO  Certificates are not due for renewal"
  exit 0
  ;;
worker) touch /tmp/alive ;;
backup) mkdir -p /backups ;;
*) serve ;;
esac
echo "$(now) INFO  $name is up"
talk

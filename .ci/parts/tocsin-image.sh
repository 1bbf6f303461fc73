#!/usr/bin/env bash
# Build the images tocsin:local and tocsin-dashboard:local from this checkout and print their sizes.
# Wheels are gathered here, outside, so that the build needs no network.
# Usage: tocsin-image.sh [SOCKET]
set -euo pipefail
socket=${1:-/var/run/docker.sock}
docker=(docker -H "unix://$socket")
megabytes() {
  "${docker[@]}" image inspect -f '{{.Size}}' "$1" | awk '{ printf "%.0f", $1 / 1e6 }'
}
context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
git ls-files -z --cached --others --exclude-standard | tar --null --no-recursion -T - -cf - |
  tar -C "$context" -xf -
python=$("${docker[@]}" run --rm tocsin-base:local \
  python3 -c 'import sys; print("%d.%d" % sys.version_info[:2])')
for variant in core dashboard; do
  [ $variant = core ] || [ -d $variant ] || continue
  for lock in build "$variant"; do
    python3 -m pip download -qq --disable-pip-version-check --require-hashes --only-binary :all: \
      --python-version "$python" -d "$context/wheels" -r "container/$lock.lock"
  done
  name=tocsin$([ $variant = core ] || echo "-$variant"):local
  DOCKER_BUILDKIT=0 "${docker[@]}" build -q --force-rm --network none -t "$name" \
    --build-arg BASE=tocsin-base:local --build-arg "VARIANT=$variant" "$context" >/dev/null
  printf 'figure: the image %s has %s MB, %s MB of them its base\n' "$name" \
    "$(megabytes "$name")" "$(megabytes tocsin-base:local)"
done

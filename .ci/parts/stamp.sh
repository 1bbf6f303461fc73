# Sourced by the scripts that make an image: one that an older version of the script made is made
# anew. Sets docker, the client's command, and stamp, what `docker import` is to write into the image.
docker=(docker -H "unix://${1:-/var/run/docker.sock}")
_made_by=$(sha256sum "$0" | cut -c1-16)
stamp=(-c "LABEL org.opencontainers.image.revision=$_made_by")

# Whether the image NAME is what this script makes.
is_made() {
  [ "$("${docker[@]}" image inspect \
    -f '{{ index .Config.Labels "org.opencontainers.image.revision" }}' "$1" 2>/dev/null)" = "$_made_by" ]
}

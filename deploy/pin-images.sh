#!/bin/sh
# Appends the current digest of each tag to the images of compose.yaml and the Dockerfiles, as in
# nginx:1.28-alpine@sha256:…, and renews existing ones. Run it where the registry can be reached, review
# the difference, start it once, and commit it. It needs docker with buildx, and pulls nothing.
set -eu
cd "$(dirname "$0")"

# Images of others, without their digest.
named() {
  sed -nE -e 's/^ *image: *([^@ ]+).*/\1/p' -e 's/^FROM +([^@ ]+:[^@ ]+).*/\1/p' \
    compose.yaml Dockerfile pgbouncer.Dockerfile | grep -v '^portico' | sort -u
}

for image in $(named); do
  digest=$(docker buildx imagetools inspect --format '{{.Manifest.Digest}}' "$image")
  case $digest in
    sha256:*) ;;
    *)
      echo "pin-images.sh: no digest for $image: $digest" >&2
      exit 1
      ;;
  esac
  echo "$image@$digest"
  pattern=$(printf %s "$image" | sed 's/\./\\./g')
  # In place, and only whole names.
  sed -E -i "s|(image: *\|FROM +)$pattern(@sha256:[0-9a-f]+)?( \|\$)|\1$image@$digest\3|" \
    compose.yaml Dockerfile pgbouncer.Dockerfile
done

#!/bin/sh
# Writes the digest of every third-party image into docker/Dockerfile and docker/compose.yaml, as the registry tells it now.
#
#   docker/pin.sh            asks the registry (needs Docker with buildx) and rewrites `name:tag` as `name:tag@sha256:...`
#   docker/pin.sh --check    asks nothing: lists the references without a digest, and fails when there is one
set -eu
cd "$(dirname "$0")"

# One reference a line: of `FROM name:tag… AS base` in the Dockerfile, and of `image: ${NAME:-name:tag…}` in the compose file.
references() {
  sed -n 's/^FROM \([^$ ]*\) AS base$/\1/p' Dockerfile
  sed -n 's/^ *image: \${[A-Z]*_IMAGE:-\([^}]*:[^}]*\)}$/\1/p' compose.yaml
}

if [ "${1:-}" = --check ]; then
  unpinned=$(references | grep -v '@sha256:[0-9a-f]\{64\}$' || true)
  [ -n "$unpinned" ] || exit 0
  echo "these images are named by a tag alone, which can change: run 'make pin' where the registry can be reached, and commit the result" >&2
  echo "$unpinned" >&2
  exit 1
fi
[ "$#" = 0 ] || { echo "docker/pin.sh takes --check or nothing, not '$*'" >&2; exit 2; }

named=$(references)  # whole, before the files change
echo "$named" | while read -r reference; do
  tag=${reference%@*}
  digest=$(docker buildx imagetools inspect "$tag" --format '{{.Manifest.Digest}}' </dev/null) || { echo "the registry does not tell the digest of $tag: nothing more is changed" >&2; exit 1; }
  echo "$digest" | grep -q '^sha256:[0-9a-f]\{64\}$' || { echo "the registry told '$digest' for $tag, which is no digest: nothing more is changed" >&2; exit 1; }
  for file in Dockerfile compose.yaml; do
    sed "s|$reference\( AS base\)\{0,1\}\(}\{0,1\}\)\$|$tag@$digest\1\2|" "$file" >"$file.pinned" && cat "$file.pinned" >"$file"
    rm -f "$file.pinned"
  done
  echo "$tag@$digest"
done

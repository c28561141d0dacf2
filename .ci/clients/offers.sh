#!/bin/sh
# Clients that offer HTTP/2 with each request: the JDK's by default, and curl with --http2.
set -eu
: "${PORTICO_URL:?}"
here=$(cd "$(dirname "$0")" && pwd)

java "$here/java/Client.java"

answer=$(curl --silent --show-error --fail --http2 "$PORTICO_URL/graphql" \
  --header 'content-type: application/json' --data '{"query": "{ __typename }"}')
[ "$answer" = '{"data":{"__typename":"Query"}}' ] || { echo "curl --http2 received: $answer"; exit 1; }
echo "curl --http2 received an answer."

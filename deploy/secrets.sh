#!/bin/sh
# The secrets of compose.yaml, one file each in SECRETS_DIRECTORY (`secrets` next to this script):
#   secrets.sh make            creates the missing ones, and keeps the others
#   secrets.sh renew ROLE      creates a new password for a role of the database that does not serve
#   secrets.sh serve-as ROLE   makes servers and the worker sign in as portico_a or portico_b, from their next start
# docs/operators/roles.md says what to run after the last two.
set -eu
umask 077
directory=${SECRETS_DIRECTORY:-$(dirname "$0")/secrets}
mkdir -p "$directory"
# Containers run as other users, so all may read the files, but only the owner their directory.
chmod 700 "$directory"
cd "$directory"

# In place, since a running container keeps the file that was mounted.
put() {
  cat >"$1"
  chmod 644 "$1"
}

# 288 bits, in characters that need no quoting in a URL.
random() {
  head -c 36 /dev/urandom | base64 | tr -- '+/' '-_' | tr -d '\n'
}

make() {
  for name in secret_key postgres_password portico_owner_password portico_a_password \
    portico_b_password portico_backup_password replicator_password; do
    [ -s "$name" ] || random | put "$name"
  done
  [ -s serving_role ] || printf portico_a | put serving_role
  derive
}

# Writes the URLs and the list of users, which contain passwords.
derive() {
  role=$(cat serving_role)
  url portico_owner postgres:5432/portico owner_url
  url "$role" postgres:5432/portico worker_url
  url "$role" pgbouncer:6432/portico server_url
  url "$role" pgbouncer:6432/portico_read server_read_url
  printf '"portico_a" "%s"\n"portico_b" "%s"\n' \
    "$(cat portico_a_password)" "$(cat portico_b_password)" | put userlist
}

url() {
  printf 'postgresql://%s:%s@%s' "$1" "$(cat "$1_password")" "$2" | put "$3"
}

renew() {
  case $1 in
    "$(cat serving_role)") refuse "$1 serves: renew the other one, have that serve, and then renew $1" ;;
    portico_owner | portico_a | portico_b | portico_backup) ;;
    *) refuse "renew portico_owner, portico_a, portico_b or portico_backup, not ${1:-nothing}" ;;
  esac
  random | put "$1_password"
  derive
}

serve_as() {
  case $1 in
    portico_a | portico_b) ;;
    *) refuse "serve as portico_a or portico_b, not ${1:-nothing}" ;;
  esac
  printf %s "$1" | put serving_role
  derive
}

refuse() {
  echo "secrets.sh: $1" >&2
  exit 1
}

case ${1:-} in
  make) make ;;
  renew) renew "${2:-}" ;;
  serve-as) serve_as "${2:-}" ;;
  *) refuse "make, renew ROLE or serve-as ROLE, not ${1:-nothing}" ;;
esac

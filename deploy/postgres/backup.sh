#!/usr/bin/env bash
# Scheduled backups of a database, in files named by their time (UTC); the BACKUP_KEEP newest are kept.
#   backup.sh run     takes one whenever the newest is BACKUP_INTERVAL_SECONDS old
#   backup.sh once    takes one now
#   backup.sh check   fails if the newest is older than two intervals
set -euo pipefail
: "${BACKUP_DIRECTORY:?}" "${BACKUP_INTERVAL_SECONDS:=86400}" "${BACKUP_KEEP:=7}"
# After a failure: soon, without adding much load to a database that is in trouble.
RETRY_SECONDS=300
if [ "$BACKUP_KEEP" -lt 1 ]; then
  echo "backup.sh: BACKUP_KEEP is at least 1, not $BACKUP_KEEP" >&2
  exit 1
fi
mkdir -p "$BACKUP_DIRECTORY"

newest() {
  find "$BACKUP_DIRECTORY" -maxdepth 1 -name '*.dump' -printf '%f\n' | sort | tail -n 1
}

# By the time in its name: copying a file may change its modification time.
age_seconds() {
  local name=$1
  name=${name%.dump}
  echo $(($(date +%s) - $(date --utc --date "${name:0:10} ${name:11:2}:${name:13:2}:${name:15:2}" +%s)))
}

take() {
  local name partial
  name=$(date --utc +%Y-%m-%dT%H%M%SZ).dump
  partial=$BACKUP_DIRECTORY/$name.partial
  # Files of interrupted backups, but not those that are being written.
  find "$BACKUP_DIRECTORY" -maxdepth 1 -name '*.partial' -mmin +1440 -delete
  # Rate limit budgets are in unlogged tables: they are empty after a restore, as after a crash.
  (umask 077 && PGPASSWORD=$(cat /run/secrets/portico_backup_password) \
    pg_dump --format custom --no-unlogged-table-data --lock-wait-timeout 60s --file "$partial") || return 1
  pg_restore --list "$partial" >/dev/null || return 1
  sync "$partial" || return 1
  # Only a complete backup gets its final name.
  mv "$partial" "$BACKUP_DIRECTORY/$name" || return 1
  find "$BACKUP_DIRECTORY" -maxdepth 1 -name '*.dump' | sort -r | tail -n +$((BACKUP_KEEP + 1)) |
    xargs --no-run-if-empty rm --
  echo "backup: $name, $(stat --format %s "$BACKUP_DIRECTORY/$name") bytes"
}

wait_seconds() {
  # In the background: a signal interrupts `wait`, but not `sleep`.
  sleep "$1" &
  wait $!
}

run() {
  local last seconds
  trap 'exit 0' TERM INT
  while true; do
    last=$(newest)
    seconds=0
    [ -z "$last" ] || seconds=$((BACKUP_INTERVAL_SECONDS - $(age_seconds "$last")))
    if [ "$seconds" -gt 0 ]; then
      wait_seconds "$seconds"
    elif ! take; then
      echo "backup: failed; the newest is ${last:-none}; again in $RETRY_SECONDS s" >&2
      wait_seconds "$RETRY_SECONDS"
    fi
  done
}

check() {
  local last
  last=$(newest)
  if [ -z "$last" ]; then
    echo "backup: there is none" >&2
    return 1
  fi
  if [ "$(age_seconds "$last")" -gt $((2 * BACKUP_INTERVAL_SECONDS)) ]; then
    echo "backup: the newest is $last" >&2
    return 1
  fi
}

case ${1:-} in
  run) run ;;
  once) take ;;
  check) check ;;
  *)
    echo "backup.sh: run, once or check, not ${1:-nothing}" >&2
    exit 1
    ;;
esac

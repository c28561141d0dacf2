#!/usr/bin/env bash
# Holds deploy/ to its linters, its schemas and rules of ours, and then does what it says: builds what
# the image has in it, and starts everything in compose.yaml. Without Docker; as root, on Linux.
set -euo pipefail
cd "$(dirname "$0")/../.."
export PYTHONDONTWRITEBYTECODE=1

scratch=$(mktemp -d)
trap 'rm -rf "$scratch"' EXIT
# The users of the containers are others.
chmod 755 "$scratch"
tools=$scratch/tools/bin
python3 -m uv venv --quiet "$scratch/tools"
python3 -m uv pip sync --quiet --python "$tools/python" --no-build --require-hashes \
  .ci/deploy/requirements.txt

"$tools/hadolint" --failure-threshold style deploy/*Dockerfile
"$tools/shellcheck" deploy/*.sh deploy/postgres/*.sh .ci/deploy/*.sh .ci/run
"$tools/check-jsonschema" --quiet --builtin-schema vendor.compose-spec deploy/compose.yaml
# The oldest that has all of it, and the newest.
"$tools/kubernetes-validate" --strict --quiet -k 1.31 -k 1.37 deploy/kubernetes.yaml |
  tee "$scratch/kubernetes.log"
# A kind or version that it does not know is a warning alone.
[ ! -s "$scratch/kubernetes.log" ]
mkdir "$scratch/gateway"
cp .ci/deploy/gateway/*.json "$scratch/gateway"
"$tools/python" .ci/deploy/gateway/manifest.py >"$scratch/gateway/manifest.ts"
(cd "$scratch/gateway" && npm ci --silent && npm run --silent check)
"$tools/python" .ci/deploy/rules.py

promtool=$(command -v promtool || true)
if [ -z "$promtool" ]; then
  # Unpacked and not installed, which would start a server.
  apt-get update -qq
  (cd "$scratch" && apt-get download -qq prometheus 2>/dev/null && dpkg -x prometheus_*.deb prometheus)
  promtool=$scratch/prometheus/usr/bin/promtool
fi
"$promtool" check rules deploy/alerts.yaml >/dev/null
"$promtool" test rules deploy/alerts_test.yaml >/dev/null

unshare --mount "$tools/python" .ci/deploy/image.py "$scratch/srv" >"$scratch/build.log" 2>&1 ||
  { cat "$scratch/build.log"; exit 1; }
# The units, in a root of their own where what they start is there.
mkdir -p "$scratch/root/etc/systemd/system" "$scratch/root/etc/portico" "$scratch/root/opt/portico/bin"
mkdir -p "$scratch/root/usr/lib/systemd"
cp -r /usr/lib/systemd/system "$scratch/root/usr/lib/systemd"
cp deploy/systemd/*.service "$scratch/root/etc/systemd/system"
cp "$scratch/srv/portico/bin/portico" "$scratch/root/opt/portico/bin"
touch "$scratch/root/etc/portico/portico.env"
for unit in deploy/systemd/*.service; do
  systemd-analyze verify --man=no --root="$scratch/root" "$(basename "$unit")"
  # Of 10, where 0 is the least exposed.
  systemd-analyze security --no-pager --offline=yes --threshold=20 "$unit" >"$scratch/unit.log" ||
    { cat "$scratch/unit.log"; exit 1; }
done
unshare --mount --net "$tools/python" .ci/deploy/start.py "$scratch"

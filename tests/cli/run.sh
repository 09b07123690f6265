#!/usr/bin/env bash
# Tests the official CLI against a running server. The CLI builds its commands from the openapi.json of the server:
#   BASE_URL=http://127.0.0.1:7326 API_KEY=seam_... tests/cli/run.sh
# Needs npm. The packages and the Node that the CLI needs are stored under target/.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$(cd "$here/../.." && pwd)/target/cli
: "${BASE_URL:?set BASE_URL, e.g. http://127.0.0.1:7326}" "${API_KEY:?set API_KEY}"

mkdir -p "$target/home"
cp "$here/package.json" "$target/"
(cd "$target" && npm install --silent --no-audit --no-fund --no-package-lock)

# The CLI stores its settings under HOME. With another HOME, it does not read or change those of the user.
seam() {
  env HOME="$target/home" XDG_CONFIG_HOME="$target/home" SEAM_CLI_TOKEN="$API_KEY" SEAM_CLI_ENDPOINT="$BASE_URL" \
    "$target/node_modules/.bin/node" "$target/node_modules/@seamapi/cli/bin/cli.js" "$@" --remote-schema --json </dev/null
}

fail() { echo "$*" >&2; exit 1; }

# Runs a command. It must succeed, and its output must satisfy a jq expression.
expect() {
  local expression=$1 answer
  shift
  answer=$(seam "$@") || fail "seam $* failed: $answer"
  jq -e "$expression" >/dev/null <<<"$answer" || fail "seam $*: not $expression in $answer"
  echo "ok  seam $*"
}

devices=$(seam devices list) || fail "seam devices list failed: $devices"
read -r first second < <(jq -r '[.. | objects | select(.device_type?) | .device_id] | "\(.[0]) \(.[1])"' <<<"$devices")
[ "$second" != null ] || fail "seam devices list: no two devices in $devices"
echo "ok  seam devices list"

expect '[.. | .code? // empty] | index("4826")' access-codes create --device-id "$first" --code 4826 --name "CLI guest"
code=$(seam access-codes list --device-id "$first" | jq -r '[.. | objects | select(.code? == "4826") | .access_code_id][0]')
expect '[.. | .device_id? // empty] | unique | length == 2' access-codes create-multiple --device-ids "$first,$second"
expect '[.. | .name? // empty] | index("CLI guest")' access-codes get --access-code-id "$code"
expect '[.. | .access_code_id? // empty] | unique | length >= 2' access-codes list --device-id "$first"
expect '[.. | .code? // empty][0] | test("^[0-9]{4,}$")' access-codes generate-code --device-id "$first"

if refused=$(seam access-codes create --device-id "$first" --code 4826 2>&1); then
  fail "seam access-codes create with a PIN that is taken succeeded: $refused"
fi
grep -q "Cannot set duplicate access code 4826" <<<"$refused" || fail "the refusal does not say why: $refused"
echo "ok  seam access-codes create, refused"

expect '.' access-codes delete --access-code-id "$code"

attempt=$(seam locks unlock-door --device-id "$first" | jq -r '[.. | .action_attempt_id? // empty][0]')
echo "ok  seam locks unlock-door --device-id $first"
expect '[.. | .status? // empty] | index("success")' action-attempts get --action-attempt-id "$attempt"

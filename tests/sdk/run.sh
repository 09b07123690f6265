#!/usr/bin/env bash
# The main job through the official SDKs, and requests as other SDKs send them, against a running server:
#   BASE_URL=http://127.0.0.1:7326 API_KEY=seam_... tests/sdk/run.sh
# Needs node >= 22.12 with npm, and python3 with venv. The packages are kept under target/.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$(cd "$here/../.." && pwd)/target
: "${BASE_URL:?set BASE_URL, e.g. http://127.0.0.1:7326}" "${API_KEY:?set API_KEY}"
export BASE_URL API_KEY
# The clients read these too, and refuse two kinds of credentials at once.
unset SEAM_API_KEY SEAM_PERSONAL_ACCESS_TOKEN SEAM_WORKSPACE_ID SEAM_ENDPOINT SEAM_API_URL

echo "== @seamapi/http"
mkdir -p "$target/sdk-node"
# Beside the packages, because node looks for them from where the test is.
cp "$here"/node/package.json "$here"/node/*.test.mjs "$target/sdk-node/"
(cd "$target/sdk-node" && npm install --silent --no-audit --no-fund --no-package-lock && node --test --test-reporter=spec)

echo "== seam (Python)"
[ -x "$target/sdk-python/bin/pip" ] || python3 -m venv "$target/sdk-python"
"$target/sdk-python/bin/pip" install --quiet --disable-pip-version-check -r "$here/python/requirements.txt"
"$target/sdk-python/bin/python" -B -m pytest -q -p no:cacheprovider "$here/python"

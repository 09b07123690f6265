#!/usr/bin/env bash
# Tests the console and the page of a connect webview in headless Chromium, against a running server:
#   BASE_URL=http://127.0.0.1:7326 tests/browser/run.sh
# With LATCHKEY_BIN, the program, it also tests a server with an admin token. It leaves screenshots of the console in
# target/browser/screenshots/.
# Needs node >= 22.12 with npm, and Chromium (CHROMIUM names its program). The packages are stored under target/.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
target=$(cd "$here/../.." && pwd)/target/browser
: "${BASE_URL:?set BASE_URL, e.g. http://127.0.0.1:7326}"
CHROMIUM=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome || true)}
: "${CHROMIUM:?install Chromium, or set CHROMIUM to its program}"
export BASE_URL CHROMIUM
# The SDK reads these too, and refuses two kinds of credentials at once.
unset SEAM_API_KEY SEAM_PERSONAL_ACCESS_TOKEN SEAM_WORKSPACE_ID SEAM_ENDPOINT SEAM_API_URL

mkdir -p "$target"
# Beside the packages, because node looks for them from where the test is.
cp "$here/package.json" "$here"/*.mjs "$target/"
(cd "$target" && npm install --silent --no-audit --no-fund --no-package-lock && node --test --test-reporter=spec)

#!/usr/bin/env bash
# Tests the booking service with the server at LATCHKEY_URL. Without it, the tests start a server from LATCHKEY_BIN.
# Needs python3 >= 3.11 with venv. The packages are stored under target/.
set -euo pipefail
here=$(cd "$(dirname "$0")" && pwd)
python=$(cd "$here/../.." && pwd)/target/sdk-python
# The SDK reads these variables too, and rejects two types of credentials at the same time.
unset SEAM_API_KEY SEAM_PERSONAL_ACCESS_TOKEN SEAM_WORKSPACE_ID SEAM_ENDPOINT SEAM_API_URL

[ -x "$python/bin/pip" ] || python3 -m venv "$python"
"$python/bin/pip" install --quiet --disable-pip-version-check -r "$here/requirements.txt"
cd "$here"
"$python/bin/python" -B -m pytest -q -p no:cacheprovider

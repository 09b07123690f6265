#!/usr/bin/env bash
# Runs the recipes of docs/sdks.md for Ruby, PHP, Go and Java against a running server, each through the official SDK:
#   BASE_URL=http://127.0.0.1:7326 API_KEY=seam_... tests/sdk/recipes.sh
# A recipe whose SDK is not there is skipped. These variables name the SDKs:
#   SEAM_RUBY  the directory of the gem, which contains lib/. Not needed if the gem is installed
#   SEAM_PHP   the directory with the vendor/ of Composer
#   SEAM_GO    the directory of a Go module that requires the SDK, or of the SDK itself
#   SEAM_JAVA  a directory with the jar of the SDK and the jars that it needs
# The recipe for C# is never run.
set -euo pipefail
page=$(cd "$(dirname "$0")/../.." && pwd)/docs/sdks.md
: "${BASE_URL:?set BASE_URL, e.g. http://127.0.0.1:7326}" "${API_KEY:?set API_KEY}"
# The Ruby SDK reads these too, and refuses two kinds of credentials at once.
unset SEAM_API_KEY SEAM_PERSONAL_ACCESS_TOKEN SEAM_WORKSPACE_ID SEAM_ENDPOINT SEAM_API_URL

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
failed=0

# Writes the only block of a language on the page to a file, with the address and the key of the server.
extract() {
  awk -v fence="\`\`\`$1" '$0 == fence { inside = 1; found++; next } $0 == "```" { inside = 0 } inside
    END { exit found != 1 }' "$page" |
    sed -e "s|http://127.0.0.1:7326|$BASE_URL|" -e "s|seam_testsand_LatchkeySandbox|$API_KEY|" >"$work/$2" ||
    { echo "$page has not exactly one block of $1" >&2; exit 1; }
}

# Also the recipes that are skipped must be on the page.
extract ruby recipe.rb
extract php recipe.php
extract go recipe.go
extract java Recipe.java
extract csharp Program.cs

skipped() { echo "skipped  $1: $2"; }

# Runs a recipe: LANGUAGE FILE DIRECTORY COMMAND... It must print the status of the code before and after its start.
run() {
  local language=$1 file=$2 directory=$3 printed
  shift 3
  # The first run of Go and Java compiles the SDK.
  if printed=$(cd "$directory" && timeout 180 "$@" "$work/$file" 2>"$work/errors") && [ "${printed,,}" = $'unset\nset' ]; then
    echo "ok       $language"
  else
    echo "FAILED   $language: printed '$printed'"
    cat "$work/errors"
    failed=1
  fi
}

has() { command -v "$1" >/dev/null; }

if ! has ruby; then
  skipped ruby "there is no ruby"
elif [ -n "${SEAM_RUBY:-}" ]; then
  run ruby recipe.rb "$SEAM_RUBY" ruby -I "$SEAM_RUBY/lib"
elif ruby -e 'require "seam"' 2>/dev/null; then
  run ruby recipe.rb "$work" ruby
else
  skipped ruby "the gem seam is not installed, and SEAM_RUBY is not set"
fi

if ! has php; then
  skipped php "there is no php"
elif [ -z "${SEAM_PHP:-}" ]; then
  skipped php "SEAM_PHP is not set"
else
  run php recipe.php "$SEAM_PHP" php
fi

if ! has go; then
  skipped go "there is no go"
elif [ -z "${SEAM_GO:-}" ]; then
  skipped go "SEAM_GO is not set"
else
  run go recipe.go "$SEAM_GO" go run
fi

if ! has javac; then
  skipped java "there is no JDK"
elif [ -z "${SEAM_JAVA:-}" ]; then
  skipped java "SEAM_JAVA is not set"
else
  run java Recipe.java "$SEAM_JAVA" java -cp "$SEAM_JAVA/*"
fi

skipped csharp "it is not run anywhere; it was written from the source of the SDK"
exit "$failed"

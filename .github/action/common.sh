# shellcheck shell=bash
# What the scripts of the action share. They are started by action.yml, with the variables of GitHub Actions.

# Files of the action in this job: the program, its log, and the id of its process.
folder=$RUNNER_TEMP/latchkey

# In a job, this names the database of the software under test. Latchkey would make its tables there.
unset DATABASE_URL

# Ends the step with an error that is also shown on the page of the run.
fail() {
  echo "::error title=Latchkey::$*" >&2
  exit 1
}

# True while a process runs. In a container whose first process does not wait for others, one that has ended stays as a zombie.
is_running() {
  kill -0 "$1" 2>/dev/null && ! grep -qs '^State:.*Z' "/proc/$1/status"
}

# Shows the end of the log of the server. Lines that look like commands of GitHub Actions are not executed.
show_log() {
  local token
  token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  echo "::group::The log of Latchkey"
  echo "::stop-commands::$token"
  tail -n 1000 "$folder/log"
  echo "::$token::"
  echo "::endgroup::"
}

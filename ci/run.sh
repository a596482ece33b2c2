# shellcheck shell=bash disable=SC2034  # the functions set variables for their callers
# For the steps of action.yml: source it, then call its functions. It works with the bash 3.2 of macOS.

# run FILE COMMAND [ARGUMENT...]
# Runs a command. What it prints goes to the log, where none of it is a workflow command, and into FILE. Its exit code
# goes into $code. A runner that cancels a job signals the step's shell alone, so that the signal is passed on here.
run() {
  local file=$1 scratch token child copier
  shift
  signalled=''
  scratch=$(mktemp -d)
  mkfifo "$scratch/pipe"
  token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  echo "::stop-commands::$token"
  tee "$file" <"$scratch/pipe" &
  copier=$!
  "$@" >"$scratch/pipe" 2>&1 &
  child=$!
  trap 'signalled=yes; kill -TERM "$child" 2>/dev/null || :' INT TERM
  while :; do
    code=0
    wait "$child" || code=$?
    # After a signal, wait returns before the command has ended.
    [ -n "$signalled" ] || break
    signalled=''
  done
  wait "$copier" || :
  trap - INT TERM
  rm -rf "$scratch"
  echo "::$token::"
}

# flags TEXT
# Puts the lines of TEXT into the array $flags, an argument each. Nothing in them is expanded.
flags() {
  local line
  flags=()
  while IFS= read -r line; do
    # White space around a flag is the YAML's, not the flag's.
    line="${line#"${line%%[![:space:]]*}"}"
    line="${line%"${line##*[![:space:]]}"}"
    [ -z "$line" ] || flags+=("$line")
  done <<<"$1"
}

# annotate FILE FOLDER
# Says the problems in FILE (lines of the form file:line:column: message, files relative to FOLDER) once more, as
# annotations of the lines that they are in.
annotate() {
  FOLDER=$2 awk '
    function data(text) { gsub(/%/, "%25", text); gsub(/\r/, "%0D", text); return text }
    function property(text) { text = data(text); gsub(/:/, "%3A", text); gsub(/,/, "%2C", text); return text }
    match($0, /^[^ :][^:]*:[0-9]+:[0-9]+: /) {
      place = substr($0, 1, RLENGTH - 2)
      message = substr($0, RLENGTH + 1)
      split(place, part, ":")
      file = ENVIRON["FOLDER"] "/" part[1]
      sub(/^(\.\/)+/, "", file)
      printf "::error file=%s,line=%d,col=%d::%s\n", property(file), part[2], part[3], data(message)
    }
  ' "$1"
}

# fail MESSAGE [CODE]
# Ends the step with an annotation. MESSAGE is ours: it holds nothing of others.
fail() {
  echo "::error title=reconciler::$1"
  exit "${2:-64}"
}

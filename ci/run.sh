# shellcheck shell=bash disable=SC2034  # the functions set variables for their callers
# For the steps of action.yml: source it, then call its functions. It works with the bash 3.2 of macOS.

# run FILE COMMAND [ARGUMENT...]
# Runs a command. What it prints goes to the log, where none of it is a workflow command, and into FILE. Its exit code
# goes into $code. A runner that cancels a job signals the step's shell alone, so that the signal is passed on here.
run() {
  local file=$1 scratch token child='' copier signalled='' cancelled='' before
  shift
  # Before there is a child: a cancelled job signals whenever it likes.
  trap 'signalled=yes; if [ -n "$child" ]; then kill -TERM "$child" 2>/dev/null || :; fi' INT TERM
  scratch=$(mktemp -d)
  mkfifo "$scratch/pipe"
  token=$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n')
  echo "::stop-commands::$token"
  # Both ends are opened here: a process that is killed before it opens its end would leave the other one waiting.
  exec 9<>"$scratch/pipe"
  exec 8<"$scratch/pipe"
  tee "$file" <&8 8<&- 9>&- &
  copier=$!
  "$@" >&9 2>&1 8<&- 9>&- &
  child=$!
  exec 8<&-
  if [ -n "$signalled" ]; then kill -TERM "$child" 2>/dev/null || :; fi
  code=0
  while :; do
    before=$code
    code=0
    wait "$child" 2>/dev/null || code=$?
    if [ -n "$cancelled" ] && [ "$code" -eq 127 ]; then
      # The earlier wait had the code already.
      code=$before
      break
    fi
    # After a signal, wait returns before the command has ended.
    [ -n "$signalled" ] || break
    signalled=''
    cancelled=yes
  done
  # A command that the signal met before it was ready for it was cancelled as well.
  if [ -n "$cancelled" ] && [ "$code" -eq 143 ]; then code=130; fi
  exec 9>&-
  wait "$copier" || :
  # Colours are for the log. Nothing else in it is an escape sequence: the command shows those of others by their code.
  sed 's/'"$(printf '\033')"'\[[0-9;]*m//g' "$file" >"$scratch/plain" && cat "$scratch/plain" >"$file"
  trap 'exit 130' INT TERM
  rm -rf "$scratch"
  echo "::$token::"
}

trap 'exit 130' INT TERM

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

# annotate FILE FOLDER WHAT
# Says the problems in FILE (lines of the form file:line:column: message, files relative to FOLDER) once more, as
# annotations of the lines that they are in; where there is none, WHAT and the first line of FILE.
annotate() {
  FOLDER=$2 WHAT=$3 awk '
    function data(text) { gsub(/%/, "%25", text); gsub(/\r/, "%0D", text); return text }
    function property(text) { text = data(text); gsub(/:/, "%3A", text); gsub(/,/, "%2C", text); return text }
    NR == 1 { first = $0 }
    # The first place on the line: a file name may hold colons, too.
    /^[^ ]/ && match($0, /:[0-9]+:[0-9]+: /) {
      split(substr($0, RSTART + 1, RLENGTH - 3), part, ":")
      file = ENVIRON["FOLDER"] "/" substr($0, 1, RSTART - 1)
      sub(/^(\.\/)+/, "", file)
      message = substr($0, RSTART + RLENGTH)
      printf "::error file=%s,line=%d,col=%d::%s\n", property(file), part[1], part[2], data(message)
      said = 1
    }
    END { if (!said) printf "::error title=reconciler::%s%s\n", data(ENVIRON["WHAT"]), first == "" ? "" : ": " data(first) }
  ' "$1"
}

# warn FILE
# Says once more, as a warning, what in FILE is about a comment that is not there, or is not where it should be.
warn() {
  awk '
    function data(text) { gsub(/%/, "%25", text); gsub(/\r/, "%0D", text); return text }
    /^(No comment was posted|The token belongs to|An earlier token)/ { print "::warning title=reconciler::" data($0) }
  ' "$1"
}

# plan_key
# What tells the plans of one pull request apart, from the inputs.
plan_key() {
  local place=${CATALOG#./}
  printf '%s' "${COMMENT_KEY:-${place%/}
$CATALOG_FLAGS
${ENDPOINT:-${MINDCRAFT_ENDPOINT:-}}}"
}

# plan_name FILE
# A name for the artifacts of the plan in FILE (Markdown): its catalog and environment, and a number for plans that these
# do not tell apart.
plan_name() {
  local name
  name=$(sed -n '1s/^<!-- reconciler plan catalog=\([^ ]*\) \(environment=\([^ ]*\) \)\{0,1\}-->$/\1 \3/p' "$1")
  name=${name% }
  case $ENDPOINT$CATALOG_FLAGS in
    *--var* | *://*) name="$name $(plan_key | cksum | cut -d ' ' -f 1)" ;;
  esac
  printf 'reconciler-%s' "${name// /-}"
}

# GitHub drops a step's summary of more than 1 MiB.

# indented FILE BYTES
# FILE as an indented block of at most about BYTES: nothing in it is markup, whatever it holds. It is cut between lines.
indented() {
  LC_ALL=C awk -v room="$2" '
    { room -= length($0) + 5 }
    room < 0 { left++; next }
    { print "    " $0 }
    END { if (left) print "    … and " left " more lines: see the log of the job"; print "" }
  ' "$1"
}

# apply_summary FILE CODE
# What came of an apply that printed FILE and ended with CODE: the result, what failed, then the rest, folded. The lines
# are those of reconciler/render/report.py; a plan's own lines begin otherwise.
apply_summary() {
  local scratch
  scratch=$(mktemp -d)
  LC_ALL=C awk -v result="$scratch/result" -v failures="$scratch/failures" '
    /^(Ended|Stopped \(.*\)): / || /^(Verified: |Not verified: |The live list is not )/ { print >result; ended = 1; next }
    /^  (FAILED|UNKNOWN|NOT VERIFIED|NOT AS WRITTEN|not tried:|not kept:) / || /^  tried first: .*, which / { print >failures; more = 1; next }
    more && /^      / { print >failures; next }
    { more = 0 }
    # Without a report, why there is none is what was printed last.
    /^$/ { n = 0 }
    /./ { last[n++ % 40] = $0 }
    END { if (!ended) for (i = n > 40 ? n - 40 : 0; i < n; i++) print last[i % 40] >result }
  ' "$1"
  echo "### Apply: exit code $2"
  echo
  if [ -s "$scratch/result" ]; then indented "$scratch/result" 10000; fi
  if [ -s "$scratch/failures" ]; then
    echo "**Not done, or not as planned:**"
    echo
    indented "$scratch/failures" 200000
  fi
  echo "<details><summary>The plan, and everything that the apply printed</summary>"
  echo
  indented "$1" 700000
  echo "</details>"
  echo
  rm -rf "$scratch"
}

# fail MESSAGE [CODE]
# Ends the step with an annotation, and says the same in the summary. MESSAGE is ours: it holds nothing of others.
fail() {
  echo "::error title=reconciler::$1"
  echo "**Nothing was done:** $1." >>"$GITHUB_STEP_SUMMARY"
  exit "${2:-64}"
}

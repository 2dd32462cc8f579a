#!/usr/bin/env bash
# Nightrank on this machine: sets itself up on first use, then trains, scores and shows what came out.
set -euo pipefail

top=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)
venv=$top/.venv
# A line "PART HASH" for each part that is installed. While one is being installed it holds "unfinished" alone.
stamp=$venv/.set-up

usage() {
  cat <<'END'
usage: ./run_local.sh [flags]         the whole flow: train, prepare, score
       ./run_local.sh test [args]     the tests; args go to pytest
       ./run_local.sh bench [args]    the benchmarks; see bench --help
       ./run_local.sh set_up [parts]  set up and nothing else; parts: gcp, dev

The first use sets up .venv, which takes about a minute. Flags of the flow:

  --dataset D          sample (the default), movielens/100k-ratings, a MovieLens
                       folder or zip, or Parquet or CSV files
  --columns A=B,..     names of columns in Parquet or CSV files, if they differ
  --tfds_data_dir DIR  where TensorFlow Datasets keeps its datasets
  --work_dir DIR       gets model/, users/, candidates/ and recommendations/
                       (default: runs/local in the checkout)
  --model KIND         relevance (the default), rating, basic or tuned
  --split NAME         how rows are held out to measure the model: last_n (the
                       default for relevance), time (for the others), cutoff,
                       random or none
  --epochs N           passes over the interactions (default: the model's)
  --seed N             seed of the training (default: 0)
  --top_n N            recommendations for each user (default: 20)
  --run_date D         YYYY-MM-DD (default: today in UTC)
  --runner R           flink or prism: fetch that engine on first use, start it,
                       prepare and score on it, stop it
  -h, --help           this text

Any other flag goes to the stages that know it: see --help of nightrank train,
prepare and score in .venv/bin. What none of them knows goes to Beam.
PYTHON names the interpreter to set up with, 3.10 to 3.13 (default: the first
that is found).

example:
  ./run_local.sh --dataset ratings.csv --columns user_id=uid,movie_title=film
END
}

fail() {
  echo "error: $1" >&2
  exit 2
}

# The interpreter that the environment is made from.
find_python() {
  local candidate
  for candidate in ${PYTHON:-python3 python3.13 python3.12 python3.11 python3.10}; do
    if "$candidate" -I -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  fail "no Python 3.10 to 3.13 among: ${PYTHON:-python3, python3.13 to python3.10}; install one, or name it with PYTHON=..."
}

# set_up PART...: install these parts of the lock files into .venv, unless they are there. A set-up that was
# interrupted begins anew, and so does one of another lock file.
set_up() {
  local part kept missing=() started=$SECONDS
  trap 'echo interrupted >&2; exit 130' INT
  if [[ -e $venv && ! -f $stamp ]]; then
    fail "$venv is there, and this script did not make it; move it away, and run this again"
  fi
  for part in "$@"; do
    [[ -f $top/locks/$part.txt ]] || fail "set_up $part: there is no such part; give gcp or dev"
    grep -qxF "$(line_of "$part")" "$stamp" 2>/dev/null && [[ -x $venv/bin/python ]] || missing+=("$part")
  done
  ((${#missing[@]})) || return 0
  [[ -w $top ]] || fail "$top cannot be written, and .venv is to be made in it; copy the checkout to where you may write"
  for part in unfinished "${missing[@]}"; do
    # What an older lock file or a broken set-up left behind is no ground to build on.
    if grep -qsE "^$part( |$)" "$stamp" || [[ ! -x $venv/bin/python ]]; then
      make_environment
      missing=("$@")
      break
    fi
  done
  kept=$(<"$stamp")
  echo unfinished >"$stamp"
  install "${missing[@]}"
  {
    [[ -z $kept ]] || echo "$kept"
    for part in "${missing[@]}"; do line_of "$part"; done
  } >"$stamp"
  echo "set up in $((SECONDS - started)) s" >&2
}

line_of() {
  echo "$1 $(sha256sum <"$top/locks/$1.txt" | cut -d ' ' -f 1)"
}

# An empty environment that has the checkout on its path and the command `nightrank`.
make_environment() {
  local python packages
  python=$(find_python)
  echo "setting up .venv with $("$python" --version); once, for a minute or so" >&2
  # By renaming, so that there is no moment at which .venv is there without the stamp that says who made it.
  rm -rf "$venv.former" "$venv.new"
  [[ ! -e $venv ]] || mv -T "$venv" "$venv.former"
  mkdir "$venv.new"
  : >"$venv.new/.set-up"
  mv -T "$venv.new" "$venv"
  rm -rf "$venv.former"
  "$python" -I -m venv --without-pip "$venv" || fail "$python could not make $venv; see above"
  packages=$("$venv/bin/python" -I -c 'import sysconfig; print(sysconfig.get_path("purelib"))')
  printf '%s\n' "$top" 'import nightrank_safe_path' >"$packages/nightrank.pth"
  cat >"$packages/nightrank_safe_path.py" <<'END'
"""PYTHONSAFEPATH for Python 3.10, which does not know it: `python -m` finds no module in the working directory."""

import os
import sys


class Nothing:
    """What finds no module."""

    def find_spec(self, *_):
        return None


if sys.version_info < (3, 11) and os.environ.get("PYTHONSAFEPATH") and os.getcwd() != os.path.dirname(sys.prefix):
    sys.path_importer_cache[os.getcwd()] = Nothing()
END
  cat >"$venv/bin/nightrank" <<'END'
#!/bin/sh
PYTHONSAFEPATH=1 exec "$(dirname -- "$(readlink -f -- "$0")")/python" -m beam_jobs "$@"
END
  chmod +x "$venv/bin/nightrank"
}

# Install parts of the lock files with uv: that of this machine, or the one that pip brings. Where uv fails, because it
# heeds no pip.conf or has no build for this machine, pip does it.
install() {
  local part uv files=() total=0
  for part in "$@"; do
    files+=(--requirement "$top/locks/$part.txt")
    total=$((total + $(grep -o '^[a-z0-9-]*==' "$top/locks/$part.txt" | sort -u | wc -l)))
  done
  echo "installing about $total packages: $(IFS=+ && echo "$*")" >&2
  if uv=$(find_uv) && (cd "$top" && "$uv" pip install --python "$venv/bin/python" --no-deps --require-hashes \
    "${files[@]}" 2>&1) | tell; then
    :
  else
    echo "  uv did not do it; trying pip, which takes some minutes" >&2
    "$venv/bin/python" -I -m pip --version >/dev/null 2>&1 || "$venv/bin/python" -I -m ensurepip >/dev/null 2>&1 ||
      fail "$venv has no pip; install uv, or Python's ensurepip (on Debian: apt-get install python3-venv)"
    "$venv/bin/python" -I -m pip install --disable-pip-version-check --root-user-action ignore --progress-bar off \
      --no-deps --require-hashes "${files[@]}" 2>&1 | tell ||
      fail "the packages could not be installed; see above, and check the network or the package index"
  fi
  # Headers for building operations in C++: 40,000 small files.
  rm -rf "$venv"/lib/python3*/site-packages/tensorflow/include
}

# The path of uv.
find_uv() {
  local brought=$venv/uv/bin/uv
  command -v uv && return
  if [[ ! -x $brought ]]; then
    "$(readlink -f "$venv/bin/python")" -I -m pip install --quiet --disable-pip-version-check --root-user-action ignore \
      --no-deps --require-hashes --target "$venv/uv" --requirement "$top/locks/uv.txt" >&2 || return
  fi
  echo "$brought"
}

# Read what uv or pip says, and say how far it is: on a terminal in one line that lives, in a log every ten seconds.
# Anything else that they say, such as errors, is shown as it is. uv announces large files alone, pip each package.
tell() {
  local line files=0 ready=0 last=$SECONDS status
  while true; do
    line='' status=0
    read -r -t 1 line || status=$?
    case $line in
      Downloading\ *iB\)) files=$((files + 1)) ;;
      Downloaded\ *) ready=$((ready + 1)) ;;
      Collecting\ *) files=$((files + 1)) ready=$files ;;
      '' | [+~-]\ * | Using\ * | Resolved\ * | Prepared\ * | Installed\ * | Uninstalled\ * | Audited\ * | Building\ * | \
        Built\ * | Downloading\ * | Created\ * | Stored\ * | Getting\ * | Installing\ * | Preparing\ * | Success* | \[*) ;;
      *) echo "$line" >&2 ;;
    esac
    if [[ -t 2 ]]; then
      printf '\r  %d of %d downloads done, %d s ' "$ready" "$files" "$SECONDS" >&2
    elif ((SECONDS - last >= 10)); then
      echo "  $ready of $files downloads done, $SECONDS s" >&2
      last=$SECONDS
    fi
    ((status == 0 || status > 128)) || break
  done
  [[ ! -t 2 ]] || echo >&2
}

# Run a module of the checkout, wherever the caller stands, so that relative paths stay the caller's. Neither the
# caller's folder nor the caller's PYTHONPATH gives any module, nor to worker processes that Beam starts.
module() {
  PYTHONSAFEPATH=1 PYTHONPATH=$top exec "$venv/bin/python" -m "$@"
}

case ${1:-} in
  -h | --help)
    usage
    ;;
  set_up)
    shift
    set_up local "$@"
    ;;
  test)
    shift
    set_up local gcp dev
    cd "$top"
    module pytest "$@"
    ;;
  bench)
    shift
    set_up local gcp dev
    cd "$top"
    module tests.benchmarks "$@"
    ;;
  -* | '')
    set_up local
    module beam_jobs local --work_dir "$top/runs/local" "$@"
    ;;
  *)
    fail "$1: neither a flag nor test, bench or set_up; see ./run_local.sh --help"
    ;;
esac

#!/usr/bin/env bash
# Nightrank on this machine: sets itself up on first use, then trains, scores and shows what came out.
set -euo pipefail

top=$(cd -- "$(dirname -- "$(readlink -f -- "${BASH_SOURCE[0]}")")" && pwd)
venv=$top/.venv
lock=$top/requirements.txt
stamp=$venv/.set-up
engine_flags=()

usage() {
  cat <<'END'
usage: ./run_local.sh [flags]        set up on first use, then the whole flow: train, prepare, score, publish, show
       ./run_local.sh test [args]    set up on first use, then the tests (args go to pytest)
       ./run_local.sh bench [args]   set up on first use, then the benchmarks (bench --help)

  --dataset D          sample (the default), movielens/100k-ratings, a MovieLens folder or zip, Parquet or CSV files
  --columns A=B,..     names of columns in Parquet or CSV files where they differ
  --tfds_data_dir DIR  where TensorFlow Datasets prepared, or will prepare, its datasets
  --work_dir DIR       gets model/, users/, candidates/ and recommendations/ (default: runs/local in the checkout)
  --model KIND         relevance (the default), rating, basic or tuned
  --split NAME         last_n (the default for relevance), time (for the others), cutoff, random or none: what it is measured on
  --epochs N           passes over the interactions (default: those of the model)
  --seed N             of the training (default: 0)
  --top_n N            recommendations a user (default: 20)
  --run_date D         YYYY-MM-DD (default: today, in UTC)
  --runner R           flink or prism: fetch that engine on first use, start it, prepare and score on it, stop it
  -h, --help           this text; the environment is left ready

Any other flag goes to python -m beam_jobs.score, and what that does not know to Beam.
PYTHON names the interpreter for the environment, 3.10 to 3.13; by default the first found.
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
    if "$candidate" -c 'import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))' 2>/dev/null; then
      command -v "$candidate"
      return
    fi
  done
  fail "no Python 3.10 to 3.13 among: ${PYTHON:-python3, python3.13 to python3.10}; install one, or name it with PYTHON=..."
}

# Make .venv from the lock file, unless it was made from this very lock file before. The stamp is written last, so a
# set-up that was interrupted is begun anew.
set_up() {
  local wanted python started=$SECONDS
  wanted=$(sha256sum <"$lock")
  [[ -f $stamp && $(<"$stamp") == "$wanted" && -x $venv/bin/python ]] && return
  python=$(find_python)
  echo "setting up .venv from $(basename "$lock") with $("$python" --version); once, for a minute or a few" >&2
  rm -rf "$venv"
  if command -v uv >/dev/null; then
    echo "  1/2 making the environment (uv)" >&2
    uv venv --quiet --no-project --python "$python" "$venv" || fail "uv could not make $venv with $python; see above"
    echo "  2/2 installing $(grep -c '^[a-z]' "$lock") packages" >&2
    VIRTUAL_ENV=$venv uv pip install --quiet --no-deps --require-hashes --requirement "$lock" ||
      fail "the packages could not be installed; see above, and check the network or the package index"
  else
    echo "  1/2 making the environment (venv)" >&2
    "$python" -m venv "$venv" 2>/dev/null ||
      fail "$python has no working venv module; install it (on Debian: apt-get install python3-venv), or install uv"
    echo "  2/2 installing $(grep -c '^[a-z]' "$lock") packages with pip, which takes some minutes" >&2
    "$venv/bin/python" -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes --requirement "$lock" ||
      fail "the packages could not be installed; see above, and check the network or the package index"
  fi
  echo "$wanted" >"$stamp"
  echo "set up in $((SECONDS - started)) s" >&2
}

# Run a module of the checkout, wherever the caller stands, so that relative paths stay theirs.
module() {
  PYTHONPATH=$top${PYTHONPATH:+:$PYTHONPATH} "$venv/bin/python" -m "$@"
}

# Flags that go to the last stage, looked at by its own parser and Beam's.
check_score_flags() {
  PYTHONPATH=$top "$venv/bin/python" -c '
from beam_jobs import score
from beam_jobs.pipeline.options import parse_flags
from model.cli import run
run(lambda argv: parse_flags(score.build_parser(), argv))' "$@"
}

# Start an engine in the background and read the Beam flags of jobs for it into engine_flags.
start_engine() {
  engine_folder=$(mktemp -d "${TMPDIR:-/tmp}/nightrank-$1.XXXXXX")
  PYTHONPATH=$top${PYTHONPATH:+:$PYTHONPATH} "$venv/bin/python" -m beam_jobs.engines "$1" \
    --folder "$engine_folder" --flags_file "$engine_folder/flags" &
  engine=$!
  trap stop_engine EXIT
  until [[ -e $engine_folder/flags ]]; do
    # An engine that does not start says why, and its exit status is that of the run.
    kill -0 "$engine" 2>/dev/null || { wait "$engine"; exit 1; }
    sleep 0.2
  done
  mapfile -t engine_flags <"$engine_folder/flags"
}

# Stop the engine, and keep its logs where the run did not end well.
stop_engine() {
  local status=$?
  kill "$engine" 2>/dev/null && wait "$engine" || true
  if ((status == 0)); then
    rm -rf "$engine_folder"
  elif ! rmdir "$engine_folder" 2>/dev/null; then
    echo "logs of the engine: $engine_folder" >&2
  fi
}

heading() {
  printf '\n== %s (%d s)\n' "$1" "$SECONDS"
}

whole_flow() {
  local dataset=() training=() work_dir=$top/runs/local top_n=20 run_date rest=() model=relevance engine_name=''
  run_date=$(date --utc +%F)
  while (($#)); do
    local flag=${1%%=*} value
    case $flag in
      --dataset | --columns | --tfds_data_dir | --work_dir | --model | --split | --epochs | --seed | --top_n | \
        --run_date | --runner)
        if [[ $1 == *=* ]]; then value=${1#*=}; else
          (($# > 1)) || fail "$flag needs a value; see ./run_local.sh --help"
          value=$2
          shift
        fi
        ;;
    esac
    case $flag in
      --dataset | --columns | --tfds_data_dir) dataset+=("$flag=$value") ;;
      --model) model=$value ;;
      --split | --epochs | --seed) training+=("$flag=$value") ;;
      --work_dir) work_dir=$value ;;
      --top_n) top_n=$value ;;
      --run_date) run_date=$value ;;
      --runner) if [[ $value == flink || $value == prism ]]; then engine_name=$value; else rest+=("--runner=$value"); fi ;;
      *) rest+=("$1") ;;
    esac
    shift
  done
  # The gate holds lists against a list of hits. Models of ratings do not pass, and whoever names one wants it.
  [[ $model == relevance ]] || rest+=(--allow_unblessed)
  local score=(--model "$work_dir/model" --users "$work_dir/users/*.parquet"
    --candidates "$work_dir/candidates/*.parquet" --output "$work_dir" --top_n "$top_n" --run_date "$run_date" "${rest[@]}")

  # Flags of the last stage are looked at before the first one takes its time.
  [[ $top_n =~ ^[1-9][0-9]*$ ]] || fail "--top_n is $top_n; give a whole number of at least 1"
  [[ $(date --utc --date "$run_date" +%F 2>/dev/null) == "$run_date" ]] ||
    fail "--run_date $run_date: not a date; write it as YYYY-MM-DD, such as $(date --utc +%F)"
  set_up
  ((${#rest[@]} == 0)) || check_score_flags "${score[@]}"
  if [[ $engine_name ]]; then
    heading "start $engine_name"
    start_engine "$engine_name"
  fi
  heading "train"
  module model.train "${dataset[@]}" --model "$model" "${training[@]}" --refit --model_dir "$work_dir/model"
  heading "prepare users and candidates"
  module beam_jobs.prepare "${dataset[@]}" --output "$work_dir" "${engine_flags[@]}"
  heading "score every user x candidate"
  module beam_jobs.score "${score[@]}" "${engine_flags[@]}"
  heading "result"
  module beam_jobs.summary --work_dir "$work_dir" --run_date "$run_date"
}

case ${1:-} in
  -h | --help)
    set_up
    usage
    ;;
  test)
    shift
    set_up
    cd "$top"
    module pytest "$@"
    ;;
  bench)
    shift
    set_up
    cd "$top"
    module tests.benchmarks "$@"
    ;;
  *)
    whole_flow "$@"
    ;;
esac

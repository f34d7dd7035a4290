#!/usr/bin/env bash
# Pairs per second and peak memory, Confide against TRL and transformers, on one machine:
#
#     benches/compare_trl.sh [SHAPES] [PAIRS] [ROUNDS]
#
# SHAPES are names that ../shared/tools/make_checkpoint.py knows (default "opt-125m smollm2-135m"),
# PAIRS how many of the first pairs of HH harmless are taken (default 64, more than 16), ROUNDS how often every
# program runs (default 1), alternating. Full fine-tuning in float32; every program runs in a process
# of its own on all cores. TRL runs with and without precomputed references; what it then spends on
# them is not counted, nor is Confide's. Where the machine has the memory for neither, it computes layers again
# in the backward pass as well. Prints the table and writes it into benches/RESULTS.md,
# between its own markers. Needs ../shared and Python 3 with venv; PYTHON names one that has torch,
# transformers, trl, peft.
set -euo pipefail
cd "$(dirname "$0")/.."
shapes=${1:-opt-125m smollm2-135m}
pairs=${2:-64}
rounds=${3:-1}
[ "$pairs" -gt 16 ] || { echo "PAIRS is $pairs; more than 16 are needed: the first batch is not timed" >&2; exit 2; }
work=$(mkdir -p "${WORK:-target/compare}" && cd "${WORK:-target/compare}" && pwd)
file=../shared/data/hh-harmless-base/test.jsonl.gz
export HF_HUB_OFFLINE=1 OMP_NUM_THREADS="${OMP_NUM_THREADS:-$(nproc)}"

if [ -z "${PYTHON:-}" ]; then
    PYTHON="$work/venv/bin/python"
    [ -x "$PYTHON" ] || { python3 -m venv "$work/venv" && "$PYTHON" -m pip install -q torch transformers trl datasets peft; }
fi
for shape in $shapes; do
    [ -f "$work/$shape/config.json" ] || "$PYTHON" ../shared/tools/make_checkpoint.py "$shape" "$work/$shape"
done
bench=$(cargo build --release --bench pairs --message-format=json 2>/dev/null | grep -o '"executable":"[^"]*pairs[^"]*"' | cut -d'"' -f4 | tail -n1)

: >"$work/runs.jsonl"
note() { # SHAPE WHAT BATCH COMMAND, which prints JSON; fails where the command does
    local shape=$1 what=$2 batch=$3 found
    shift 3
    found=$("$@") || return
    printf '{"shape": "%s", "what": "%s", "batch": %s, "found": %s}\n' "$shape" "$what" "$batch" "$found" | tee -a "$work/runs.jsonl"
}
confide() { # SHAPE TASK BATCH
    note "$1" "confide $2" "$3" "$bench" "$2" "$work/$1" "$file" --limit "$pairs" --batch "$3"
}
trl() { # SHAPE WHAT BATCH [OPTIONS]; fails where the system ended it for want of memory
    local shape=$1 what=$2 batch=$3 status=0
    shift 3
    "$PYTHON" ../shared/tools/trl_reference.py dpo --model "$work/$shape" --pairs "$file" --limit "$pairs" \
        --batch "$batch" --max-length 512 --out "$work/trl.json" "$@" >"$work/trl.log" 2>&1 || status=$?
    if [ "$status" = 137 ]; then
        note "$shape" "$what" "$batch" echo '{"ended": "out of memory"}'
        return 1
    fi
    [ "$status" = 0 ] || { tail "$work/trl.log" >&2; exit 1; }
    note "$shape" "$what" "$batch" "$PYTHON" -c 'import json, sys
r = json.load(open(sys.argv[1]))
keep = ("pairs", "pairs_per_second", "median_step_seconds", "peak_rss_mib")
print(json.dumps({**{k: r[k] for k in keep}, "losses": [s["loss"] for s in r["steps"]]}))' "$work/trl.json" || exit 1
}
score() { # SHAPE BATCH
    note "$1" "transformers score" "$2" "$PYTHON" benches/score_reference.py "$work/$1" "$file" "$pairs" "$2" \
        2>"$work/score.log" || { tail "$work/score.log" >&2; exit 1; }
}

for round in $(seq "$rounds"); do
    echo "round $round of $rounds" >&2
    for shape in $shapes; do
        for batch in 4 16; do
            confide "$shape" dpo "$batch"
            fits=no
            trl "$shape" "trl" "$batch" && fits=yes
            confide "$shape" dpo "$batch"
            trl "$shape" "trl, precomputed" "$batch" --precompute-ref && fits=yes
            [ "$fits" = yes ] || trl "$shape" "trl, layers recomputed" "$batch" --precompute-ref --gradient-checkpointing || true
        done
        score "$shape" 16
        confide "$shape" score 16
        score "$shape" 16
        confide "$shape" score 16
    done
done
for data in hh-harmless-base hh-helpful-base; do
    for batch in 4 16; do
        note "${data%-base}" "confide positions" "$batch" "$bench" positions "$work/${shapes%% *}" "../shared/data/$data/test.jsonl.gz" --batch "$batch"
    done
done
"$PYTHON" benches/table.py "$work/runs.jsonl" benches/RESULTS.md

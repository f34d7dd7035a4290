#!/usr/bin/env bash
# Peak memory of LoRA DPO steps, Confide against TRL, on one machine:
#
#     benches/compare_memory.sh [SHAPE] [PAIRS] [LIMIT_GIB]
#
# SHAPE is a name that ../shared/tools/make_checkpoint.py knows (default qwen2.5-0.5b), PAIRS the
# pairs in a batch (default 4), each side 512 tokens long. Every program runs in a process of its
# own whose data segment is limited to LIMIT_GIB (default 20); one that exceeds it is told so.
# Needs ../shared and Python 3 with venv; PYTHON names one that has torch, transformers, trl, peft.
set -euo pipefail
cd "$(dirname "$0")/.."
shape=${1:-qwen2.5-0.5b}
pairs=${2:-4}
limit=$((${3:-20} << 20))
work=${WORK:-target/compare}
mkdir -p "$work"
export HF_HUB_OFFLINE=1 OMP_NUM_THREADS="${OMP_NUM_THREADS:-$(nproc)}"

if [ -z "${PYTHON:-}" ]; then
    PYTHON="$work/venv/bin/python"
    [ -x "$PYTHON" ] || { python3 -m venv "$work/venv" && "$PYTHON" -m pip install -q torch transformers trl datasets peft; }
fi
[ -f "$work/$shape/config.json" ] || "$PYTHON" ../shared/tools/make_checkpoint.py "$shape" "$work/$shape"

# Two batches of pairs whose prompts have 128 tokens and whose responses are longer than what fits.
"$PYTHON" - "$work/$shape/tokenizer.json" "$pairs" >"$work/pairs.jsonl" <<'PY'
import json, random, sys
from tokenizers import Tokenizer
tokenizer = Tokenizer.from_file(sys.argv[1])
words = [w for w in (tokenizer.decode([i]) for i in range(1000, 20000)) if w[:1] == " " and w[1:].isalpha() and w.isascii()]
random.seed(0)
text = lambda n: "".join(random.choices(words, k=n))
for _ in range(2 * int(sys.argv[2])):
    print(json.dumps({"prompt": text(128), "chosen": text(400), "rejected": text(400)}))
PY

echo "$shape, $pairs pairs of 2 x 512 tokens, LoRA r 8, float32, $(nproc) cores"
trl() { # WHAT [OPTIONS]
    local what=$1
    shift
    if (ulimit -d "$limit"; exec "$PYTHON" ../shared/tools/trl_reference.py dpo --model "$work/$shape" --pairs "$work/pairs.jsonl" \
        --out "$work/trl.json" --lora 8 --batch "$pairs" --max-length 512 "$@") >"$work/trl.log" 2>&1; then
        "$PYTHON" -c 'import json, sys; r = json.load(open(sys.argv[1])); print("%-40s %8.0f MiB at peak %10.2f s a step" % (sys.argv[2], r["peak_rss_mib"], r["median_step_seconds"]))' "$work/trl.json" "$what"
    else
        printf '%-40s does not fit: %s\n' "$what" "$(grep -m1 -iE 'memory|alloc' "$work/trl.log" || tail -n1 "$work/trl.log")"
    fi
}
trl "TRL"
trl "TRL, gradient checkpointing" --gradient-checkpointing

cargo build --release --bench memory 2>/dev/null
bench=$(cargo build --release --bench memory --message-format=json 2>/dev/null | grep -o '"executable":"[^"]*memory[^"]*"' | cut -d'"' -f4 | tail -n1)
confide() { # WHAT [OPTIONS]
    local what=$1
    shift
    if (ulimit -d "$limit"; exec "$bench" "$work/$shape" --pairs "$pairs" --lora 8 --steps 2 "$@") >"$work/confide.log" 2>&1; then
        awk -v what="$what" '/^a step/ { step = $3 } /^after training/ { peak = $3 } END { printf "%-40s %8.0f MiB at peak %10.2f s a step\n", what, peak, step }' "$work/confide.log"
    else
        printf '%-40s does not fit: %s\n' "$what" "$(tail -n1 "$work/confide.log")"
    fi
}
confide "Confide, layers recomputed" --recompute always
confide "Confide, layers kept" --recompute never
confide "Confide, one pair at a time" --recompute always --micro 1

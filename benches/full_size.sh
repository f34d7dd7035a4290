#!/usr/bin/env bash
# Load checkpoints of real sizes (random weights) and take one LoRA DPO step on each:
#
#     benches/full_size.sh [SHAPE[:PRECISION] …]
#
# Prints seconds and peak memory. Needs ../shared, and PYTHON with torch and transformers to make
# the checkpoints, which stay in target/compare (WORK names another folder).
set -euo pipefail
cd "$(dirname "$0")/.."
work=${WORK:-target/compare}
python=${PYTHON:-python3}
mkdir -p "$work"
export HF_HUB_OFFLINE=1
[ $# -gt 0 ] || set -- opt-125m opt-350m gpt2 smollm2-135m qwen2.5-0.5b llama-3.2-1b:bf16 llama-3.2-1b:int8
bench=$(cargo build --release --bench memory --message-format=json 2>/dev/null | grep -o '"executable":"[^"]*memory[^"]*"' | cut -d'"' -f4 | tail -n1)
for wanted in "$@"; do
    shape=${wanted%%:*}
    precision=f32
    stored=float32
    [ "$shape" = "$wanted" ] || { precision=${wanted#*:} && stored=bfloat16; }
    [ -f "$work/$shape/config.json" ] || "$python" ../shared/tools/make_checkpoint.py "$shape" "$work/$shape" --dtype "$stored" >/dev/null 2>&1
    "$bench" "$work/$shape" --pairs 2 --length 256 --lora 8 --precision "$precision" --steps 1 >"$work/full_size.log"
    awk -v what="$wanted" '/^loading/ { load = $2 } /^a step/ { step = $3 } /^after training/ { peak = $3 } END { printf "%-20s loaded in %6.1f s, a step of 2 pairs of 2 x 256 tokens in %7.1f s, %6.0f MiB at peak\n", what, load, step, peak }' "$work/full_size.log"
done

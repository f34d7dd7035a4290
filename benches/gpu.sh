#!/usr/bin/env bash
# What a GPU makes of Confide, within nine minutes:
#
#     benches/gpu.sh [--quick] [--hang PART] PACK OUT
#
# PACK is a folder that benches/gpu_pack.sh filled. Every part runs under a time limit of its own, the
# most telling first; a part that fails or hangs is noted and the next one runs. What is measured
# goes to OUT/runs.jsonl line by line as it comes, what programs print to OUT/log.txt, the table to
# OUT/section.md and, between its markers, to benches/RESULTS.md. --quick takes tiny shapes, for a rehearsal on a
# software adapter, and leaves that file alone; --hang makes a part hang. BUDGET is the seconds that all may take (530), DEVICE
# the device (gpu), PYTHON a Python that has torch and transformers for the rows beside Confide's, ONLY an expression that
# the parts to run match.
set -uo pipefail
cd "$(dirname "$0")/.."
repository=$PWD
quick=
hang=
while :; do
    case ${1:-} in
    --quick) quick=1 && shift ;;
    --hang) hang=$2 && shift 2 ;;
    *) break ;;
    esac
done
[ $# = 2 ] || { sed -n 2,13p "$0" >&2; exit 2; }
pack=$(cd "$1" && pwd)
out=$(mkdir -p "$2" && cd "$2" && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
device=${DEVICE:-gpu}
python=${PYTHON:-python3}
deadline=$((SECONDS + ${BUDGET:-530}))
: >"$out/runs.jsonl"
: >"$out/log.txt"

# The loader and the driver's manifest where the machine's own are not found. Drivers that come with a card lean on
# the libraries of GL's dispatch, and without them the loader says that there is no driver.
if ! ldconfig -p 2>/dev/null | grep -q libvulkan.so.1 || ! ldconfig -p 2>/dev/null | grep -q libGLdispatch.so.0; then
    export LD_LIBRARY_PATH="$pack${LD_LIBRARY_PATH:+:$LD_LIBRARY_PATH}"
fi
if [ -z "${VK_DRIVER_FILES:-}" ] && ! compgen -G '/usr/share/vulkan/icd.d/*.json' >/dev/null && ! compgen -G '/etc/vulkan/icd.d/*.json' >/dev/null; then
    manifest=$(find /usr /opt -name '*_icd*.json' -path '*vulkan*' 2>/dev/null | sort -r | head -n1)
    [ -z "$manifest" ] || export VK_DRIVER_FILES="$manifest"
fi
export XDG_RUNTIME_DIR="${XDG_RUNTIME_DIR:-$work}" XDG_CACHE_HOME="$work/cache" CONFIDE_CACHE= HF_HUB_OFFLINE=1
# Where the GPU suite finds its fixtures, wherever it was built.
export CARGO_MANIFEST_DIR="$repository"
[ -z "$quick" ] || export CUBECL_AUTOTUNE_LEVEL="${CUBECL_AUTOTUNE_LEVEL:-minimal}"

say() { printf '%s\n' "$*" | tee -a "$out/log.txt"; }

note() { # PART PATH JSON
    printf '{"part": "%s", "path": "%s", "found": %s}\n' "$1" "$2" "$3" >>"$out/runs.jsonl"
}

# Run a command with a limit; every line of JSON that it prints is noted as it comes.
part() { # PART PATH LIMIT COMMAND …
    local part=$1 path=$2 limit=$3 left=$((deadline - SECONDS)) begun=$SECONDS status
    shift 3
    [[ $part =~ ${ONLY:-.} ]] || return 0
    [ "$limit" -le "$left" ] || limit=$left
    if [ "$limit" -lt 5 ]; then
        note "$part" "$path" '{"ended": "not begun: out of time"}'
        say "== $part, $path: not begun, out of time"
        return 1
    fi
    say "== $part, $path (at $SECONDS s, at most $limit s)"
    [ "$part" != "$hang" ] || set -- sleep 100000
    timeout --kill-after=5 "$limit" "$@" 2>>"$out/log.txt" </dev/null | while IFS= read -r line; do
        say "$line"
        case $line in
        '{'*'}') note "$part" "$path" "$line" ;;
        'test result:'*) note "$part" "$path" "{\"result\": \"${line#test result: }\"}" ;;
        esac
    done
    status=${PIPESTATUS[0]}
    local ended="ok"
    [ "$status" = 0 ] || ended="failed with $status"
    [ "$status" != 124 ] && [ "$status" != 137 ] || ended="took over $limit s"
    note "$part" "$path" "{\"ended\": \"$ended\", \"seconds\": $((SECONDS - begun))}"
    say "== $part, $path: $ended, $((SECONDS - begun)) s"
    return "$status"
}

# CubeCL keeps what it measures and compiles in the folder it runs in.
folder() { # NAME [LINE OF cubecl.toml …]
    local name=$1
    shift
    mkdir -p "$work/$name"
    printf '%s\n' '[environment]' 'path = "local"' "$@" >"$work/$name/cubecl.toml"
    cd "$work/$name" || exit 1
}

xz -dc "$pack/programs.tar.xz" | tar -C "$work" -x
paths=
for path in native wgsl; do [ ! -x "$work/$path/gpu" ] || paths="$paths $path"; done
any=$work/${paths##* }
say "shader paths:$paths"
command -v nvidia-smi >/dev/null && nvidia-smi --query-gpu=name,driver_version,memory.total,memory.used --format=csv | tee -a "$out/log.txt"

if [ -n "$quick" ]; then
    shapes=tiny-llama; lora_shape=tiny-llama; warm=200; pairs=16; batches=4; largest=8; scored=4
    suite=120; tests=(attention_kernels weights a_table); demo=(--set data.limit=24 --set annotator.steps=2 --set annotator.batch_size=2 --set sft.steps=1 --set sft.batch_size=2 --set policy.steps=3 --set policy.batch_size=2 --set data.max_length=64 --set evaluate.samples=0)
    frames=(--pairs 5000 --frames 10); soak=(--steps 4 --warmup 2 --longest 24); tiny=--quick; limit=60; kills=2; kill_limit=120
else
    shapes="smollm2-135m opt-125m"; lora_shape=qwen2.5-0.5b; pairs=96; batches=4,16; largest="64 256"; warm=200; scored=16
    suite=90; tests=(); demo=(); frames=(); soak=(--steps 300 --warmup 30 --longest 512); tiny=; limit=60; kills=50; kill_limit=110
fi
first=${shapes%% *}

# 1. What the device says of itself; no adapter ends everything.
part devices any 20 "$any/gpu" confide devices
if [ "$device" != cpu ] && ! "$any/gpu" confide devices 2>/dev/null | grep -q 'gpu:0'; then
    say "no graphics adapter was found; VK_LOADER_DEBUG=error,driver tells why"
    VK_LOADER_DEBUG=error,driver "$any/gpu" confide devices >>"$out/log.txt" 2>&1
    exit 1
fi

# 2. Kernels are compiled and tuned for minutes on a new device, and kept in the folder: all that later parts
# need, together, and beside it what needs no exact times: whether it is right, the demonstration included.
part checkpoint any 60 "$any/gpu" checkpoint "$first" "$work/$first" --pairs 2048
for path in $paths; do
    (folder "$path"; part warm "$path" "$warm" "$work/$path/gpu" pairs dpo "$work/$first" "$work/$first/pairs.jsonl" --device "$device" --batch "$batches" --limit 64) &
    (folder "suite-$path"; part suite "$path" "$warm" "$work/$path/gpu-suite" --test-threads=1 "${tests[@]}") &
    (folder "kernels-$path"; part demo "$path" "$warm" "$work/$path/gpu" confide demo --device "$device" --out "$work/demo-$path" "${demo[@]}") &
done
(folder cpu; part demo cpu "$warm" "$any/gpu" confide demo --device cpu --out "$work/demo-cpu" "${demo[@]}") &
for shape in ${shapes#"$first"} $lora_shape; do
    [ -d "$work/$shape" ] || part checkpoint any 60 "$any/gpu" checkpoint "$shape" "$work/$shape" --pairs 2048
done
wait
for path in $paths; do part compare "$path" 10 "$any/gpu" compare "$work/demo-$path" "$work/demo-cpu"; done

# To import it takes seconds, so it is tried once.
has_torch=
"$python" -c 'import torch, transformers' 2>/dev/null && has_torch=yes

# 3. How fast it is, beside PyTorch on the same card.
confide() { # PART PATH SHAPE TASK OPTIONS …
    local part=$1 path=$2 shape=$3 task=$4
    shift 4
    folder "$path"
    part "$part $shape" "$path" "$limit" "$work/$path/gpu" pairs "$task" "$work/$shape" "$work/$shape/pairs.jsonl" --device "$device" "$@"
}
torch() { # PART SHAPE TASK OPTIONS …
    local part=$1 shape=$2 task=$3
    shift 3
    [ -n "$has_torch" ] || return 0
    part "$part $shape" torch "$limit" "$python" "$repository/benches/torch_reference.py" "$task" "$work/$shape" "$work/$shape/pairs.jsonl" "$@"
}
for path in $paths; do confide dpo "$path" "$first" dpo --batch "$batches" --limit "$pairs"; done
for path in $paths; do folder "$path"; part device "$path" "$limit" "$work/$path/gpu" device --device "$device" $tiny; done
for dtype in f32 bf16; do torch dpo "$first" dpo --batch "$batches" --limit "$pairs" --dtype "$dtype"; done
for path in $paths; do
    for precision in f32 bf16; do
        confide lora "$path" "$lora_shape" dpo --batch "$batches" --limit "$pairs" --lora 8 --precision "$precision"
    done
done
for dtype in f32 bf16; do torch lora "$lora_shape" dpo --batch "$batches" --limit "$pairs" --lora 8 --dtype "$dtype"; done
for path in $paths; do confide score "$path" "$first" score --batch "$scored" --limit "$pairs"; done
for dtype in f32 bf16; do torch score "$first" score --batch "$scored" --limit "$pairs" --dtype "$dtype"; done

# 4. The first step, untuned and tuned, and where a step's time goes: what a run of three steps has more
# than one of one. Timing each kernel makes it wait for each, so the shares are of kernels.
logged=('[profiling.logger]' 'level = "basic"' 'file = "kernels.log"')
step() { # PART PATH EPOCHS
    part "$1" "$2" "$limit" "$work/$2/gpu" pairs dpo "$work/$first" "$work/$first/pairs.jsonl" --device "$device" --batch "$scored" --limit "$scored" --epochs "$3"
}
for path in $paths; do
    folder "fresh-$path" && step untuned "$path" 1 && step tuned "$path" 5
    part parts "$path" "$limit" "$work/$path/gpu" parts "$work/$first" "$work/$first/pairs.jsonl" --device "$device" --batch "$scored"
    folder "fresh-$path" "${logged[@]}"
    for epochs in 1 3; do step "timed $epochs" "$path" "$epochs"; mv kernels.log "$epochs.log"; done
    command -v "$python" >/dev/null && part kernels "$path" 20 "$python" "$repository/benches/gpu_table.py" --kernels 1.log 3.log 2
done
[ -z "$has_torch" ] || part product torch "$limit" "$python" "$repository/benches/torch_reference.py" product $tiny

# 5. The window, and whether memory stays flat over steps of varied lengths.
folder window; part frames any 60 "$any/gpu" frames "${frames[@]}"
for path in $paths; do
    folder "$path"
    part soak "$path" "$limit" "$work/$path/gpu" soak "$work/$first" --device "$device" "${soak[@]}"
done

# 6. What is left of the time: the largest batches, the second shape, operations, the least limits.
for path in $paths; do
    for batch in $largest; do confide dpo "$path" "$first" dpo --batch "$batch" --limit $((5 * batch)) || break; done
    for shape in ${shapes#"$first"}; do confide dpo "$path" "$shape" dpo --batch "$batches" --limit "$pairs"; done
done
for shape in ${shapes#"$first"}; do torch dpo "$shape" dpo --batch "$batches" --limit "$pairs" --dtype bf16; done
[ -n "$quick" ] || for path in $paths; do folder "$path"; part elements "$path" 40 "$work/$path/gpu" elements --device "$device"; done
[ ! -f "$work/wgsl/gpu-suite" ] || { folder least; CONFIDE_TEST_LIMITS=least part "suite, least limits" wgsl "$suite" "$work/wgsl/gpu-suite" --test-threads=1 "${tests[@]}"; }

# 7. What a run comes to that is killed again and again, and one that finds less memory than it was told of.
for path in $paths; do
    printf '#!/bin/sh\nexec %s confide "$@"\n' "$work/$path/gpu" >"$work/$path/confide"
    chmod +x "$work/$path/confide"
done
if command -v "$python" >/dev/null; then
    for path in $paths; do (folder "$path"; part kills "$path" "$kill_limit" "$python" "$repository/benches/durability.py" kills "$work/$path/confide" --device "$device" --count "$kills" --json) & done
    wait
fi
if [ -n "$has_torch" ] && [[ full =~ ${ONLY:-.} ]]; then
    printf 'device_memory = 60.0\n[data]\nfiles = ["%s"]\nlabelled = 0\nlimit = 256\n[annotator]\nkind = "human"\n[policy]\nmodel = "%s"\nbatch_size = 64\nsteps = 2\n[sft]\nepochs = 0.0\n[evaluate]\nsamples = 0\n' \
        "$work/$first/pairs.jsonl" "$work/$first" >"$work/full.toml"
    for path in $paths; do
        "$python" "$repository/benches/torch_reference.py" hold --leave 6 --seconds 100 >"$work/held" 2>>"$out/log.txt" &
        holder=$!
        for _ in $(seq 60); do grep -q held_mib "$work/held" && break; sleep 0.5; done
        say "$(cat "$work/held")"
        folder "$path"
        part full "$path" "$limit" "$work/$path/gpu" confide run "$work/full.toml" --device "$device" --out "$work/full-$path"
        [ ! -f "$work/full-$path/events.jsonl" ] || grep -h '"event":"\(warning\|planned\|failed\)"' "$work/full-$path/events.jsonl" | tee -a "$out/log.txt"
        kill "$holder"; wait "$holder" 2>/dev/null
    done
fi

cd "$repository" || exit 1
if command -v "$python" >/dev/null; then
    # A rehearsal on tiny shapes is no result.
    results=benches/RESULTS.md
    [ -z "$quick" ] || results=
    "$python" benches/gpu_table.py "$out/runs.jsonl" "$results" >"$out/section.md" && say "the table is in $out/section.md${results:+ and $results}"
fi
say "all took $SECONDS s"

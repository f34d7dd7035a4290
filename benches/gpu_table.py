#!/usr/bin/env python3
"""Turn the runs of gpu.sh into a section, print it, and put it into RESULTS.md.

    gpu_table.py RUNS [RESULTS]     the section between its markers
    gpu_table.py --kernels SHORT LONG STEPS
                                    where the time of STEPS steps goes that LONG has more than
                                    SHORT, both logs of CubeCL, by what kernels do; a line of JSON
"""
import json, re, sys

BEGIN, END = "<!-- gpu.sh begins -->", "<!-- gpu.sh ends -->"
# What a kernel does, by its name; the first that fits.
KINDS = [
    ("attention", r"^(Attend|OfQueries|OfKeys|Bounds)\b"),
    ("matrix products", r"matmul|gemm|gemv|vecmat"),
    ("sums and largest", r"reduce|sum|arg|softmax"),
    ("quantisation and casts", r"quant|cast"),
    ("copies and gathers", r"copy|contiguous|slice|select|gather|scatter|cat|repeat|transpose|swap|flip|full|arange"),
    ("elementwise", r"."),
]
UNITS = {"ns": 1e-9, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0}


def seconds_of(path):
    """Seconds of each kernel in a log of CubeCL, without what it runs to tune others."""
    names = {}
    for line in open(path, encoding="utf-8", errors="replace"):
        found = re.match(r"^.*?\|\s*([0-9.]+)(ns|µs|μs|ms|s)\s*\|\s*(.+?)\s*$", line)
        # Lines of its own table begin with a name.
        if not found or re.search(r"Throughput|PrimeBuffer|LaunchOverhead", found[3]):
            continue
        name = re.sub(r"_[0-9a-f]{8}$", "", found[3])
        names[name] = names.get(name, 0.0) + float(found[1]) * UNITS[found[2]]
    return names


def kernels(short, long, steps):
    """What steps take that a longer run has more than a shorter one."""
    before, after = seconds_of(short), seconds_of(long)
    names = {name: max(0.0, seconds - before.get(name, 0.0)) / steps for name, seconds in after.items()}
    total = {}
    for name, seconds in names.items():
        kind = next(kind for kind, pattern in KINDS if re.search(pattern, name, re.IGNORECASE))
        total[kind] = total.get(kind, 0.0) + seconds
    whole = sum(total.values()) or 1.0
    share = lambda found: {k: round(v / whole, 4) for k, v in sorted(found.items(), key=lambda x: -x[1])}
    print(json.dumps({"task": "kernels", "step_seconds": whole, "shares": share(total), "names": dict(list(share(names).items())[:12])}))


def whole_lines(path):
    """Records; a check that was cut off leaves half a line."""
    for line in open(path, encoding="utf-8"):
        try:
            yield json.loads(line)
        except ValueError:
            print(f"left out: {line[:80]!r}", file=sys.stderr)


def main(runs, results):
    rows = list(whole_lines(runs))
    found = [(r["part"], r["path"], r["found"]) for r in rows]
    of = lambda task: [(part, path, f) for part, path, f in found if f.get("task") == task]
    lines = [BEGIN, ""]
    for _, path, f in of("device"):
        d, limits = f["device"], f["limits"] or {}
        memory = f["memory"]["bytes"] / 2**30 if f["memory"] else float("nan")
        lines += [f"- {path}: {d['name']} ({d['api']}, {d['driver']}), {memory:.1f} GiB; computes f32 {' '.join(f['computes'])}; "
                  f"stores {' '.join(f['stores'])}; subgroups {limits.get('subgroup')}, {limits.get('invocations')} invocations, "
                  f"{limits.get('workgroup_bytes')} bytes a work-group, {limits.get('binding_bytes', 0) / 2**20:.0f} MiB a binding, "
                  f"cooperative matrices {'yes' if limits.get('cooperative_matrices') else 'no'}"]
    for _, _, f in of("torch dpo")[:1] or of("torch product")[:1]:
        lines += [f"- PyTorch {f['torch']} on {f['device']}"]
    lines += ["", "What was right:", ""]
    for part, path, f in found:
        if "result" in f:
            lines.append(f"- {part}, {path}: {f['result']}")
    for _, path, f in of("compare"):
        stages = "; ".join(f"{s['stage']} {s['apart_in_10_steps']:.1e} in 10 steps, {s['apart']:.1e} in all {s['steps'][0]}" for s in f["stages"])
        lines.append(f"- demonstration, {path} against the CPU: losses apart by {stages}; annotator {f['annotator_accuracy']}; seconds {f['seconds']}")
    table = [(part, path, f) for part, path, f in found if f.get("task") in ("dpo", "score", "torch dpo", "torch score")
             and part.split()[0] in ("dpo", "lora", "score") and "refused" not in f]
    if table:
        lines += ["", "| What | Program | Storage | Batch | Pairs/s | Median step | First step | Peak |", "|---|---|---|---|---|---|---|---|"]
    for part, path, f in table:
        ms = lambda key: f"{1e3 * f[key]:.1f} ms" if key in f else ""
        peak = f"{f['peak_mib']:,.0f} MiB" if "peak_mib" in f else ""
        program = "PyTorch, TRL's batches" if path == "torch" else f"Confide, {path}"
        lines.append(f"| {part} | {program} | {f.get('precision') or f.get('dtype')} | {f['batch']} | {f['pairs_per_second']:.2f} "
                     f"| {ms('median_step_seconds')} | {ms('first_step_seconds')} | {peak} |")
    first = [(part, path, f["first_step_seconds"]) for part, path, f in found if part in ("untuned", "tuned") and "first_step_seconds" in f]
    if first:
        lines += ["", "First step: " + "; ".join(f"{path} {part} {seconds:.2f} s" for part, path, seconds in first)]
    steps = {path: f["median_step_seconds"] for part, path, f in found if part == "tuned" and "median_step_seconds" in f}
    for _, path, f in of("kernels"):
        busy, step = f["step_seconds"], steps.get(path)
        waiting = f"; a step takes {1e3 * step:.1f} ms where nothing is timed, so the device waits for {max(0.0, 100 * (1 - busy / step)):.0f} % of it" if step else ""
        lines += ["", f"Where a step's {1e3 * busy:.1f} ms of kernels go, {path}: " + ", ".join(f"{k} {100 * v:.1f} %" for k, v in f["shares"].items())
                  + waiting + "; the longest: " + ", ".join(f"`{k}` {100 * v:.1f} %".replace("|", "\\|") for k, v in list(f["names"].items())[:6])]
    for _, path, f in of("parts"):
        names = ("layers", "readout", "backward", "optimiser")
        lines += ["", f"A step in parts, each waited for, {path}, batch {f['batch']}: " + ", ".join(f"{name} {f[name + '_ms']:.1f} ms" for name in names)]
    products = of("product") + of("torch product")
    if products:
        lines += ["", "| Product | Program | Type | TFLOP/s |", "|---|---|---|---|"]
    lines += [f"| {f['m']} × {f['k']} × {f['n']} | {path} | {f.get('kind') or f.get('dtype')} | {f['tflops']:.2f} |" for _, path, f in products]
    for _, path, f in of("reported"):
        lines += ["", f"burn reports, {path}, {f['what']}: {f['value']}"]
    for _, path, f in of("frames"):
        if "error" in f:
            continue
        (a, b), (c, d) = f["layout_ms"], f["with_readback_ms"]
        lines += ["", f"Window, {f['pairs']:,} pairs on {f['adapter']}: layout {a:.1f} ms (99 %: {b:.1f}), drawn and read back {c:.1f} ms ({d:.1f})"]
    for _, path, f in of("soak"):
        lines += ["", f"Memory over {f['steps']} steps of varied lengths, {path}: {f['warm_mib']:.1f} → {f['end_mib']:.1f} MiB, "
                  f"{f['slope_mib_per_100_steps']:+.2f} MiB in 100 steps"]
    for _, path, f in of("kills"):
        lines += ["", f"{f['kills']} kills in {f['runs']} runs, {path}: {f['differ']} differ from the undisturbed run by more than 1e-4"]
    for part, path, f in found:
        if "refused" in f:
            lines += ["", f"Not possible: {part}, {path}: {f['refused']}"]
    bad = [(part, path, f["ended"]) for part, path, f in found if f.get("ended", "ok") != "ok"]
    if bad:
        lines += ["", "What came to no good end: " + "; ".join(f"{part}, {path}: {why}" for part, path, why in bad)]
    lines += ["", END]
    text = "\n".join(lines)
    print(text)
    if not results:
        return
    before = open(results, encoding="utf-8").read()
    head, rest = before.split(BEGIN, 1)
    open(results, "w", encoding="utf-8").write(head + text + rest.split(END, 1)[1])


if sys.argv[1] == "--kernels":
    kernels(sys.argv[2], sys.argv[3], int(sys.argv[4]))
else:
    main(sys.argv[1], sys.argv[2] if len(sys.argv) > 2 else "")

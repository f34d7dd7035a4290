#!/usr/bin/env python3
"""Turn the runs of compare_trl.sh into a table, print it, and put it into RESULTS.md.

    table.py RUNS RESULTS

Rows whose runs are not all there are left out.
"""
import json, platform, subprocess, sys
from importlib.metadata import version
from statistics import median

BEGIN, END = "<!-- compare_trl.sh begins -->", "<!-- compare_trl.sh ends -->"
runs = [json.loads(line) for line in open(sys.argv[1])]


def found(shape, what, batch, key):
    """What the runs that have it found; `ended`: why one came to no end."""
    same = [r["found"] for r in runs if (r["shape"], r["what"], r["batch"]) == (shape, what, batch)]
    return [run[key] for run in same if key in run]


def spread(values):
    text = f"{median(values):.3f}"
    return text if len(values) == 1 else f"{text} ({min(values):.3f} to {max(values):.3f})"


def cpu():
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            return line.split(":")[1].strip()
    return platform.processor()


lines = [BEGIN, ""]
versions = ", ".join(f"{name} {version(name)}" for name in ("torch", "transformers", "trl"))
rustc = subprocess.run(["rustc", "--version"], capture_output=True, text=True).stdout.split()[1]
cores = subprocess.run(["nproc"], capture_output=True, text=True).stdout.strip()
lines += [f"{cpu()}, {cores} cores, {platform.system()} {platform.machine()}; Confide built with Rust {rustc}; {versions}.", ""]
lines += ["| Shape | Batch | TRL | TRL, precomputed | Confide | Times the better | Peak TRL | Peak Confide | Share |", "|---|---|---|---|---|---|---|---|---|"]
shapes = list(dict.fromkeys(r["shape"] for r in runs if r["what"] == "confide dpo"))
ways = ("trl", "trl, precomputed", "trl, layers recomputed")
for shape in shapes:
    for batch in (4, 16):
        ours = found(shape, "confide dpo", batch, "pairs_per_second")
        theirs = {way: found(shape, way, batch, "pairs_per_second") for way in ways}
        failed = {way: found(shape, way, batch, "ended") for way in ways}
        if not ours or not any(theirs.values()) or not all(theirs[way] or failed[way] for way in ways[:2]):
            continue
        cells = [spread(theirs[way]) if theirs[way] else failed[way][0] for way in ways[:2]]
        if theirs[ways[2]]:
            cells[1] += f"; {spread(theirs[ways[2]])} with layers recomputed"
        theirs_peak = min(p for way in ways for p in found(shape, way, batch, "peak_rss_mib"))
        mine = max(found(shape, "confide dpo", batch, "peak_mib"))
        times = median(ours) / max(median(values) for values in theirs.values() if values)
        lines.append(f"| {shape} | {batch} | {cells[0]} | {cells[1]} | {spread(ours)} | {times:.1f} "
                     f"| {theirs_peak:,.0f} MiB | {mine:,.0f} MiB | {mine / theirs_peak:.2f} |")
lines += ["", "Scoring both sides of 16 pairs at a time, pairs per second:", "",
          "| Shape | transformers, padded | Confide | Times | Peak transformers | Peak Confide |", "|---|---|---|---|---|---|"]
for shape in shapes:
    theirs, ours = (found(shape, what, 16, "pairs_per_second") for what in ("transformers score", "confide score"))
    if not (theirs and ours):
        continue
    peaks = max(found(shape, "transformers score", 16, "peak_rss_mib")), max(found(shape, "confide score", 16, "peak_mib"))
    lines.append(f"| {shape} | {spread(theirs)} | {spread(ours)} | {median(ours) / median(theirs):.1f} | {peaks[0]:,.0f} MiB | {peaks[1]:,.0f} MiB |")
lines += ["", "Token positions computed over the least possible (each prompt once, both responses with EOS), all pairs:", "",
          "| Data | Batch 4 | Batch 16 |", "|---|---|---|"]
for data in dict.fromkeys(r["shape"] for r in runs if r["what"] == "confide positions"):
    four, sixteen = (found(data, "confide positions", batch, "positions")[0] for batch in (4, 16))
    lines.append(f"| {data} | {four:.4f} | {sixteen:.4f} |")
lines += ["", END]
text = "\n".join(lines)
print(text)
before = open(sys.argv[2]).read()
if BEGIN in before:
    head, rest = before.split(BEGIN, 1)
    after = head + text + rest.split(END, 1)[1]
else:
    after = before.rstrip() + "\n\n## Speed against TRL\n\n`benches/compare_trl.sh`\n\n" + text + "\n"
open(sys.argv[2], "w").write(after)

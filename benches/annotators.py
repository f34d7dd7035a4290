#!/usr/bin/env python3
"""How right, how sure and how slow each annotator is: one table.

  benches/annotators.py PROGRAM [--seeds 1,2,3,4,5] [--out FOLDER]
      On the built-in world: every annotator over five seeds, accuracy, ECE and AURC on held-out pairs.

  benches/annotators.py PROGRAM --model FOLDER --pairs FILE [--labelled 300] [--held-out 300] [--kinds NAME …]
      A language model as judge and as implicit reward on pairs of one's own; NAME as in the table's first column.

Runs are kept in the folder and not made again, so that a table that was interrupted goes on.
"""
import argparse
import json
import math
import pathlib
import statistics
import subprocess
import sys
import time

# What the built-in models are too small for is measured all the same.
KINDS = {
    "reward-head": ["annotator.kind=reward-head"],
    "ensemble of 3": ["annotator.kind=reward-head", "annotator.ensemble=3"],
    "implicit": ["annotator.kind=implicit"],
    "judge, yes-no": ["annotator.kind=judge", "annotator.judge=yes-no"],
    "judge, a-b": ["annotator.kind=judge", "annotator.judge=a-b"],
    "trained-judge, a-b": ["annotator.kind=trained-judge", "annotator.judge=a-b"],
    "gptscore": ["annotator.kind=gptscore"],
    "gptscore, T fitted": ["annotator.kind=gptscore", "confidence.temperature=fit"],
    "length": ["annotator.kind=length"],
    "random": ["annotator.kind=random"],
    "reward-head, T fitted": ["annotator.kind=reward-head", "confidence.temperature=fit"],
    "reward-head, gate": ["annotator.kind=reward-head", "confidence.gate=true"],
    "ensemble of 3, gate": ["annotator.kind=reward-head", "annotator.ensemble=3", "confidence.gate=true"],
    "reward-head with implicit, mean": [
        "annotator.kind=reward-head", "annotator.combine=mean", 'annotator.with=["{out}/implicit-{seed}"]'],
    "reward-head with implicit and length, Dawid–Skene": [
        "annotator.kind=reward-head", "annotator.combine=dawid-skene",
        'annotator.with=["{out}/implicit-{seed}", "length"]'],
    "reward-head with implicit, product": [
        "annotator.kind=reward-head", "annotator.combine=product", 'annotator.with=["{out}/implicit-{seed}"]'],
    "reward-head, isotonic": ["annotator.kind=reward-head", "confidence.calibration=isotonic"],
}
# The built-in models' tokenizer has a token for A and for B where a line begins, and none for Yes and No.
ASKED = 'annotator.prompt="{prompt}\\n\\nA:{response_a}\\n\\nB:{response_b}\\n\\nBetter:\\n"'
# They prefer the first place of all pairs, so that no verdict of theirs is right in both orders.
BUILT_IN = {"judge, a-b": [ASKED], "trained-judge, a-b": [ASKED, "annotator.sft_epochs=0"]}


def measure(program, out, settings, base):
    """The annotator's report of a run that ends behind its labels, and how long it took."""
    if not (out / "report.json").exists():
        words = [program, *base, "--out", str(out)]
        for setting in ["policy.epochs=0", *settings]:
            words += ["--set", setting]
        begun = time.monotonic()
        done = subprocess.run(words, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        if done.returncode != 0:
            return None, done.stderr.strip().splitlines()[-1:]
        (out / "seconds").write_text(str(time.monotonic() - begun))
    report = json.loads((out / "report.json").read_text())
    return {**report["annotator"], "wall": float((out / "seconds").read_text())}, []


def number(value):
    return float(value) if value is not None else math.nan


def cell(values, scale=1.0, digits=1):
    values = [scale * number(v) for v in values if v is not None]
    if not values:
        return "–"
    mean = statistics.fmean(values)
    spread = f" ± {statistics.stdev(values):.{digits}f}" if len(values) > 1 else ""
    return f"{mean:.{digits}f}{spread}"


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("program")
    p.add_argument("--seeds", default="1,2,3,4,5")
    p.add_argument("--out", default="annotators")
    p.add_argument("--model")
    p.add_argument("--pairs")
    p.add_argument("--labelled", type=int, default=300)
    p.add_argument("--held-out", type=int, default=300)
    p.add_argument("--kinds", nargs="*", choices=list(KINDS), metavar="NAME")
    p.add_argument("--set", action="append", default=[], dest="more")
    a = p.parse_args()
    out = pathlib.Path(a.out)
    out.mkdir(parents=True, exist_ok=True)
    base, seeds = ["demo", "--device", "cpu"], [int(seed) for seed in a.seeds.split(",")]
    common = []
    if a.model:
        all_pairs = a.labelled + a.held_out
        share = a.held_out / all_pairs
        recipe = out / "recipe.toml"
        recipe.write_text(
            f"device = 'cpu'\n[data]\nfiles = [{json.dumps(str(pathlib.Path(a.pairs).resolve()))}]\nlimit = {all_pairs}\n"
            f"held_out = {share}\nlabelled = 1.0\nmax_length = 512\n[annotator]\nmodel = {json.dumps(a.model)}\n"
            f"[policy]\nmodel = {json.dumps(a.model)}\n")
        base, seeds = ["run", str(recipe)], seeds[:1]
        common = a.more
    print("| annotator | accuracy % | ECE | AURC | seconds |\n|---|---|---|---|---|")
    for name, settings in KINDS.items():
        if a.kinds and name not in a.kinds:
            continue
        found = []
        if not a.model:
            settings = settings + BUILT_IN.get(name, [])
        for seed in seeds:
            folder = out / f"{name.replace(' ', '-').replace(',', '')}-{seed}"
            own = [s.replace("{out}", str(out.resolve())).replace("{seed}", str(seed)) for s in settings]
            report, error = measure(a.program, folder, [f"seed={seed}", *own, *common], base)
            if report is None:
                print(f"{name}, seed {seed}: {' '.join(error)}", file=sys.stderr)
                continue
            found.append(report)
        each = lambda key: [report.get(key) for report in found]
        print(f"| {name} | {cell(each('accuracy'), 100)} | {cell(each('ece'), 1, 3)} | {cell(each('aurc'), 1, 3)} | "
              f"{cell(each('wall'))} |", flush=True)


if __name__ == "__main__":
    main()

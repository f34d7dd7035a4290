#!/usr/bin/env python3
"""What is lost when a run is killed, or when power is cut: which should be nothing.

  benches/durability.py kills PROGRAM [--count 500] [--seed 0] [--device cpu|gpu] [--json]
      Kills a tiny run with SIGKILL at random moments and resumes it until it is finished, again and
      again; what comes out is compared with an undisturbed run, on the CPU to the last bit, on a
      GPU to 1e-4 of each number of a step.

  benches/durability.py cuts PROGRAM [--count 100] [--seed 0]
      As root on Linux: runs on an ext4 file system of its own, which is shut down without its log
      being flushed (what a power cut leaves), mounted again, and resumed. Stages that were told to
      be done must still be done; the end must be that of an undisturbed run.

  benches/durability.py cost PROGRAM --recipe RECIPE [--minutes 10]
      What checkpoints take of a run's time: runs the recipe for so long (with strace), and tells the time
      that passed in calls which wait for the disk, and that in which a checkpoint was being written
      beside training. Fails where the first, or what the second comes to in an hour, is more than 2 %.
"""
import argparse
import fcntl
import hashlib
import json
import os
import pathlib
import random
import re
import shutil
import signal
import struct
import subprocess
import sys
import tempfile
import time

SETTINGS = {
    "checkpoint_seconds": "0", "data.limit": "60", "data.max_length": "96",
    "annotator.epochs": "1", "annotator.batch_size": "4", "sft.epochs": "1",
    "sft.batch_size": "8", "policy.epochs": "1", "policy.batch_size": "4",
    "evaluate.samples": "2", "evaluate.max_new_tokens": "4",
}
# FS_IOC_SHUTDOWN with EXT4_GOING_FLAGS_NOLOGFLUSH.
SHUTDOWN, NO_LOG_FLUSH = 0x8004587D, 2


def begin(args, out):
    words = [args.program, "demo", "--out", str(out), "--device", args.device]
    for key, value in SETTINGS.items():
        words += ["--set", f"{key}={value}"]
    return words


def run(words, stderr=subprocess.DEVNULL):
    env = {**os.environ, "CONFIDE_CACHE": ""}
    return subprocess.Popen(words, env=env, stdout=subprocess.DEVNULL, stderr=stderr)


def steps(out):
    found = []
    for line in open(out / "events.jsonl"):
        event = json.loads(line)
        if event["event"] == "step":
            event["metrics"].pop("tokens_per_second", None)
            found.append(event)
    return found


def outcome(out):
    report = json.load(open(out / "report.json"))
    report.pop("seconds")
    files = ["policy/model.safetensors", "annotator/model.safetensors", "annotations.parquet"]
    digests = [hashlib.sha256((out / file).read_bytes()).hexdigest() for file in files]
    return {"steps": steps(out), "report": report, "files": digests}


def differs(found, calm, exact):
    if exact:
        return [key for key in calm if found[key] != calm[key]]
    wrong = []
    if len(found["steps"]) != len(calm["steps"]):
        wrong.append("number of steps")
    for one, other in zip(found["steps"], calm["steps"]):
        for name, value in other["metrics"].items():
            if abs(one["metrics"][name] - value) > 1e-4 * max(1.0, abs(value)):
                wrong.append(f"{other['stage']} {other['step']} {name}")
    return wrong


def calm(args, folder):
    out = folder / "calm"
    started = time.time()
    assert run(begin(args, out)).wait() == 0, "the undisturbed run failed"
    return outcome(out), time.time() - started


def kills(args):
    draw = random.Random(args.seed)
    folder = pathlib.Path(tempfile.mkdtemp())
    wanted, seconds = calm(args, folder)
    print(f"undisturbed: {seconds:.2f} s, {len(wanted['steps'])} steps", flush=True)
    killed, runs, bad = 0, 0, []
    where = {}
    while killed < args.count:
        out = folder / "run"
        shutil.rmtree(out, ignore_errors=True)
        words = begin(args, out)
        while True:
            process = run(words)
            try:
                code = process.wait(timeout=draw.uniform(0.02, seconds))
                if code == 0:
                    break
                bad.append((runs, f"exit {code}"))
                break
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
                process.wait()
                killed += 1
                log = out / "events.jsonl"
                last = (log.read_bytes().splitlines() or [b""])[-1] if log.exists() else b""
                kind = json.loads(last).get("event") if last.endswith(b"}") else "torn or none"
                where[kind] = where.get(kind, 0) + 1
            words = begin(args, out)
            if (out / "recipe.toml").exists():
                words = [args.program, "resume", str(out)]
            if (out / "report.json").exists():
                break
        runs += 1
        if (out / "report.json").exists():
            wrong = differs(outcome(out), wanted, args.device == "cpu")
            if wrong:
                bad.append((runs, wrong[:5]))
        else:
            bad.append((runs, "no report"))
    if args.json:
        print(json.dumps({"task": "kills", "kills": killed, "runs": runs, "differ": len(bad), "first": bad[:5],
                          "undisturbed_seconds": seconds, "last_event": where}), flush=True)
    print(f"{killed} kills in {runs} runs ({args.device}); last event told before: {where}")
    print(f"runs that differ from the undisturbed one: {len(bad)} {bad[:5]}")
    return not bad


def cuts(args):
    draw = random.Random(args.seed)
    folder = pathlib.Path(tempfile.mkdtemp())
    wanted, seconds = calm(args, folder)
    print(f"undisturbed: {seconds:.2f} s", flush=True)
    image, mount = folder / "disk.img", folder / "mount"
    mount.mkdir()
    bad, where = [], {}
    for i in range(args.count):
        with open(image, "wb") as file:
            file.truncate(256 << 20)
        subprocess.run(["mkfs.ext4", "-q", "-F", image], check=True)
        subprocess.run(["mount", "-o", "loop", image, mount], check=True)
        out, told = mount / "run", folder / "told"
        # Every tenth is cut just after it has finished.
        after_end = i % 10 == 9
        with open(told, "wb") as stderr:
            process = run(begin(args, out), stderr)
        try:
            process.wait(timeout=60 if after_end else draw.uniform(0.02, 1.1 * seconds))
        except subprocess.TimeoutExpired:
            pass
        fd = os.open(mount, os.O_RDONLY)
        fcntl.ioctl(fd, SHUTDOWN, struct.pack("I", NO_LOG_FLUSH))
        os.close(fd)
        process.kill()
        process.wait()
        done = [line.split()[0] for line in open(told) if " done in " in line]
        finished = after_end
        subprocess.run(["umount", mount], check=True)
        subprocess.run(["mount", "-o", "loop", image, mount], check=True)
        kept = []
        if (out / "state.json").exists():
            kept = [stage["stage"] for stage in json.load(open(out / "state.json"))["done"]]
        # The stage that was told last may have been told just before its state was written.
        lost = [stage for stage in done[:-1] if stage not in kept]
        where[len(kept)] = where.get(len(kept), 0) + 1
        if lost:
            bad.append((i, f"lost {lost}"))
        if finished and not (out / "report.json").exists():
            bad.append((i, "a finished run is lost"))
        words = [args.program, "resume", str(out)]
        if not (out / "recipe.toml").exists():
            words = begin(args, out)
        if not (out / "report.json").exists():
            process = subprocess.run(words, env={**os.environ, "CONFIDE_CACHE": ""},
                                     capture_output=True, text=True)
            if process.returncode != 0:
                bad.append((i, process.stderr[-300:]))
        if (out / "report.json").exists():
            wrong = differs(outcome(out), wanted, True)
            if wrong:
                bad.append((i, wrong))
        subprocess.run(["umount", mount], check=True)
    print(f"{args.count} cuts; stages kept: {dict(sorted(where.items()))}")
    print(f"runs that lost or differ: {len(bad)} {bad[:5]}")
    return not bad


def cost(args):
    folder = pathlib.Path(tempfile.mkdtemp())
    trace, out = folder / "trace", folder / "run"
    calls = "trace=openat,fsync,fdatasync,rename,renameat,renameat2"
    words = ["strace", "-f", "-qq", "--seccomp-bpf", "-ttt", "-T", "-e", calls, "-o", str(trace),
             args.program, "run", args.recipe, "--out", str(out)]
    process = run(words)
    time.sleep(args.minutes * 60)
    # strace itself hears no such signal; its only child is the run.
    for child in open(f"/proc/{process.pid}/task/{process.pid}/children").read().split():
        os.kill(int(child), signal.SIGTERM)
    process.wait()
    steps = sum(json.loads(line)["event"] == "step" for line in open(out / "events.jsonl"))
    waits, threads, writers = [], {}, set()
    for line in open(trace):
        thread, at, call = line.split(maxsplit=2)
        # A call that another thread's interrupts is told twice, and its time when it resumes.
        told = re.search(r"<(\d+\.\d+)>$", call)
        taken = float(told.group(1)) if told else 0.0
        if "sync" in call:
            waits.append(taken)
            writers.add(thread)
        begun, _ = threads.get(thread, (float(at), 0.0))
        threads[thread] = (begun, float(at) + taken)
    # The thread that trains lives as long as the run; each of those that wait for the disk beside it writes one
    # checkpoint.
    whole = max(end for _, end in threads.values()) - min(begun for begun, _ in threads.values())
    lives = sorted(threads[thread] for thread in writers)
    lives = [(begun, end) for begun, end in lives if end - begun < 0.5 * whole]
    size = sum(file.stat().st_size for file in newest(out).iterdir())
    writing = sum(end - begun for begun, end in lives)
    print(f"{whole:.0f} s, {steps} steps, {len(lives)} checkpoints of {size / 2**20:.0f} MiB, begun after "
          f"{[round(begun - lives[0][0]) for begun, _ in lives]} s")
    # The one at the end comes early: an hour has as many as the intervals between the others tell, and that one.
    others = [begun for begun, _ in lives[:-1]]
    interval = (others[-1] - others[0]) / (len(others) - 1) if len(others) > 1 else whole
    hour = (3600 / interval + 1) * writing / max(len(lives), 1) / 3600
    shares = {"waiting for the disk": sum(waits) / whole, "a checkpoint being written": writing / whole,
              "the same in an hour": hour}
    for what, share in shares.items():
        print(f"{what}: {100 * share:.3f} % of the time")
    return shares["waiting for the disk"] <= 0.02 and shares["the same in an hour"] <= 0.02


def newest(out):
    return max((out / "checkpoints").iterdir(), key=lambda folder: folder.stat().st_mtime)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("kind", choices=["kills", "cuts", "cost"])
    parser.add_argument("program")
    parser.add_argument("--count", type=int)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--recipe")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    args.program = str(pathlib.Path(args.program).absolute())
    args.count = args.count or {"kills": 500, "cuts": 100}.get(args.kind)
    sys.exit(0 if {"kills": kills, "cuts": cuts, "cost": cost}[args.kind](args) else 1)


main()

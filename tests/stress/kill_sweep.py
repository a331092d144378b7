#!/usr/bin/env python3
"""Kills a sweep at random moments and compares its results with those of an undisturbed run.

Runs a sweep of trivial trials once without disturbance. Then runs it in another folder and sends
SIGKILL at random moments to the runner, to a trial, to both, or to the program that forks the
trials, until all kills are spent. A runner that is gone is started again; it runs trials again that
a kill made fail. At the end every trial must have exactly one successful result, with the outputs
and rows of the undisturbed run, and no file may be truncated.

Usage: tests/stress/kill_sweep.py [--offmodel target/debug/offmodel] [--kills 500] [--trials 200] [--seed 1]
Prints one JSON object; exits with 1 if anything differs.
"""

import argparse
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

# A start of the runner takes about 0.4 s; some kills come before its first trial.
LONGEST_WAIT = 0.9


def main():
    repository = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--offmodel", type=Path, default=repository / "target/debug/offmodel")
    parser.add_argument("--kills", type=int, default=500)
    parser.add_argument("--trials", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    chance = random.Random(arguments.seed)
    with tempfile.TemporaryDirectory(prefix="offmodel-kill-") as folder:
        folder = Path(folder)
        os.environ.setdefault("OFFMODEL_CACHE", str(folder / "cache"))
        write_sweep(folder, arguments.trials)
        sweep = [str(arguments.offmodel.resolve()), "sweep", "s.toml", "--workers", "2", "--runs"]
        subprocess.run([*sweep, "quiet"], cwd=folder, check=True, capture_output=True)
        begun = time.perf_counter()
        kills, starts, whole = disturb([*sweep, "killed"], folder, arguments.kills, chance)
        # The rest of the trials, without disturbance.
        last = subprocess.run([*sweep, "killed"], cwd=folder, capture_output=True, text=True)
        expected, _ = results_of(folder / "quiet/s")
        found, problems = results_of(folder / "killed/s")
        if last.returncode != 0:
            problems.append(f"the last run exits with {last.returncode}: {last.stderr[-500:]}")
        if found != expected:
            problems.append("the results differ from the undisturbed run")
        if len(found) != arguments.trials:
            problems.append(f"{len(found)} trials have a result, expected {arguments.trials}")
        report = {
            "kills": kills,
            "starts": starts,
            "rounds_finished_and_begun_anew": whole,
            "trials": len(found),
            "seconds": round(time.perf_counter() - begun, 1),
            "problems": problems,
        }
    print(json.dumps(report, indent=2))
    sys.exit(1 if problems else 0)


def disturb(sweep, folder, count, chance):
    """Kills until all kills are spent. A sweep that ends before is checked and started anew."""
    kills = {"runner": 0, "trial": 0, "both": 0, "server": 0}
    starts = whole = 0
    runner = None
    while sum(kills.values()) < count:
        if runner is None or runner.poll() is not None:
            if runner is not None and runner.returncode == 0:
                _, problems = results_of(folder / "killed/s")
                if problems:
                    return kills, starts, whole
                shutil.rmtree(folder / "killed")
                whole += 1
            runner = subprocess.Popen(
                sweep, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            starts += 1
        time.sleep(chance.uniform(0.0, LONGEST_WAIT))
        if runner.poll() is not None:
            continue
        target = chance.choice(sorted(kills))
        processes = {"runner": [runner.pid], "server": children(runner.pid)}.get(
            target, trial_processes(runner.pid)
        )
        if not processes:
            continue
        kill(chance.choice(processes))
        if target == "both":
            kill(runner.pid)
        if target in ("runner", "both"):
            runner.wait()
        kills[target] += 1
    if runner.poll() is None:
        runner.kill()
        runner.wait()
    return kills, starts, whole


def trial_processes(runner):
    """The grandchildren of the runner: attempts that the compiled program forked."""
    return [trial for server in children(runner) for trial in children(server)]


def children(process):
    found = []
    for task in Path(f"/proc/{process}/task").glob("*/children"):
        try:
            found += [int(child) for child in task.read_text().split()]
        except OSError:
            pass
    return found


def kill(process):
    try:
        os.kill(process, signal.SIGKILL)
    except ProcessLookupError:
        pass


def results_of(sweep):
    """The outputs and rows of each trial, and the problems found."""
    results, problems = {}, []
    for trial in sorted(sweep.glob("trial-*")):
        succeeded = []
        for path in sorted(trial.glob("attempt-*/result.json")):
            result = json.loads(path.read_text())
            if result["status"] == "succeeded":
                succeeded.append(path.parent)
        if len(succeeded) != 1:
            problems.append(f"{trial.name} has {len(succeeded)} results that succeeded")
            continue
        (attempt,) = succeeded
        notebook = json.loads((attempt / "out.ipynb").read_text())
        results[trial.name] = (
            [cell.get("outputs") for cell in notebook["cells"]],
            (attempt / "result.parquet").read_bytes(),
        )
    return json.loads(json.dumps(results, default=bytes.hex)), problems


def write_sweep(folder, trials):
    sources = [
        "let x: i64 = 0;",
        'sleep(std::time::Duration::from_millis(10))?;\n'
        'let frame = df!("x" => [x], "square" => [x * x])?;\nrecord("result", &frame)?;\nx * x',
    ]
    cells = [
        {
            "cell_type": "code",
            "id": f"cell-{index}",
            "metadata": {"tags": ["parameters"]} if index == 0 else {},
            "source": source,
            "outputs": [],
            "execution_count": None,
        }
        for index, source in enumerate(sources)
    ]
    kernel = {"name": "offmodel", "display_name": "Rust (offmodel)", "language": "rust"}
    notebook = {
        "cells": cells,
        "metadata": {"kernelspec": kernel},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    (folder / "n.ipynb").write_text(json.dumps(notebook))
    values = ", ".join(str(value) for value in range(trials))
    (folder / "s.toml").write_text(
        f'version = 1\nnotebook = "n.ipynb"\n[grid]\nx = [{values}]\n'
    )


if __name__ == "__main__":
    main()

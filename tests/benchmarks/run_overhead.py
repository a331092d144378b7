#!/usr/bin/env python3
"""Measures what the runner adds to the time of the compiled programs.

- `offmodel run` on a notebook of one trivial cell (compiled before) against the compiled program
  on the same attempt, in turns so that both share the machine's load: the difference of the
  medians must be at most 100 ms;
- a sweep of trivial trials with 2 workers: wall-clock time per trial, without the start of the
  runner, which must be at most 20 ms.

Usage: tests/benchmarks/run_overhead.py [--offmodel target/debug/offmodel] [--repeats 15] [--trials 500]
Prints one JSON object; exits with 1 if a limit is exceeded.
"""

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RUN_LIMIT = 0.100
TRIAL_LIMIT = 0.020


def main():
    repository = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--offmodel", type=Path, default=repository / "target/debug/offmodel")
    parser.add_argument("--repeats", type=int, default=15)
    parser.add_argument("--trials", type=int, default=500)
    arguments = parser.parse_args()
    offmodel = str(arguments.offmodel.resolve())
    with tempfile.TemporaryDirectory(prefix="offmodel-bench-") as folder:
        folder = Path(folder)
        os.environ["OFFMODEL_CACHE"] = str(folder / "cache")
        measured = measure_run(offmodel, folder, arguments.repeats)
        measured |= measure_sweep(offmodel, folder, arguments.trials)
    print(json.dumps(measured, indent=2))
    exceeded = (
        measured["run_overhead_s"] > RUN_LIMIT or measured["sweep_per_trial_s"] > TRIAL_LIMIT
    )
    sys.exit(1 if exceeded else 0)


def measure_run(offmodel, folder, repeats):
    write_notebook(folder / "one.ipynb", ["1 + 1"])
    run = [offmodel, "run", "one.ipynb", "-o", "out.ipynb"]
    timed(run, folder)  # compiles
    (program,) = (folder / "cache/programs").glob("*/program")
    attempt = folder / "attempt"
    attempt.mkdir()
    (attempt / "spec.json").write_text('{"version": 1, "parameters": {}}')
    alone = [str(program), "--attempt", str(attempt)]
    timed(alone, folder)
    pairs = [(timed(alone, folder), timed(run, folder)) for _ in range(repeats)]
    program_alone = statistics.median(pair[0] for pair in pairs)
    with_runner = statistics.median(pair[1] for pair in pairs)
    return {
        "program_alone_s": program_alone,
        "offmodel_run_s": with_runner,
        "run_overhead_s": with_runner - program_alone,
    }


def measure_sweep(offmodel, folder, trials):
    cell = {"tags": ["parameters"]}
    write_notebook(folder / "trivial.ipynb", ["let i: u64 = 0;", "i * 2"], [cell, {}])
    durations = {}
    for count in (1, trials):
        values = ", ".join(str(value) for value in range(count))
        (folder / "sweep.toml").write_text(
            f'version = 1\nnotebook = "trivial.ipynb"\n[grid]\ni = [{values}]\n'
        )
        command = [offmodel, "sweep", "sweep.toml", "--workers", "2"]
        timed(command, folder)  # compiles, and warms the disk
        shutil.rmtree(folder / "runs")
        durations[count] = timed(command, folder)
        shutil.rmtree(folder / "runs")
    return {
        "trials": trials,
        "sweep_of_one_s": durations[1],
        "sweep_s": durations[trials],
        "sweep_per_trial_s": (durations[trials] - durations[1]) / (trials - 1),
    }


def timed(command, folder):
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - start


def write_notebook(path, sources, metadata=None):
    metadata = metadata or [{} for _ in sources]
    cells = [
        {
            "cell_type": "code",
            "id": f"cell-{index}",
            "metadata": metadata[index],
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
    path.write_text(json.dumps(notebook))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Measures time and memory of a large sweep, and of `offmodel status`, beside papermill.

- a sweep of many trivial trials with 2 workers: time, trials per minute, and the most memory that
  the runner itself held (its `VmHWM`), which must be under 4 minutes and 300 MB for 10,000;
- `offmodel status` of that sweep, as text and as JSON, and the sweep again with nothing to do;
  status must take less than 1 s;
- with --papermill PYTHON (an environment with tests/requirements.txt): an equal trivial notebook
  with `papermill` and `ipykernel`, in 2 processes that stay, before and after the sweep; offmodel
  must do at least 50 times as many trials per minute.

Usage: tests/benchmarks/sweep.py [--offmodel target/debug/offmodel] [--trials 10000]
                            [--papermill VENV/bin/python] [--papermill-trials 20]
Prints one JSON object; exits with 1 if a limit is exceeded.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

WORKERS = 2
SWEEP_LIMIT = 240.0
MEMORY_LIMIT = 300e6
STATUS_LIMIT = 1.0
TIMES_PAPERMILL = 50

PAPERMILL = """
import sys, logging, papermill
logging.disable(logging.CRITICAL)
first, count, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
for i in range(first, first + count):
    papermill.execute_notebook(
        f"{folder}/python.ipynb", f"{folder}/out-{i}.ipynb", parameters={"i": i},
        progress_bar=False, kernel_name="python3",
    )
"""


def main():
    repository = Path(__file__).resolve().parents[2]
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--offmodel", type=Path, default=repository / "target/debug/offmodel")
    parser.add_argument("--trials", type=int, default=10_000)
    parser.add_argument("--papermill", type=Path)
    parser.add_argument("--papermill-trials", type=int, default=20)
    arguments = parser.parse_args()
    offmodel = str(arguments.offmodel.resolve())
    with tempfile.TemporaryDirectory(prefix="offmodel-bench-") as folder:
        folder = Path(folder)
        os.environ["OFFMODEL_CACHE"] = str(folder / "cache")
        papermill = []
        if arguments.papermill:
            write_notebook(folder / "python.ipynb", ["i = 0", "i * 2"], "python3", "python")
            papermill.append(run_papermill(arguments, folder))
        measured = measure_sweep(offmodel, folder, arguments.trials)
        if arguments.papermill:
            papermill.append(run_papermill(arguments, folder))
            per_minute = 60 * arguments.papermill_trials / statistics.mean(papermill)
            measured |= {
                "papermill_trials_per_minute": round(per_minute, 1),
                "times_papermill": round(measured["trials_per_minute"] / per_minute, 1),
            }
    print(json.dumps(measured, indent=2))
    exceeded = (
        measured["sweep_s"] > SWEEP_LIMIT
        or measured["runner_peak_bytes"] > MEMORY_LIMIT
        or measured["status_s"] > STATUS_LIMIT
        or measured.get("times_papermill", TIMES_PAPERMILL) < TIMES_PAPERMILL
    )
    sys.exit(1 if exceeded else 0)


def measure_sweep(offmodel, folder, trials):
    write_notebook(folder / "rust.ipynb", ["let i: u64 = 0;", "i * 2"], "offmodel", "rust")
    command = [offmodel, "sweep", "s.toml", "--workers", str(WORKERS)]
    # Compiles.
    write_sweep(folder, 1, "warm")
    timed(command, folder)
    write_sweep(folder, trials, "s")
    start = time.perf_counter()
    runner = subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    peak = PeakMemory(runner)
    if runner.wait() != 0:
        sys.exit(f"the sweep ended with exit code {runner.returncode}")
    seconds = time.perf_counter() - start
    status = [offmodel, "status", "runs/s"]
    return {
        "trials": trials,
        "workers": WORKERS,
        "sweep_s": round(seconds, 2),
        "per_trial_ms": round(1000 * seconds / trials, 2),
        "trials_per_minute": round(60 * trials / seconds),
        "runner_peak_bytes": peak.bytes(),
        "status_s": round(median_of(5, status, folder), 3),
        "status_json_s": round(median_of(5, [*status, "--json"], folder), 3),
        "nothing_to_do_s": round(median_of(3, command, folder), 3),
    }


class PeakMemory:
    """Polls the peak memory of a process until it ends."""

    def __init__(self, process):
        self.process = process
        self.peak = 0
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()

    def watch(self):
        while self.process.poll() is None:
            try:
                for line in Path(f"/proc/{self.process.pid}/status").read_text().splitlines():
                    if line.startswith("VmHWM:"):
                        self.peak = 1024 * int(line.split()[1])
            except OSError:
                return
            time.sleep(0.02)

    def bytes(self):
        self.thread.join()
        return self.peak


def run_papermill(arguments, folder):
    """Seconds for all trials, with the start of a kernel for each."""
    share = arguments.papermill_trials // WORKERS
    start = time.perf_counter()
    workers = [
        subprocess.Popen(
            [str(arguments.papermill), "-c", PAPERMILL, str(share * n), str(share), str(folder)],
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        for n in range(WORKERS)
    ]
    if any(worker.wait() != 0 for worker in workers):
        sys.exit("papermill failed")
    return time.perf_counter() - start


def median_of(repeats, command, folder):
    return statistics.median(timed(command, folder) for _ in range(repeats))


def timed(command, folder):
    start = time.perf_counter()
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return time.perf_counter() - start


def write_sweep(folder, trials, name):
    values = ", ".join(str(value) for value in range(trials))
    (folder / "s.toml").write_text(
        f'version = 1\nname = "{name}"\nnotebook = "rust.ipynb"\n[grid]\ni = [{values}]\n'
    )


def write_notebook(path, sources, kernel, language):
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
    kernelspec = {"name": kernel, "display_name": kernel, "language": language}
    notebook = {
        "cells": cells,
        "metadata": {"kernelspec": kernelspec},
        "nbformat": 4,
        "nbformat_minor": 5,
    }
    path.write_text(json.dumps(notebook))


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Times the live kernel: to its first cell, to its first frame, and for each cell of a notebook of
twenty, beside `rustc` alone on a polars cell in the same run.

    cargo build --workspace
    venv/bin/pip install -r tests/requirements.txt
    venv/bin/python tests/benchmarks/cells.py [--kernels 3] [--rounds 3]

The start is measured for one kernel, and for `--kernels` that start at the same time. Times are
those of the front end, from sending a request until the kernel is idle again. Prints one JSON
object.
"""

import argparse
import json
import pathlib
import statistics
import subprocess
import tempfile
import threading
import time

from jupyter_client.manager import KernelManager

ROOT = pathlib.Path(__file__).resolve().parents[2]
FRAME = 'df!("level" => [1i64, 1, 2, 2], "score" => [0.5, 1.0, 0.0, 0.25])?'
CELLS = [
    f"let frame = {FRAME};\nframe",
    'let means = frame.clone().lazy().group_by_stable([col("level")])'
    '.agg([col("score").mean()]).collect()?;\nmeans',
    "let total: f64 = frame.column(\"score\")?.f64()?.sum().unwrap_or(0.0);\ntotal",
    "#[derive(Debug, Clone)]\nstruct Trial { seed: u64, score: f64 }",
    "let trials: Vec<Trial> = (0..8).map(|seed| Trial { seed, score: seed as f64 / 8.0 }).collect();\n"
    "trials.len()",
    "let best = trials.iter().max_by(|a, b| a.score.total_cmp(&b.score)).cloned();\nbest",
    "fn mean(values: &[f64]) -> f64 { values.iter().sum::<f64>() / values.len() as f64 }",
    "mean(&trials.iter().map(|trial| trial.score).collect::<Vec<_>>())",
    'let student = Model::load("smollm2")?;',
    "student",
    'let chats = vec![Chat::user("What is 2 + 2?")];\nchats.len()',
    "let answers = student.generate(&chats, &Sampling::greedy().max_new_tokens(1))?;\n"
    "answers[0].text.clone()",
    "let weights = Tensor::randn([4, 4], (Kind::Float, Device::Cpu));\nweights",
    "let product = weights.matmul(&weights.transpose(0, 1));\nproduct.size()",
    "let scale = 2.0;\nlet scaled: Vec<f64> = trials.iter().map(|trial| scale * trial.score).collect();\nscaled",
    'heatmap(&frame.clone().lazy().with_column(lit("a").alias("data")).unique(None, '
    'UniqueKeepStrategy::First).group_by_stable([col("data"), col("level")])'
    '.agg([col("score").mean()]).collect()?, &HeatmapAxes::new("data", "level", "score"))?',
    'line_plot(&frame.clone().lazy().with_row_index("step", None).with_column(col("step")'
    '.cast(DataType::Float64)).collect()?, &LineAxes::new("step", "score"))?',
    "for trial in &trials { println!(\"{} {:.2}\", trial.seed, trial.score); }",
    "let mut count = 0;\nfor _ in 0..10 { count += 1; }\ncount",
    "count += 1;\ncount",
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kernels", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    starts, cells, bare, memory, idle = [], [], [], [], []
    for _ in range(options.rounds):
        bare.append(bare_rustc())
        kernel = Kernel()
        starts.append(kernel.start())
        idle.append(sum(megabytes(pid) for pid in kernel.processes()))
        cells += [kernel.run(cell) for cell in CELLS]
        memory.append(megabytes(kernel.processes()[0]))
        kernel.stop()
    together = start_together(options.kernels)
    ordered = sorted(cells)
    report = {
        "ready_s": spread([start[0] for start in starts]),
        "first_frame_s": spread([start[1] for start in starts]),
        f"ready_of_{options.kernels}_s": spread([start[0] for start in together]),
        f"first_frame_of_{options.kernels}_s": spread([start[1] for start in together]),
        "cells": len(cells),
        "cell_median_s": round(statistics.median(cells), 3),
        "cell_95th_percentile_s": round(ordered[int(0.95 * (len(ordered) - 1))], 3),
        "bare_rustc_polars_s": spread(bare),
        "idle_megabytes_with_child": max(idle),
        "kernel_megabytes": max(memory),
    }
    print(json.dumps(report, indent=2))


def spread(values):
    return {"median": round(statistics.median(values), 3), "most": round(max(values), 3)}


class Kernel:
    """A kernel with its front end."""

    def start(self):
        """Starts it; returns the seconds until the first cell has run, and until a frame is shown."""
        started = time.monotonic()
        self.manager = KernelManager(kernel_name="offmodel")
        self.manager.start_kernel()
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=120)
        self.run("1 + 1")
        ready = time.monotonic() - started
        self.run(FRAME)
        return ready, time.monotonic() - started

    def run(self, code):
        started = time.monotonic()
        reply = self.client.execute_interactive(code, timeout=120, output_hook=lambda _: None)
        if reply["content"]["status"] != "ok":
            raise RuntimeError(f"{code}\n{reply['content']}")
        return time.monotonic() - started

    def processes(self):
        """The process ids of the kernel and of its descendants, such as the child that runs the cells."""
        pids = [self.manager.provisioner.pid]
        for pid in pids:
            for task in pathlib.Path(f"/proc/{pid}/task").iterdir():
                pids += [int(child) for child in (task / "children").read_text().split()]
        return pids

    def stop(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


def megabytes(pid):
    """The resident memory of a process in MiB."""
    status = pathlib.Path(f"/proc/{pid}/status").read_text()
    line = next(line for line in status.splitlines() if line.startswith("VmRSS:"))
    return int(line.split()[1]) // 1024


def start_together(count):
    kernels = [Kernel() for _ in range(count)]
    times = [None] * count

    def start(index):
        times[index] = kernels[index].start()

    threads = [threading.Thread(target=start, args=[index]) for index in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for kernel in kernels:
        kernel.stop()
    return times


def bare_rustc():
    """Seconds of `rustc` alone, with its default linker, on a cell with a frame and a query."""
    target = ROOT / "target" / "debug"
    source = (
        "use offmodel::prelude::*;\n"
        f"#[unsafe(no_mangle)] pub fn cell() -> PolarsResult<DataFrame> {{ let frame = {FRAME};"
        ' frame.lazy().group_by([col("level")]).agg([col("score").mean()]).collect() }\n'
    )
    # The prelude links tch's and libtorch's libraries, which set-up recorded.
    record = (ROOT / ".cargo" / "libtorch.toml").read_text()
    libtorch = record.split("native=")[1].split('"')[0]
    with tempfile.TemporaryDirectory() as folder:
        path = pathlib.Path(folder) / "cell.rs"
        path.write_text(source)
        command = [
            "rustc", "--edition=2024", "--crate-type=cdylib", "-Copt-level=0",
            "--sysroot", target / "cell-sysroot", "--extern", f"offmodel={target / 'liboffmodel.so'}",
            "-L", f"dependency={target / 'deps'}", "-L", f"native={libtorch}",
            "-o", pathlib.Path(folder) / "cell.so", path,
        ]  # fmt: skip
        started = time.monotonic()
        subprocess.run(command, check=True, capture_output=True, cwd=ROOT)
        return time.monotonic() - started


if __name__ == "__main__":
    main()

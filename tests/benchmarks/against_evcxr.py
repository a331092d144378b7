#!/usr/bin/env python3
"""Times the same cells in offmodel's kernel and in evcxr_jupyter with `:dep polars`.

    cargo build --workspace
    cargo install evcxr_jupyter --version 0.22.0 --locked --root FOLDER
    venv/bin/pip install -r tests/requirements.txt
    venv/bin/python tests/benchmarks/against_evcxr.py FOLDER/bin/evcxr_jupyter [--rounds 3]

evcxr compiles polars in its first cell (ten minutes on two cores), which is reported apart. After
that, each cell runs in one kernel and then in the other, so that both share the machine's load.
Times are those of the front end, from sending a request until the kernel is idle again. Prints one
JSON object.
"""

import argparse
import json
import pathlib
import statistics
import tempfile
import time

from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import KernelManager

POLARS = ':dep polars = { version = "0.55.2", features = ["lazy"] }\nuse polars::prelude::*;'
# Features of both kernels only: evcxr keeps neither closures nor the variables of a failed cell.
CELLS = [
    'let frame = df!("level" => [1i64, 1, 2, 2], "score" => [0.5, 1.0, 0.0, 0.25])?;',
    "frame.clone()",
    'let means = frame.clone().lazy().group_by_stable([col("level")])'
    '.agg([col("score").mean()]).collect()?;',
    "means.clone()",
    'let total: f64 = frame.column("score")?.f64()?.sum().unwrap_or(0.0);\ntotal',
    "#[derive(Debug, Clone)]\npub struct Trial { pub seed: u64, pub score: f64 }",
    "let trials: Vec<Trial> = (0..8).map(|seed| Trial { seed, score: seed as f64 / 8.0 }).collect();\n"
    "trials.len()",
    "let best = trials.iter().max_by(|a, b| a.score.total_cmp(&b.score)).cloned();\nbest.clone()",
    "pub fn mean(values: &[f64]) -> f64 { values.iter().sum::<f64>() / values.len() as f64 }",
    "mean(&trials.iter().map(|trial| trial.score).collect::<Vec<_>>())",
    "let scale = 2.0;\nlet scaled: Vec<f64> = trials.iter().map(|trial| scale * trial.score).collect();\n"
    "scaled.clone()",
    'let sorted = frame.clone().lazy().sort(["score"], Default::default()).collect()?;\nsorted.clone()',
    'let filtered = frame.clone().lazy().filter(col("score").gt(lit(0.1))).collect()?;\nfiltered.height()',
    'let wide = frame.clone().lazy().with_column((col("score") * lit(2.0)).alias("double")).collect()?;\n'
    "wide.width()",
    'let series: Series = Series::new("n".into(), [1i64, 2, 3]);\nseries.clone()',
    'let joined = frame.clone().lazy().join(means.clone().lazy(), [col("level")], [col("level")], '
    "JoinArgs::new(JoinType::Inner)).collect()?;\njoined.shape()",
    "for trial in &trials { println!(\"{} {:.2}\", trial.seed, trial.score); }",
    'let labels: Vec<String> = trials.iter().map(|trial| format!("seed {}", trial.seed)).collect();\n'
    "labels.join(\", \")",
    "let mut count = 0;\nfor _ in 0..10 { count += 1; }\ncount",
    "count += 1;\ncount",
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("evcxr")
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        specs = evcxr_specs(folder, options.evcxr)
        ours = Kernel("offmodel", KernelSpecManager())
        theirs = Kernel("evcxr", specs)
        first_of_ours = ours.run(CELLS[0])
        first_of_theirs = theirs.run(POLARS)
        cells = []
        for _ in range(options.rounds):
            cells += [(ours.run(cell), theirs.run(cell)) for cell in CELLS]
        ours.stop()
        theirs.stop()
    report = {
        "ready_s": {"offmodel": ours.ready, "evcxr": theirs.ready},
        "first_cell_s": {"offmodel": first_of_ours, "evcxr": first_of_theirs},
        "cells": len(cells),
        "median_s": both(cells, statistics.median),
        "95th_percentile_s": both(cells, lambda times: sorted(times)[int(0.95 * (len(times) - 1))]),
        "ratio_of_each_cell": {
            "median": statistics.median(theirs / ours for ours, theirs in cells),
            "least": min(theirs / ours for ours, theirs in cells),
        },
    }
    print(json.dumps(rounded(report), indent=2))


def both(cells, statistic):
    ours, theirs = (statistic(times) for times in zip(*cells))
    return {"offmodel": ours, "evcxr": theirs, "ratio": theirs / ours}


def rounded(value):
    if isinstance(value, dict):
        return {key: rounded(inner) for key, inner in value.items()}
    return round(value, 3) if isinstance(value, float) else value


def evcxr_specs(folder, evcxr):
    """A manager whose only kernelspec is evcxr's, as its own `--install` writes it."""
    spec = pathlib.Path(folder) / "kernels" / "evcxr"
    spec.mkdir(parents=True)
    kernel = {
        "argv": [str(pathlib.Path(evcxr).resolve()), "--control_file", "{connection_file}"],
        "display_name": "Rust (evcxr)",
        "language": "rust",
        "interrupt_mode": "message",
    }
    (spec / "kernel.json").write_text(json.dumps(kernel))
    return KernelSpecManager(kernel_dirs=[str(spec.parent)], ensure_native_kernel=False)


class Kernel:
    """A kernel with its front end; `ready` is the time from its start to its first reply, in seconds."""

    def __init__(self, name, specs):
        started = time.monotonic()
        self.manager = KernelManager(kernel_name=name, kernel_spec_manager=specs)
        self.manager.start_kernel()
        self.client = self.manager.client()
        self.client.start_channels()
        self.client.wait_for_ready(timeout=120)
        self.ready = time.monotonic() - started

    def run(self, code):
        started = time.monotonic()
        reply = self.client.execute_interactive(code, timeout=3600, output_hook=lambda _: None)
        if reply["content"]["status"] != "ok":
            raise RuntimeError(f"{code}\n{reply['content']}")
        return time.monotonic() - started

    def stop(self):
        self.client.stop_channels()
        self.manager.shutdown_kernel(now=True)


if __name__ == "__main__":
    main()

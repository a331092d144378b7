#!/usr/bin/env python3
"""Kills the process that runs the cells, or interrupts the kernel, at random moments.

After each fault the kernel must run the next cell, and after an interrupt with the variables that
it had.

    venv/bin/python tests/stress/kernel.py [--kills 200] [--interrupts 200] [--seed 1]

Prints one JSON object; exits with 1 at the first cell without the right result.
"""

import argparse
import json
import os
import pathlib
import queue
import random
import signal
import sys
import time

from jupyter_client.manager import KernelManager

# Cells in which the faults happen: they sleep in offmodel, print, compute in polars and torch, or
# take long to compile.
CELLS = [
    "sleep(std::time::Duration::from_secs(5))?;",
    "for step in 0..50 { println!(\"{step}\"); sleep(std::time::Duration::from_millis(20))?; }",
    "let wide = df!(\"x\" => (0..200_000i64).collect::<Vec<_>>())?;\nwide.clone().lazy().select([col(\"x\").sum()]).collect()?",
    "for _ in 0..100 { let a = Tensor::randn([200, 200], (Kind::Float, Device::Cpu)); let _b = a.matmul(&a); offmodel::prelude::sleep(std::time::Duration::from_millis(5))?; }",
    "struct Big { values: Vec<f64> }\nlet big = Big { values: vec![0.5; 1_000_000] };\nbig.values.len()",
]


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--kills", type=int, default=200)
    parser.add_argument("--interrupts", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args()
    chance = random.Random(options.seed)
    manager = KernelManager(kernel_name="offmodel")
    manager.start_kernel()
    client = manager.client()
    client.start_channels()
    client.wait_for_ready(timeout=60)
    faults = ["kill"] * options.kills + ["interrupt"] * options.interrupts
    chance.shuffle(faults)
    answered, longest = 0, 0.0
    value(client, "let kept = 7;\nkept")
    for index, fault in enumerate(faults):
        # Its error must not abort the cells that are queued behind it.
        client.execute(chance.choice(CELLS), stop_on_error=False)
        time.sleep(chance.uniform(0, 1.2))
        if fault == "kill":
            for child in children(manager.provisioner.pid):
                os.kill(child, signal.SIGKILL)
        else:
            manager.interrupt_kernel()
        started = time.monotonic()
        # An interrupt between two cells is no loss; after a kill the variable is gone.
        expected = index + 1
        if fault == "kill":
            value(client, "let kept = 7;\nkept")
        if value(client, f"{expected} * kept") != str(7 * expected):
            sys.exit(f"after fault {index} ({fault}): the kernel's result is wrong")
        answered += 1
        longest = max(longest, time.monotonic() - started)
    client.stop_channels()
    manager.shutdown_kernel()
    print(json.dumps({"faults": len(faults), "answered": answered, "longest_s": round(longest, 2)}))


def children(kernel):
    """The processes that run the cells: children of the kernel that are the kernel's program."""
    found = []
    for status in pathlib.Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = status.read_text().rsplit(")", 1)[1].split()
            own = os.readlink(status.parent / "exe") == os.readlink(f"/proc/{kernel}/exe")
        except OSError:
            continue
        if int(fields[1]) == kernel and own:
            found.append(int(status.parent.name))
    return found


def value(client, code):
    """The result of a cell, which is run again if a fault that was meant for the cell before it came
    late and hit this one."""
    for _ in range(3):
        request = client.execute(code, stop_on_error=False)
        shown, failed = None, False
        while True:
            try:
                message = client.get_iopub_msg(timeout=60)
            except queue.Empty:
                sys.exit(f"no result of {code!r} within 60 s")
            if message["parent_header"].get("msg_id") != request:
                continue
            content = message["content"]
            if message["msg_type"] == "execute_result":
                shown = content["data"]["text/plain"]
            elif message["msg_type"] == "error":
                failed = content
            elif message["msg_type"] == "status" and content["execution_state"] == "idle":
                break
        if not failed:
            return shown
    sys.exit(f"{code!r} failed three times: {failed['ename']}: {failed['evalue']}")


if __name__ == "__main__":
    main()

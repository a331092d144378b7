"""Interrupts, restarts, shutdown and the log of the installed kernel, and a console on top of it."""

import json
import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

from jupyter_client.manager import start_new_kernel

TIMEOUT = 120


def children(pid):
    """The process ids of the children of `pid`."""
    listed = subprocess.run(
        ["ps", "-o", "pid=", "--ppid", str(pid)], capture_output=True, text=True, check=False
    )
    return [int(line) for line in listed.stdout.split()]


class LifetimeTests(unittest.TestCase):
    def setUp(self):
        self.km, self.kc = start_new_kernel(kernel_name="offmodel", startup_timeout=TIMEOUT)
        self.addCleanup(self.stop)

    def stop(self):
        self.kc.stop_channels()
        if self.km.has_kernel:
            self.km.shutdown_kernel()

    def run_cell(self, code, **flags):
        """The reply and the outputs of a cell."""
        outputs = []
        reply = self.kc.execute_interactive(
            code, output_hook=outputs.append, timeout=TIMEOUT, allow_stdin=False, **flags
        )
        return reply["content"], outputs

    def value(self, code):
        reply, outputs = self.run_cell(code)
        self.assertEqual(reply["status"], "ok", reply)
        results = [o for o in outputs if o["msg_type"] == "execute_result"]
        return results[-1]["content"]["data"]["text/plain"]

    def start_cell(self, code):
        """Sends a cell, waits until it has printed something, and returns the request's id."""
        request = self.kc.execute(code)
        while True:
            message = self.kc.get_iopub_msg(timeout=TIMEOUT)
            if message["parent_header"].get("msg_id") == request:
                self.assertNotEqual(message["msg_type"], "error", message["content"])
                if message["msg_type"] == "stream":
                    return request

    def reply_to(self, request):
        while True:
            reply = self.kc.get_shell_msg(timeout=TIMEOUT)
            if reply["parent_header"]["msg_id"] == request:
                return reply["content"]

    def test_an_interrupted_cell_stops_soon_and_variables_stay(self):
        self.run_cell("let kept = vec![1, 2, 3];")
        request = self.start_cell(
            'println!("begun"); sleep(std::time::Duration::from_secs(60))?; println!("ended");'
        )
        started = time.monotonic()
        self.km.interrupt_kernel()
        reply = self.reply_to(request)
        self.assertLess(time.monotonic() - started, 2)
        self.assertEqual(reply["status"], "error")
        self.assertIn("interrupted", f"{reply['ename']} {reply['evalue']}".lower())
        self.assertEqual(self.value("kept.len()"), "3")

    def test_an_interrupt_while_the_cell_is_compiled_is_not_lost(self):
        self.run_cell("1")
        request = self.kc.execute("sleep(std::time::Duration::from_secs(60))?;")
        time.sleep(0.05)
        started = time.monotonic()
        self.km.interrupt_kernel()
        self.assertEqual(self.reply_to(request)["status"], "error")
        self.assertLess(time.monotonic() - started, 9, "stopped by force instead")

    def test_a_cell_that_ignores_interrupts_is_killed_at_the_second(self):
        self.run_cell("fn survivor() -> i32 { 7 }")
        request = self.start_cell('println!("begun"); loop {}')
        self.km.interrupt_kernel()
        time.sleep(1.5)
        self.km.interrupt_kernel()
        reply = self.reply_to(request)
        self.assertEqual(reply["status"], "error")
        self.assertEqual(self.value("survivor()"), "7")

    def test_a_cell_whose_process_dies_fails(self):
        reply, _ = self.run_cell("std::process::abort();")
        self.assertEqual(reply["status"], "error")
        self.assertEqual(self.value("6 * 7"), "42")

    def test_a_restart_keeps_the_connection_file_and_forgets_variables(self):
        self.run_cell("let forgotten = 1;")
        connection = pathlib.Path(self.km.connection_file)
        before = json.loads(connection.read_text())
        self.km.restart_kernel()
        self.kc.wait_for_ready(timeout=TIMEOUT)
        self.assertEqual(json.loads(connection.read_text()), before)
        reply, _ = self.run_cell("forgotten")
        self.assertEqual(reply["status"], "error")
        self.assertEqual(self.value("1 + 1"), "2")

    def test_no_process_is_left_after_the_shutdown(self):
        self.assertEqual(self.value("1"), "1")
        kernel = self.km.provisioner.pid
        processes = [kernel, *children(kernel)]
        self.assertGreater(len(processes), 1)
        self.kc.shutdown()
        deadline = time.monotonic() + 5
        while self.km.is_alive() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertFalse(self.km.is_alive())
        left = [pid for pid in processes if os.path.exists(f"/proc/{pid}") and pid != kernel]
        self.assertEqual(left, [])

    def test_a_terminated_kernel_ends_its_processes(self):
        self.assertEqual(self.value("1"), "1")
        kernel = self.km.provisioner.pid
        processes = children(kernel)
        os.kill(kernel, signal.SIGTERM)
        deadline = time.monotonic() + 5
        while self.km.is_alive() and time.monotonic() < deadline:
            time.sleep(0.05)
        self.assertEqual([pid for pid in processes if os.path.exists(f"/proc/{pid}")], [])

    def test_user_expressions_are_evaluated(self):
        reply, _ = self.run_cell(
            "let seven = 7;", user_expressions={"good": "seven * 6", "bad": "unheard_of"}
        )
        self.assertEqual(reply["user_expressions"]["good"]["data"]["text/plain"], "42")
        self.assertEqual(reply["user_expressions"]["bad"]["status"], "error")

    def test_a_silent_cell_runs_without_outputs(self):
        reply, outputs = self.run_cell('let hidden = 5; println!("unseen"); hidden', silent=True)
        self.assertEqual(reply["status"], "ok")
        self.assertEqual({o["msg_type"] for o in outputs}, {"status"})
        self.assertEqual(self.value("hidden"), "5")


class LogTests(unittest.TestCase):
    def test_a_full_log_has_cells_but_neither_code_nor_input(self):
        secrets = {"code": "sk-code-60221407", "input": "sk-input-60221407"}
        with tempfile.TemporaryFile() as log:
            manager, client = start_new_kernel(
                kernel_name="offmodel",
                startup_timeout=TIMEOUT,
                env={**os.environ, "OFFMODEL_LOG": "trace"},
                stderr=log,
            )
            try:
                reply = client.execute_interactive(
                    f'let key = "{secrets["code"]}"; let typed = input("Key? ")?;',
                    output_hook=lambda _: None,
                    stdin_hook=lambda _: client.input(secrets["input"]),
                    allow_stdin=True,
                    timeout=TIMEOUT,
                )
                self.assertEqual(reply["content"]["status"], "ok", reply["content"])
            finally:
                client.stop_channels()
                manager.shutdown_kernel()
            log.seek(0)
            text = log.read().decode()
        self.assertIn("cell started", text)
        self.assertIn("input_reply", text)
        for secret in secrets.values():
            self.assertNotIn(secret, text)


class ConsoleTests(unittest.TestCase):
    def test_a_console_runs_cells(self):
        console = [sys.executable, "-m", "jupyter_console", "--kernel", "offmodel"]
        ended = subprocess.run(
            [*console, "--simple-prompt", "--ZMQTerminalInteractiveShell.kernel_timeout=120"],
            input="6 * 7\nlet a = 1;\na + 1\n",
            capture_output=True,
            text=True,
            timeout=TIMEOUT,
            check=False,
        )
        self.assertIn("42", ended.stdout, ended.stderr)
        self.assertIn("Out[3]: 2", ended.stdout, ended.stderr)


if __name__ == "__main__":
    unittest.main()

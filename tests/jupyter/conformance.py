"""Runs the conformance tests of the Jupyter project against the installed kernel `offmodel`.

They test an optional feature only if it is declared here, and the kernel has all of these.
"""

import unittest

from jupyter_client.manager import start_new_kernel
from jupyter_kernel_test import KernelTests


class OffmodelKernelTests(KernelTests):
    kernel_name = "offmodel"
    language_name = "rust"
    file_extension = ".rs"

    code_hello_world = 'println!("hello, world");'
    code_stderr = 'eprintln!("careful");'
    completion_samples = [{"text": "remem", "matches": {"remembered"}}]
    complete_code_samples = ["let a = 1;", "fn one() -> i32 { 1 }", "1 + 1", ""]
    incomplete_code_samples = ["fn one() -> i32 {", "let a = (1,", 'let text = "open', "/* open"]
    invalid_code_samples = ["let = 1;", "fn one() }", "(1]"]
    code_page_something = "?remembered"
    code_generate_error = 'let number: i32 = "twelve".parse()?;'
    code_execute_result = [
        {"code": "6 * 7", "result": "42"},
        {"code": "[1, 2].iter().sum::<i32>()", "result": "3"},
        {"code": 'df!("a" => [1, 2])?', "mime": "text/html"},
    ]
    code_display_data = [{"code": 'display(&df!("a" => [1, 2])?);', "mime": "text/html"}]
    code_history_pattern = "6 ?*7"
    supported_history_operations = ("tail", "range", "search")
    code_inspect_sample = "remembered"
    code_clear_output = "clear_output(false);"

    @classmethod
    def setUpClass(cls):
        # The tests allow a cell 15 seconds, and the session may take longer to start on a busy machine.
        cls.km, cls.kc = start_new_kernel(kernel_name=cls.kernel_name, startup_timeout=120)
        reply = cls.kc.execute("let remembered = 1;", reply=True, timeout=120)
        assert reply["content"]["status"] == "ok", reply["content"]


if __name__ == "__main__":
    unittest.main()

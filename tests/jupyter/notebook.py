"""Runs a notebook through nbclient and checks the outputs in the file."""

import unittest

import nbformat
from nbclient import NotebookClient

CELLS = [
    'let frame = df!("name" => ["<b>", "y"], "count" => [1i64, 2])?;\nframe.clone()',
    'println!("partial lines: {}", frame.height());\neprintln!("careful");',
    'let number: i32 = "12x".parse()?;',
    "frame.height() + frame.width()",
    'let mut progress = Progress::new("steps", 25);\n'
    "for _ in 0..25 {\n"
    "    std::thread::sleep(std::time::Duration::from_millis(50));\n"
    "    progress.advance(1);\n"
    "}",
]


class NotebookTests(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(c) for c in CELLS])
        notebook.cells[2].metadata["tags"] = ["raises-exception"]
        client = NotebookClient(
            notebook, kernel_name="offmodel", timeout=120, startup_timeout=120, iopub_timeout=10
        )
        client.execute()
        nbformat.validate(notebook)
        cls.outputs = [cell.outputs for cell in notebook.cells]
        cls.counts = [cell.execution_count for cell in notebook.cells]
        cls.language = notebook.metadata.language_info

    def test_the_notebook_names_its_language(self):
        self.assertEqual(self.language.name, "rust")
        self.assertEqual(self.language.mimetype, "text/rust")
        self.assertEqual(self.language.file_extension, ".rs")
        self.assertEqual(self.counts, [1, 2, 3, 4, 5])

    def test_a_frame_is_a_table_with_a_text_form_and_its_content_is_escaped(self):
        (result,) = self.outputs[0]
        self.assertEqual(result.output_type, "execute_result")
        self.assertIn("<table", result.data["text/html"])
        self.assertIn("&lt;b&gt;", result.data["text/html"])
        self.assertNotIn("<b>", result.data["text/html"])
        self.assertIn("name", result.data["text/plain"])

    def test_stdout_and_stderr_are_separate(self):
        streams = {output.name: output.text for output in self.outputs[1]}
        self.assertEqual(streams, {"stdout": "partial lines: 2\n", "stderr": "careful\n"})

    def test_a_failed_question_mark_is_an_error_that_names_its_line(self):
        (error,) = self.outputs[2]
        self.assertEqual(error.output_type, "error")
        self.assertEqual(error.ename, "ParseIntError")
        self.assertEqual(error.evalue, "invalid digit found in string")
        self.assertIn("line 1", "\n".join(error.traceback))

    def test_variables_survive_a_failed_cell(self):
        (result,) = self.outputs[3]
        self.assertEqual(result.data["text/plain"], "4")

    def test_progress_is_one_display_that_is_updated(self):
        (bar,) = self.outputs[4]
        self.assertEqual(bar.output_type, "display_data")
        self.assertIn("25/25", bar.data["text/plain"])
        self.assertIn("25", bar.data["text/html"])


if __name__ == "__main__":
    unittest.main()

"""One notebook, three ways: live through nbclient, live through papermill, compiled by offmodel.

Every output must be the same, other than times.
"""

import os
import pathlib
import re
import shutil
import subprocess
import tempfile
import unittest

import nbformat
import papermill
from nbclient import NotebookClient

NOTEBOOKS = pathlib.Path(__file__).resolve().parents[2] / "notebooks"
FEATURES = [
    "struct Point { x: i64, y: i64 }\nlet point = Point { x: 3, y: 4 };",
    'println!("{} {}", point.x, point.y);\neprintln!("to standard error");\npoint.x * point.y',
    "struct Point { z: f64 }\nlet later = Point { z: 0.5 };\nlater.z",
    'let frame = df!("text" => ["<b>", "y"], "count" => [1i64, 2])?;\nframe.clone()',
    "let double = |number: i64| number * 2;",
    'display(&frame);\nprintln!("between");\ndisplay(&frame.head(Some(1)));\ndouble(21)',
    "async fn answer() -> i64 { 42 }\nanswer().await",
    'let mut progress = Progress::new("steps", 3);\nfor _ in 0..3 { progress.advance(1); }',
    'print!("no end of line")',
]
TIME = re.compile(r"\d+(\.\d+)? ?(s|ms|it/s|/s)\b")


class SameOutputs(unittest.TestCase):
    maxDiff = None

    def test_every_form_of_cell(self):
        cells = [nbformat.v4.new_code_cell(cell) for cell in FEATURES]
        self.compare(nbformat.v4.new_notebook(cells=cells))

    def test_the_published_notebook(self):
        self.compare(nbformat.read(NOTEBOOKS / "published.ipynb", 4))

    def test_first_light(self):
        # Half a minute each time: papermill runs the same cells through the same client.
        self.compare(nbformat.read(NOTEBOOKS / "first_light.ipynb", 4), papermill_too=False)

    def compare(self, notebook, papermill_too=True):
        notebook.metadata["kernelspec"] = {
            "name": "offmodel",
            "display_name": "Rust (offmodel)",
            "language": "rust",
        }
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            shutil.copytree(NOTEBOOKS / "data", folder / "data")
            nbformat.write(notebook, folder / "in.ipynb")
            compiled = outputs(compile_and_run(folder))
            self.assertEqual(compiled, outputs(run_live(folder)))
            if papermill_too:
                self.assertEqual(compiled, outputs(run_papermill(folder)))


def run_live(folder):
    notebook = nbformat.read(folder / "in.ipynb", 4)
    resources = {"metadata": {"path": str(folder)}}
    client = NotebookClient(notebook, timeout=600, startup_timeout=120, resources=resources)
    return client.execute()


def run_papermill(folder):
    return papermill.execute_notebook(
        folder / "in.ipynb",
        folder / "papermill.ipynb",
        cwd=folder,
        progress_bar=False,
        start_timeout=120,
    )


def compile_and_run(folder):
    command = [os.environ["OFFMODEL"], "run", "in.ipynb", "-o", "compiled.ipynb"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return nbformat.read(folder / "compiled.ipynb", 4)


def outputs(notebook):
    """The outputs of each code cell, without times and counts of the whole session."""
    return [
        [without_times(output) for output in cell.outputs]
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]


def without_times(output):
    if isinstance(output, dict):
        kept = {key: value for key, value in output.items() if key != "execution_count"}
        return {key: without_times(value) for key, value in kept.items()}
    if isinstance(output, list):
        return [without_times(value) for value in output]
    if isinstance(output, str):
        return TIME.sub("TIME", output)
    return output


if __name__ == "__main__":
    unittest.main()

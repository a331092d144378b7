"""Compares the outputs of notebooks run live by nbclient, live by papermill, and by `offmodel run`.

All outputs must be equal, except for times.
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
# Cells with tags: nbclient allows `raises-exception` to fail, and skips `skip-execution`.
TAGGED = [
    ("let mut kept = 1;", []),
    ('println!("before");\nkept += 1;\nlet number: i32 = "12x".parse()?;', ["raises-exception"]),
    ("let none: Vec<i64> = vec![];\nnone[3]", ["raises-exception"]),
    ("this is not even Rust", ["skip-execution"]),
    ("async fn never() -> Result<(), String> { Err(String::from(\"no\")) }\nnever().await?;",
     ["raises-exception"]),
    ("kept", ["raises-exception"]),
    (':dep itoa = "1"\nitoa::Buffer::new().format(kept).to_owned()', []),
]
# Cells that do not compile and are allowed to fail: each has the live kernel's error as its output.
UNCOMPILABLE = [
    ("fn half(number: i64) -> i64 {\n    number / 2\n}\nstruct Pair { left: i64 }\nlet text = String::from(\"kept\");", []),
    ('println!("never");\nlet number: i64 = "twelve";\nhalf("no number")', ["raises-exception"]),
    ("let lost = nowhere.len();\nundefined_function(lost)", ["raises-exception"]),
    ("this is not even Rust", ["raises-exception"]),
    ("let open = vec![1, 2;", ["raises-exception"]),
    ("text.shout();\nlet sum: Vec<f64> = vec![1i64, 2];\nsum", ["raises-exception"]),
    ("let first = &mut text.clone();\nlet second = first;\nfirst.push('!');\nsecond.len()",
     ["raises-exception"]),
    ("half(text.len() as i64)", ["raises-exception"]),
    ("async fn soon() -> i64 { 1 }\nlet soon: String = soon().await;", ["raises-exception"]),
    ('println!("{text} {}", half(9));', []),
    ("let pairs = vec![Pair { left: 1, right: 2 }];\npairs.missing()", ["raises-exception"]),
    ("struct Later;\n\n\n\nLater.missing()", ["raises-exception"]),
]
TIME = re.compile(r"\d+(\.\d+)? ?(s|ms|it/s|/s)\b")


class SameOutputs(unittest.TestCase):
    maxDiff = None

    def test_every_form_of_cell(self):
        self.compare_cells([nbformat.v4.new_code_cell(cell) for cell in FEATURES])

    def test_cells_that_fail_or_are_skipped(self):
        cells = [nbformat.v4.new_code_cell(cell, metadata={"tags": tags}) for cell, tags in TAGGED]
        # papermill does not know the tag `skip-execution`.
        self.compare_cells(cells, papermill_too=False)

    def test_cells_that_do_not_compile_and_are_allowed_to_fail(self):
        cells = [nbformat.v4.new_code_cell(cell, metadata={"tags": tags}) for cell, tags in UNCOMPILABLE]
        # papermill does not know the tag `raises-exception`.
        executed = self.compare_cells(cells, papermill_too=False)
        names = [[output.get("ename") for output in cell] for cell in outputs(executed)]
        error = ["compile error"]
        self.assertEqual(
            names,
            [[], *[error] * 6, [None], error, [None], error, error],
        )

    def test_every_notebook_of_the_project(self):
        with tempfile.TemporaryDirectory() as folder:
            folder = pathlib.Path(folder)
            shutil.copytree(NOTEBOOKS, folder / "notebooks")
            notebooks = sorted((folder / "notebooks").glob("*.ipynb"))
            self.assertGreaterEqual(len(notebooks), 3)
            # In this order, because the summary reads what first_light records.
            for path in notebooks:
                with self.subTest(path.name):
                    # It takes half a minute, and papermill runs cells through the same client.
                    self.compare(path, papermill_too=path.stem != "first_light")
                    if path.stem == "first_light":
                        collect_frames(path, folder / "runs/first_light")

    def compare_cells(self, cells, papermill_too=True):
        notebook = nbformat.v4.new_notebook(cells=cells)
        notebook.metadata["kernelspec"] = {
            "name": "offmodel",
            "display_name": "Rust (offmodel)",
            "language": "rust",
        }
        with tempfile.TemporaryDirectory() as folder:
            path = pathlib.Path(folder) / "in.ipynb"
            nbformat.write(notebook, path)
            return self.compare(path, papermill_too)

    def compare(self, path, papermill_too):
        executed = compile_and_run(path)
        nbformat.validate(executed)
        compiled = outputs(executed)
        self.assertEqual(compiled, outputs(run_live(path)))
        if papermill_too:
            self.assertEqual(compiled, outputs(run_papermill(path)))
        return executed


def collect_frames(path, sweep):
    """Moves the frames that a notebook recorded to where a sweep of one trial has them."""
    sweep.mkdir(parents=True)
    for frame in path.parent.glob("compiled-*.parquet"):
        name = frame.name.removeprefix("compiled-")
        shutil.move(frame, sweep / ("results.parquet" if name == "result.parquet" else name))


def run_live(path):
    notebook = nbformat.read(path, 4)
    resources = {"metadata": {"path": str(path.parent)}}
    client = NotebookClient(
        notebook, kernel_name="offmodel", timeout=600, startup_timeout=120, resources=resources
    )
    return client.execute()


def run_papermill(path):
    return papermill.execute_notebook(
        path,
        path.parent / "papermill.out",
        cwd=path.parent,
        kernel_name="offmodel",
        progress_bar=False,
        start_timeout=120,
    )


def compile_and_run(path):
    command = [os.environ["OFFMODEL"], "run", path.name, "-o", "compiled.out"]
    done = subprocess.run(command, cwd=path.parent, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return nbformat.read(path.parent / "compiled.out", 4)


def outputs(notebook):
    """The outputs of each code cell, without times and execution counts."""
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

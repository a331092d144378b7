//! Wrong input: each mistake is one clear error with its exit code, and leaves nothing behind.

use crate::workbench::{Cell, Workbench};

#[test]
fn a_file_that_is_no_notebook_is_refused() {
    let bench = Workbench::new();
    bench.write("n.ipynb", "{\"cells\": [");
    bench.offmodel(&["run", "n.ipynb"]).failed(
        3,
        "n.ipynb is not a notebook: not JSON: EOF while parsing a list at line 1 column 11",
    );
    bench.write("n.ipynb", "{\"rows\": []}");
    bench
        .offmodel(&["run", "n.ipynb"])
        .failed(3, "n.ipynb is not a notebook: it has no list of cells");
    bench
        .offmodel(&["run", "missing.ipynb"])
        .failed(3, "failed to read notebook missing.ipynb: No such file");
}

#[test]
fn a_notebook_of_another_language_is_refused() {
    let bench = Workbench::new();
    bench.write(
        "n.ipynb",
        r#"{"cells": [], "metadata": {"kernelspec": {"name": "python3", "display_name": "Python 3", "language": "python"}}, "nbformat": 4, "nbformat_minor": 5}"#,
    );
    bench.offmodel(&["run", "n.ipynb"]).failed(
        3,
        "n.ipynb has no Rust kernel: its kernel is python3 (python)",
    );
}

#[test]
fn a_notebook_without_code_is_refused() {
    let bench = Workbench::new();
    bench.notebook("n.ipynb", &[]);
    bench
        .offmodel(&["run", "n.ipynb"])
        .failed(3, "n.ipynb has no code cells");
}

#[test]
fn a_cell_that_does_not_compile_is_reported_with_its_line_and_the_compilers_message() {
    let bench = Workbench::new();
    bench.notebook(
        "n.ipynb",
        &["let a = 1;", "let b = 2; // fine\n\n    undefined(a) + b"],
    );
    let output = bench.offmodel(&["run", "n.ipynb", "-o", "out.ipynb"]);
    output.failed(
        4,
        "n.ipynb, cell 2, line 3 does not compile: cannot find function `undefined` in this scope",
    );
    output.failed(
        4,
        " --> cell 2, line 3, column 5\n  |\n3 |     undefined(a) + b\n  |     ^^^^^^^^^ not found in this scope",
    );
    assert_eq!(
        bench.names("."),
        ["n.ipynb"],
        "nothing is written for a notebook that did not run"
    );
}

#[test]
fn a_syntax_error_is_reported_with_the_compilers_message() {
    let bench = Workbench::new();
    bench.notebook("n.ipynb", &["let a = 1;", "let b = a;\nlet c = ;"]);
    bench.offmodel(&["run", "n.ipynb"]).failed(
        4,
        "n.ipynb, cell 2, line 2 does not compile: expected expression, found `;`",
    );
}

#[test]
fn a_value_moved_in_an_earlier_cell_is_reported_with_both_cells() {
    let bench = Workbench::new();
    bench.notebook(
        "n.ipynb",
        &["let text = String::new();", "drop(text);", "text.len()"],
    );
    let output = bench.offmodel(&["run", "n.ipynb"]);
    output.failed(
        4,
        "cell 3, line 1 does not compile: borrow of moved value: `text`",
    );
    output.failed(4, "[2]:1 | drop(text);");
}

#[test]
fn an_output_that_cannot_be_written_is_reported_before_compilation() {
    let bench = Workbench::new();
    bench.notebook("n.ipynb", &["this does not compile"]);
    bench.write("file", "");
    bench
        .offmodel(&["run", "n.ipynb", "-o", "missing/out.ipynb"])
        .failed(5, "failed to write missing: ");
    bench
        .offmodel(&["run", "n.ipynb", "-o", "file/out.ipynb"])
        .failed(5, "failed to write file: ");
    bench
        .offmodel(&["run", "n.ipynb", "-o", "."])
        .failed(5, "failed to write .: is a directory");
    bench.write("s.toml", "version = 1\nnotebook = \"n.ipynb\"\n");
    bench
        .offmodel(&["sweep", "s.toml", "--runs", "file"])
        .failed(5, "failed to write file/s: ");
}

#[test]
fn a_sweep_file_is_checked_against_the_notebook_before_compilation() {
    let bench = Workbench::new();
    bench.notebook("n.ipynb", &["this does not compile"]);
    bench.write(
        "s.toml",
        "version = 1\nnotebook = \"n.ipynb\"\n\n[grid]\nseed = [1]\n",
    );
    bench.offmodel(&["sweep", "s.toml"]).failed(
        3,
        "s.toml, line 5, column 9: the notebook has no parameter `seed`; it has none (tag a cell `parameters`",
    );
    bench.write("s.toml", "version = 1\nnotebok = \"n.ipynb\"\n");
    bench.offmodel(&["sweep", "s.toml"]).failed(
        3,
        "s.toml, line 2, column 1: unknown key `notebok`; did you mean `notebook`?",
    );
    bench
        .offmodel(&["sweep", "missing.toml"])
        .failed(3, "failed to read sweep file missing.toml");
    assert!(!bench.path("runs").exists());
}

#[test]
fn a_sweep_that_does_not_compile_leaves_no_folder() {
    let bench = Workbench::new();
    bench.notebook("n.ipynb", &["undefined()"]);
    bench.write("s.toml", "version = 1\nnotebook = \"n.ipynb\"\n");
    bench
        .offmodel(&["sweep", "s.toml"])
        .failed(4, "n.ipynb, cell 1, line 1 does not compile");
    assert!(bench.names("runs").is_empty());
}

#[test]
fn a_folder_without_a_sweep_is_refused() {
    let bench = Workbench::new();
    bench
        .offmodel(&["status", "."])
        .failed(3, ". is not a sweep's folder: it has no sweep.toml");
    bench
        .offmodel(&["report", "."])
        .failed(3, "is not a sweep's folder");
}

#[test]
fn a_frame_cannot_be_recorded_outside_the_attempts_folder() {
    let bench = Workbench::new();
    bench.notebook(
        "n.ipynb",
        &["record(\"../escape\", &df!(\"a\" => [1i64])?)?;"],
    );
    bench
        .offmodel(&["run", "n.ipynb"])
        .failed(1, "failed to record a frame as `../escape`");
}

#[test]
fn an_error_in_a_sweep_file_names_its_line_and_what_was_expected() {
    let bench = Workbench::new();
    bench.tagged_notebook(
        "n.ipynb",
        &[
            Cell("let seed: u64 = 1;\nlet rate: f64 = 0.5;", &["parameters"]),
            Cell("this does not compile", &[]),
        ],
    );
    let mistakes = [
        ("[grid]\n", "s.toml, line 3, column 1: `grid` is empty"),
        (
            "[grid]\nseed = []\n",
            "line 4, column 8: `seed` is empty, so that there is nothing to run",
        ),
        (
            "[grid]\nseed = [1, \"two\"]\n",
            "line 4, column 12: parameter `seed`: expected a non-negative integer (u64), found the string \"two\"",
        ),
        (
            "[grid]\nrate = 3\n",
            "line 4, column 8: `rate`: expected a list of values, found the integer 3",
        ),
        (
            "timeout = \"soon\"\n",
            "line 3, column 11: `timeout`: expected a positive number of seconds",
        ),
        (
            "[resources]\ngpus = \"all\"\n",
            "line 4, column 8: `gpus`: expected a non-negative integer",
        ),
        (
            "[resources]\npin = 1\n",
            "line 4, column 7: `pin`: expected true or false",
        ),
        (
            "data = \"x\"\n",
            "line 3, column 8: `data`: expected a list of values",
        ),
        (
            "exclude = [{ seed = 1 }]\n[grid]\nseed = [1]\n",
            "line 3, column 21: `exclude` removes every trial",
        ),
        (
            "[zip]\nseed = [1, 2]\nrate = [0.5]\n",
            "line 5, column 9: `rate` has 1 values, but the first list of [zip] has 2",
        ),
        ("[grid\n", "s.toml, line 3, column 6: not TOML"),
    ];
    for (text, expected) in mistakes {
        bench.write(
            "s.toml",
            &format!("version = 1\nnotebook = \"n.ipynb\"\n{text}"),
        );
        bench.offmodel(&["sweep", "s.toml"]).failed(3, expected);
    }
    bench.write("s.toml", "version = 1\nnotebook = \"gone.ipynb\"\n");
    bench
        .offmodel(&["sweep", "s.toml"])
        .failed(3, "failed to read notebook gone.ipynb: No such file");
    assert!(!bench.path("runs").exists());
}

#[test]
fn a_data_folder_that_contains_itself_is_refused() {
    let bench = Workbench::new();
    bench.notebook("n.ipynb", &["this does not compile"]);
    std::fs::create_dir(bench.path("data")).unwrap();
    std::os::unix::fs::symlink(".", bench.path("data/self")).unwrap();
    bench.write(
        "s.toml",
        "version = 1\nnotebook = \"n.ipynb\"\ndata = [\"data\"]\n",
    );
    bench
        .offmodel(&["sweep", "s.toml"])
        .failed(3, "the folder contains itself through a link");
}

//! What cells may contain, and the outputs and errors that result.

use crate::workbench::{Cell, Workbench, text};

#[test]
fn text_and_displayed_value_are_outputs_of_the_cell_in_order() {
    let bench = Workbench::new();
    bench.notebook(
        "n.ipynb",
        &[
            "let x = 20;",
            "println!(\"x is {x}\");\neprintln!(\"aside\");\nx + 1",
        ],
    );
    let outputs = bench.outputs_of("n.ipynb");
    assert!(outputs[0].is_empty());
    assert_eq!(text(&outputs[1][0]), "x is 20\n");
    assert_eq!(outputs[1][1]["name"], "stderr");
    assert_eq!(text(&outputs[1][2]), "21");
    assert_eq!(outputs[1][2]["execution_count"], 2);
}

#[test]
fn later_cells_may_redefine_items_and_variables() {
    let bench = Workbench::new();
    bench.notebook(
        "n.ipynb",
        &[
            "struct Point { x: i64 }\nfn double(x: i64) -> i64 { x * 2 }\nlet p = Point { x: 4 };\nlet value = double(p.x);",
            "#[derive(Debug)]\nstruct Point { name: String }\nfn double(text: &str) -> String { format!(\"{text}{text}\") }\nlet value = value + 1;",
            "let p = Point { name: double(\"ab\") };\nformat!(\"{p:?} {value}\")",
        ],
    );
    let shown = text(&bench.outputs_of("n.ipynb")[2][0]);
    assert_eq!(shown, "\"Point { name: \\\"abab\\\" } 9\"");
}

#[test]
fn cells_may_await_and_block_on_runtimes_of_their_own() {
    let bench = Workbench::new();
    bench.notebook(
        "n.ipynb",
        &[
            "async fn later(x: i64) -> i64 { tokio::time::sleep(std::time::Duration::from_millis(5)).await; x + 1 }\nlet x = later(1).await;",
            "let task = tokio::spawn(async { 40 });\nlet y: i64 = task.await?;",
            "let z = tokio::runtime::Runtime::new()?.block_on(later(x + y));\nz",
        ],
    );
    assert_eq!(text(&bench.outputs_of("n.ipynb")[2][0]), "43");
}

#[test]
fn a_frame_is_shown_as_a_table_and_unit_not_at_all() {
    let bench = Workbench::new();
    bench.notebook("n.ipynb", &["df!(\"a\" => [1i64, 2])?", "()", "let _ = 1;"]);
    let outputs = bench.outputs_of("n.ipynb");
    assert!(
        outputs[0][0]["data"]["text/html"]
            .to_string()
            .contains("<table")
    );
    assert!(outputs[1].is_empty());
    assert!(outputs[2].is_empty());
}

#[test]
fn a_failed_question_mark_names_cell_and_line_and_keeps_the_outputs_before_it() {
    let bench = Workbench::new();
    bench.notebook(
        "n.ipynb",
        &[
            "println!(\"first\");",
            "println!(\"second\");\n\nlet n: i32 = \"abc\".parse()?;\nprintln!(\"never\");",
            "println!(\"third\");",
        ],
    );
    let output = bench.offmodel(&["run", "n.ipynb", "-o", "out.ipynb"]);
    output.failed(
        1,
        "n.ipynb, cell 2, line 3: ParseIntError: invalid digit found in string",
    );
    let outputs = bench.outputs("out.ipynb");
    assert_eq!(text(&outputs[0][0]), "first\n");
    assert_eq!(text(&outputs[1][0]), "second\n");
    assert_eq!(outputs[1][1]["ename"], "ParseIntError");
    assert_eq!(outputs[1].len(), 2);
    assert!(outputs[2].is_empty());
}

#[test]
fn a_panic_names_cell_line_and_message() {
    let bench = Workbench::new();
    bench.notebook(
        "n.ipynb",
        &[
            "let values: Vec<i64> = Vec::new();",
            "let at = 3;\nvalues[at]",
        ],
    );
    bench.offmodel(&["run", "n.ipynb"]).failed(
        1,
        "cell 2, line 2: panic: index out of bounds: the len is 0 but the index is 3",
    );
}

#[test]
fn a_panic_in_a_function_or_a_library_names_the_lines_of_the_calls() {
    let bench = Workbench::new();
    bench.notebook(
        "n.ipynb",
        &[
            "fn third(values: &[i64]) -> i64 {\n    values[2]\n}",
            "let values: Vec<i64> = Vec::new();\nthird(&values)",
        ],
    );
    bench
        .offmodel(&["run", "n.ipynb", "-o", "out.ipynb"])
        .failed(1, "cell 2, line 2: panic: index out of bounds");
    let error = &bench.outputs("out.ipynb")[1][0];
    assert_eq!(error["traceback"][0], "panicked at line 2 of cell 1");
    assert_eq!(error["traceback"][1], "  called at line 2 of the cell");
    bench.notebook(
        "m.ipynb",
        &["let ones = Tensor::ones([2], (Kind::Float, Device::Cpu));\n\nones.reshape([3])"],
    );
    bench
        .offmodel(&["run", "m.ipynb"])
        .failed(1, "cell 1, line 3: panic: called `Result::unwrap()`");
}

#[test]
fn a_cell_that_exits_or_aborts_fails() {
    let bench = Workbench::new();
    bench.notebook("n.ipynb", &["let x = 1;", "std::process::exit(0);"]);
    bench
        .offmodel(&["run", "n.ipynb"])
        .failed(6, "cell 2: the program ended itself with exit code 0");
    bench.notebook("m.ipynb", &["std::process::abort();"]);
    let output = bench.offmodel(&["run", "m.ipynb", "-o", "out.ipynb"]);
    output.failed(6, "cell 1: the program was ended by signal 6 (SIGABRT");
    assert_eq!(bench.outputs("out.ipynb")[0][0]["output_type"], "error");
}

#[test]
fn a_cell_that_returns_early_is_an_error() {
    let bench = Workbench::new();
    bench.notebook(
        "n.ipynb",
        &["if true { return Ok(()); }", "println!(\"never\");"],
    );
    bench
        .offmodel(&["run", "n.ipynb"])
        .failed(1, "cell 1 left the notebook by `return`");
}

#[test]
fn skipped_cells_keep_their_numbers() {
    let bench = Workbench::new();
    bench.tagged_notebook(
        "n.ipynb",
        &[
            Cell("this is not even Rust", &["skip-batch"]),
            Cell(":vars\nlet x = 1;", &[]),
            Cell("x", &["skip-execution"]),
            Cell("x + nothing", &[]),
        ],
    );
    bench.offmodel(&["run", "n.ipynb"]).failed(
        4,
        "cell 4, line 1 does not compile: cannot find value `nothing`",
    );
}

#[test]
fn an_executed_notebook_can_be_executed_again() {
    let bench = Workbench::new();
    bench.tagged_notebook(
        "n.ipynb",
        &[Cell("let x: i64 = 1;", &["parameters"]), Cell("x", &[])],
    );
    bench
        .offmodel(&["run", "n.ipynb", "-p", "x=5", "-o", "first.ipynb"])
        .succeeded();
    bench
        .offmodel(&["run", "first.ipynb", "-p", "x=6", "-o", "second.ipynb"])
        .succeeded();
    let shown: Vec<String> = bench
        .outputs("second.ipynb")
        .iter()
        .flatten()
        .map(text)
        .collect();
    assert_eq!(shown, ["6"]);
    let cells = bench.json("second.ipynb")["cells"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(cells, 3, "the cell of injected parameters is replaced");
}

#[test]
fn the_notebook_contains_at_most_a_mebibyte_of_output_per_cell() {
    let bench = Workbench::new();
    bench.notebook(
        "n.ipynb",
        &["for i in 0..300_000 { println!(\"line {i}\"); }"],
    );
    let outputs = bench.outputs_of("n.ipynb");
    let shown = text(&outputs[0][0]);
    assert!(shown.starts_with("line 0\nline 1\n"));
    assert!(shown.ends_with("[output is longer than 1 MiB; the rest is in events.jsonl]\n"));
    assert!(shown.len() < 2 << 20);
}

#[test]
fn a_crate_added_by_dep_is_built_into_the_program() {
    let bench = Workbench::new();
    bench.notebook(
        "n.ipynb",
        &[
            ":dep itoa = \"1\"\nlet mut buffer = itoa::Buffer::new();",
            "buffer.format(42).to_owned()",
        ],
    );
    assert_eq!(text(&bench.outputs_of("n.ipynb")[1][0]), "\"42\"");
    bench.notebook("bad.ipynb", &["let a = 1;", "\n:dep itoa = \"99\""]);
    let output = bench.offmodel(&["run", "bad.ipynb"]);
    output.failed(4, "cell 2, line 2: failed to select a version");
}

#[test]
fn the_notebook_continues_after_a_cell_that_may_fail() {
    let bench = Workbench::new();
    bench.tagged_notebook(
        "n.ipynb",
        &[
            Cell("let mut count = 1;", &[]),
            Cell("count += 1;\nprintln!(\"before\");\nlet n: i32 = \"abc\".parse()?;\ncount += 10;", &["raises-exception"]),
            Cell("let empty: Vec<i64> = vec![];\nempty[count as usize]", &["raises-exception"]),
            Cell("async fn later() -> Result<i64, String> { Err(\"not today\".to_owned()) }\nlet x = later().await?;", &["raises-exception"]),
            Cell("count + 40", &["raises-exception"]),
            Cell("Err::<(), _>(\"the last one\")?;", &["raises-exception"]),
        ],
    );
    let outputs = bench.outputs_of("n.ipynb");
    assert_eq!(text(&outputs[1][0]), "before\n");
    assert_eq!(outputs[1][1]["ename"], "ParseIntError");
    assert!(
        outputs[1][1]["traceback"].to_string().contains("line 3"),
        "{}",
        outputs[1][1]
    );
    assert_eq!(outputs[2][0]["ename"], "panic");
    assert!(outputs[2][0]["traceback"].to_string().contains("line 2"));
    assert_eq!(outputs[3][0]["evalue"], "not today");
    assert_eq!(text(&outputs[4][0]), "42");
    assert_eq!(outputs[5][0]["evalue"], "the last one");
}

#[test]
fn a_failure_after_an_allowed_one_ends_the_notebook() {
    let bench = Workbench::new();
    bench.tagged_notebook(
        "n.ipynb",
        &[
            Cell("Err::<(), _>(\"allowed\")?;", &["raises-exception"]),
            Cell("Err::<(), _>(\"not allowed\")?;", &[]),
            Cell("println!(\"never\");", &[]),
        ],
    );
    bench
        .offmodel(&["run", "n.ipynb", "-o", "out.ipynb"])
        .failed(1, "cell 2, line 1: str: not allowed");
    let outputs = bench.outputs("out.ipynb");
    assert_eq!(outputs[0][0]["evalue"], "allowed");
    assert!(outputs[2].is_empty());
}

#[test]
fn a_cell_that_may_fail_need_not_compile() {
    let bench = Workbench::new();
    bench.tagged_notebook(
        "n.ipynb",
        &[
            Cell("let x: i64 = 20;", &["parameters"]),
            Cell("let y: i64 = \"text\";", &["raises-exception"]),
            Cell("this is not even Rust", &["raises-exception"]),
            Cell(
                "unknown(x);\nlet moved = later.await;",
                &["raises-exception"],
            ),
            Cell("x + 1", &[]),
            Cell("x.shout()", &["raises-exception"]),
        ],
    );
    let outputs = bench.outputs_of("n.ipynb");
    assert_eq!(text(&outputs[4][0]), "21");
    for (cell, value) in [
        (1, "mismatched types (line 1, column 14)"),
        (2, "unexpected token, expected `;` (line 1, column 6)"),
        (
            3,
            "cannot find value `later` in this scope (line 2, column 13)",
        ),
        (5, "no method named `shout` found for type `i64`"),
    ] {
        assert_eq!(outputs[cell].len(), 1);
        let error = &outputs[cell][0];
        assert_eq!(error["ename"], "compile error");
        let message = error["evalue"].as_str().unwrap();
        assert!(message.contains(value), "{message}");
    }
    // Other parameters use the same program, so nothing is compiled again.
    let again = bench
        .offmodel(&["run", "n.ipynb", "-p", "x=41", "-o", "out.ipynb"])
        .succeeded();
    assert!(!again.stderr.contains("compiled"), "{}", again.stderr);
    // The cell with the overrides comes first.
    assert_eq!(text(&bench.outputs("out.ipynb")[5][0]), "42");
}

#[test]
fn only_errors_of_cells_that_must_compile_are_reported() {
    let bench = Workbench::new();
    bench.tagged_notebook(
        "n.ipynb",
        &[
            Cell("let y: i64 = \"text\";", &["raises-exception"]),
            Cell("let x = 1;\nlet z: String = x;", &[]),
        ],
    );
    let output = bench.offmodel(&["run", "n.ipynb"]);
    output.failed(
        4,
        "n.ipynb, cell 2, line 2 does not compile: mismatched types",
    );
    output.failed(4, "cell 2, line 2, column 17");
    assert!(!output.stderr.contains("cell 1"), "{}", output.stderr);
}

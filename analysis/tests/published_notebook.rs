//! `notebooks/published.ipynb` has the code of the example and shows the numbers that the study reports.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use polars::prelude::DataFrame;
use serde_json::Value;

#[path = "../examples/published.rs"]
#[allow(dead_code, reason = "the example's `main` is not called here")]
mod example;

fn notebook() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../notebooks/published.ipynb");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn source(cell: &Value) -> String {
    let lines = cell["source"].as_array().unwrap();
    lines.iter().map(|line| line.as_str().unwrap()).collect()
}

fn cells(notebook: &Value, kind: &str) -> Vec<Value> {
    let cells = notebook["cells"].as_array().unwrap().iter();
    cells
        .filter(|cell| cell["cell_type"] == kind)
        .cloned()
        .collect()
}

/// Code without layout, because rustfmt may break the lines of the example differently.
fn tokens(code: &str) -> String {
    code.chars()
        .filter(|c| !c.is_whitespace())
        .collect::<String>()
        .replace(",)", ")")
}

fn number(frame: &DataFrame, quantity: &str, column: &str) -> f64 {
    let names = frame.column("quantity").unwrap();
    let row = names
        .str()
        .unwrap()
        .iter()
        .position(|name| name == Some(quantity))
        .unwrap();
    frame
        .column(column)
        .unwrap()
        .f64()
        .unwrap()
        .get(row)
        .unwrap()
}

fn points(fit: &DataFrame) -> u64 {
    fit.column("n").unwrap().u64().unwrap().get(0).unwrap()
}

#[test]
fn every_cell_is_code_that_the_example_runs() {
    let example = tokens(include_str!("../examples/published.rs"));
    let mut rest = example.as_str();
    for cell in cells(&notebook(), "code") {
        let source = source(&cell);
        let (statements, last) = source
            .trim_end()
            .rsplit_once('\n')
            .unwrap_or(("", source.trim_end()));
        let code = if last.ends_with(';') {
            tokens(&source)
        } else {
            format!("{}show({});", tokens(statements), tokens(last))
        };
        let at = rest
            .find(&code)
            .unwrap_or_else(|| panic!("not in the example, or not in order: {source}"));
        rest = &rest[at + code.len()..];
    }
}

#[test]
fn the_notebook_is_valid_and_stores_no_output() {
    let notebook = notebook();
    assert_eq!(
        (&notebook["nbformat"], &notebook["nbformat_minor"]),
        (&4.into(), &5.into())
    );
    let kernelspec = &notebook["metadata"]["kernelspec"];
    assert_eq!(kernelspec["name"], "offmodel");
    assert_eq!(kernelspec["language"], "rust");
    let mut ids: Vec<&str> = notebook["cells"]
        .as_array()
        .unwrap()
        .iter()
        .map(|cell| cell["id"].as_str().unwrap())
        .collect();
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count);
    let code = cells(&notebook, "code");
    for cell in &code {
        assert_eq!(cell["outputs"], Value::Array(Vec::new()));
        assert!(cell["execution_count"].is_null());
    }
    let tagged = code
        .iter()
        .filter(|cell| cell["metadata"]["tags"][0] == "parameters");
    assert_eq!(tagged.count(), 1);
}

#[test]
fn the_notebook_shows_the_numbers_that_the_study_reports() {
    let page = example::run().unwrap();
    let recorded = |name: &str| {
        let (_, frame) = page
            .recorded
            .iter()
            .find(|(other, _)| other == name)
            .unwrap();
        frame.clone()
    };

    let fit = recorded("fit");
    assert_eq!(points(&fit), 66);
    assert!((number(&fit, "intercept", "estimate") - -0.1307).abs() < 5e-5);
    assert!((number(&fit, "slope", "estimate") - 0.3525).abs() < 5e-5);
    assert!((number(&fit, "r", "estimate") - 0.7664).abs() < 5e-5);
    assert!((number(&fit, "x_intercept", "estimate") - 0.371).abs() < 5e-4);

    let rest = recorded("fit_without_family");
    assert_eq!(points(&rest), 36);
    assert!((number(&rest, "r", "estimate") - 0.3832).abs() < 5e-5);

    assert_eq!(recorded("leave_one_family_out").height(), 6);
    assert_eq!(recorded("degradation").shape(), (6 * 11 * 4, 4));

    assert_eq!(page.figures.len(), 3);
    let heatmaps = page.figures[2].svg();
    for benchmark in ["ifeval", "math_500", "mmlu", "olympiads"] {
        assert!(
            heatmaps.contains(&format!(">{benchmark}</text>")),
            "{benchmark}"
        );
    }
}

#[test]
fn the_picture_in_the_readme_is_the_first_figure() {
    let path =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("../notebooks/figures/change_against_gap.svg");
    let page = example::run().unwrap();
    assert_eq!(
        std::fs::read_to_string(path).unwrap(),
        page.figures[0].svg()
    );
}

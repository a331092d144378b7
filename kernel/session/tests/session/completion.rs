//! Completion and inspection.

use libtest_mimic::Failed;

use crate::Notebook;

/// The candidates at the cursor, which is marked by `|`.
fn completed(notebook: &mut Notebook, marked: &str) -> Vec<String> {
    let cursor = marked.find('|').unwrap();
    let found = notebook.session.complete(&marked.replace('|', ""), cursor);
    let names = found.candidates.into_iter();
    names.map(|candidate| candidate.text).collect()
}

/// The documentation at the cursor, which is marked by `|`.
fn documented(notebook: &mut Notebook, marked: &str) -> String {
    let cursor = marked.find('|').unwrap();
    let found = notebook.session.inspect(&marked.replace('|', ""), cursor);
    found
        .unwrap_or_else(|| panic!("{marked} is not known"))
        .get("text/plain")
        .unwrap()
        .to_owned()
}

pub(crate) fn completion_and_inspection() -> Result<(), Failed> {
    offmodel_session::write_reference(&offmodel_toolchain::Toolchain::locate()?)?;
    let mut notebook = Notebook::start();
    notebook.shows("let frame = df!(\"level\" => [1i64, 2], \"score\" => [0.5, 1.0])?;\nlet remembered = vec![1.5];");
    notebook.shows("/// One run.\nstruct Trial { seed: u64 }\nimpl Trial { fn doubled(&self) -> u64 { 2 * self.seed }\nfn new() -> Self { Trial { seed: 1 } } }\nlet trials = vec![Trial::new()];");
    let mut has = |marked: &str, name: &str| {
        let names = completed(&mut notebook, marked);
        assert!(
            names.iter().any(|known| known == name),
            "{marked}: {names:?}"
        );
        names
    };
    // Names of the notebook, of the prelude and of the standard library.
    has("let x = remem|", "remembered");
    has("line_|", "line_plot");
    has("let x = printl|", "println!");
    has("let x: Stri|", "String");
    has("std::collections::Ha|", "HashMap");
    has("use polars::prelude::LazyF|", "LazyFrame");
    // Methods and fields of the type that the compiler infers for the expression before the dot.
    has("frame.hea|", "head");
    has(
        "let n = frame\n    .clone()\n    .lazy()\n    .filter(col(\"score\").gt(lit(0.5))).coll|",
        "collect",
    );
    has("remembered.iter().copied().map(f64::sqrt).su|", "sum");
    has("remembered[0].sq|", "sqrt");
    has("for trial in &trials { println!(\"{}\", trial.se|", "seed");
    has("trials.first().unwrap().dou|", "doubled");
    has("Trial::n|", "new");
    has("Device::cuda|", "cuda_if_available");
    has(
        "let student = Model::load(\"smollm2\")?;\nstudent.gen|",
        "generate",
    );
    // Columns of the notebook's frames.
    has("frame.column(\"sc|", "score");
    has("col(\"le|", "level");
    assert!(completed(&mut notebook, "// frame.|").is_empty());
    let unstable = completed(&mut notebook, "remembered.push_|");
    assert!(
        !unstable.contains(&"push_within_capacity".to_owned()),
        "{unstable:?}"
    );

    let head = documented(&mut notebook, "frame.he|ad(None)");
    assert!(
        head.contains("pub fn head(&self, length: Option<usize>) -> DataFrame"),
        "{head}"
    );
    assert!(head.contains("Get the head of the"), "{head}");
    let inside = documented(&mut notebook, "frame.head(Some(|");
    assert!(inside.contains("Some"), "{inside}");
    let push = documented(&mut notebook, "remembered.push(1.0|");
    assert!(push.contains("Appends an element"), "{push}");
    let plot = documented(&mut notebook, "line_plot|");
    assert!(plot.contains("axes: &LineAxes"), "{plot}");
    let own = documented(&mut notebook, "Tri|al");
    assert!(own.contains("/// One run."), "{own}");
    let variable = documented(&mut notebook, "fra|me");
    assert!(variable.starts_with("frame: DataFrame"), "{variable}");
    assert!(
        notebook
            .shows("?Vec::with_capacity")
            .contains("with_capacity")
    );
    Ok(())
}

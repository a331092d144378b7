//! `offmodel report` and `compare`, and the tables of a sweep.

use serde_json::Value;

use crate::sweeps::{recording, rows};
use crate::workbench::{Cell, Workbench, text};

#[test]
fn a_report_escapes_everything_that_comes_from_a_notebook() {
    let bench = Workbench::new();
    bench.tagged_notebook(
        "n.ipynb",
        &[
            Cell("let x: String = String::new();", &["parameters"]),
            Cell("display(&MimeBundle::text(\"<script>alert(1)</script>\").with(\"text/html\", \"<script>alert(2)</script>\"));\ndisplay(&MimeBundle::text(\"figure\").with(\"image/svg+xml\", \"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(3)</script></svg>\"));\ndf!(\"reply\" => [\"<img src=x onerror=alert(4)>\"])?", &[]),
        ],
    );
    bench.write(
        "s.toml",
        "version = 1\nnotebook = \"n.ipynb\"\n[grid]\nx = [\"<b>bold</b>\"]\n",
    );
    bench.offmodel(&["sweep", "s.toml"]).succeeded();
    bench
        .offmodel(&["report", "runs/s", "-o", "report.html"])
        .succeeded();
    let page = std::fs::read_to_string(bench.path("report.html")).unwrap();
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
        "text is shown as text"
    );
    assert!(
        page.contains("src=\"data:image/svg+xml;base64,"),
        "figures are images"
    );
    assert!(
        page.contains("&lt;img src=x onerror=alert(4)&gt;"),
        "tables are escaped"
    );
    assert!(page.contains("x=&lt;b&gt;bold&lt;/b&gt;"));
    assert!(page.contains("default-src 'none'"));
    assert!(!page.contains("<script"));
}

/// Two sweeps of a notebook whose score depends on the seed and, through `shift`, on the night.
fn nightly() -> Workbench {
    let bench = Workbench::new();
    bench.tagged_notebook(
        "n.ipynb",
        &[
            Cell("let data: String = \"on\".to_owned();\nlet seed: i64 = 1;\nlet shift: f64 = 0.0;", &["parameters"]),
            Cell("if data == \"<b>broken</b>\" { Err::<(), _>(\"<img src=x onerror=alert(1)>\")?; }\nlet lost = if data == \"off\" { shift } else { 0.0 };\nlet result = df!(\"level\" => [1i64, 2], \"score\" => [0.9 - lost + 0.01 * seed as f64, 0.5])?;\nrecord(\"result\", &result)?;\nresult", &[]),
        ],
    );
    for (night, shift) in [("2026-03-01", 0.0), ("2026-03-02", 0.25)] {
        bench.write(
            &format!("{night}.toml"),
            &format!("version = 1\nnotebook = \"n.ipynb\"\nname = \"nightly-{{date}}\"\n[parameters]\nshift = {shift:?}\n[grid]\ndata = [\"on\", \"off\", \"<b>broken</b>\"]\nseed = [1, 2, 3]\n"),
        );
        let sweep = format!("{night}.toml");
        bench
            .offmodel(&["sweep", &sweep, "--date", night])
            .failed(1, "6 of 9 trials succeeded");
    }
    bench
}

#[test]
fn two_nights_are_compared_with_intervals_on_their_own_and_in_the_report() {
    let bench = nightly();
    let nights = ["runs/nightly-2026-03-01", "runs/nightly-2026-03-02"];
    // `shift` differs between the nights, so no trial has a partner.
    let apart = bench
        .offmodel(&["compare", nights[0], nights[1]])
        .succeeded();
    assert!(
        apart.stdout.contains("0 pairs of trials"),
        "{}",
        apart.stdout
    );
    // As if the notebook had changed instead.
    let spec = std::fs::read_to_string(bench.path("2026-03-01.toml")).unwrap();
    bench.write("changed.toml", &spec.replace("nightly-{date}", "changed"));
    let cells = std::fs::read_to_string(bench.path("n.ipynb")).unwrap();
    bench.write("n.ipynb", &cells.replace("{ shift }", "{ 0.25 }"));
    bench
        .offmodel(&["sweep", "changed.toml"])
        .failed(1, "6 of 9");
    let output = bench
        .offmodel(&["compare", nights[0], "runs/changed"])
        .succeeded();
    assert!(
        output
            .stdout
            .contains("9 pairs of trials, by data, seed, shift; 6 of them"),
        "{}",
        output.stdout
    );
    assert!(
        output.stdout.contains("3 of 12 values differ, in 3 trials"),
        "{}",
        output.stdout
    );
    assert!(
        output
            .stdout
            .contains("10,000 resamples of pairs of trials, that is, seeds")
    );
    let output = bench
        .offmodel(&["compare", nights[0], "runs/changed", "--json"])
        .succeeded();
    let compared: Value = serde_json::from_str(&output.stdout).unwrap();
    let groups = compared["groups"].as_array().unwrap();
    let changed: Vec<&Value> = groups
        .iter()
        .filter(|group| group["change"].as_f64().unwrap().abs() > 1e-9)
        .collect();
    assert_eq!(changed.len(), 1);
    assert_eq!(
        changed[0]["labels"],
        serde_json::json!({"data": "off", "level": "1"})
    );
    assert!((changed[0]["change"].as_f64().unwrap() + 0.25).abs() < 1e-9);
    assert!((changed[0]["interval"][1].as_f64().unwrap() + 0.25).abs() < 1e-9);
    assert!(bench.path("runs/changed/trials.parquet").is_file());

    let arguments = [
        "report",
        "runs/changed",
        "--compare",
        nights[0],
        "-o",
        "report.html",
    ];
    bench.offmodel(&arguments).succeeded();
    let page = std::fs::read_to_string(bench.path("report.html")).unwrap();
    assert!(page.contains("9 trials: 6 succeeded"));
    assert!(page.contains("Compared with nightly-2026-03-01"));
    assert!(page.contains("alt=\"Change of score\""));
    assert!(
        page.contains("&lt;img src=x onerror=alert(1)&gt;"),
        "failure reasons are escaped"
    );
    assert!(page.contains("&lt;b&gt;broken&lt;/b&gt;"));
    for hostile in ["<script", "<img src=x", "<b>broken"] {
        assert!(!page.contains(hostile), "{hostile}");
    }
    if let Some(folder) = std::env::var_os("OFFMODEL_TEST_ARTIFACTS") {
        std::fs::copy(
            bench.path("report.html"),
            std::path::Path::new(&folder).join("report.html"),
        )
        .unwrap();
    }
}

#[test]
fn every_trial_has_a_row_in_the_table_of_trials() {
    let bench = recording();
    bench.write(
        "s.toml",
        "version = 1\nnotebook = \"n.ipynb\"\n[grid]\nx = [12, 13]\n",
    );
    bench.offmodel(&["sweep", "s.toml"]).failed(1, "1 of 2");
    bench.notebook(
        "look.ipynb",
        &["let trials = ParquetReader::new(std::fs::File::open(\"runs/s/trials.parquet\")?).finish()?;\nlet shown = trials.select([\"x\", \"style\", \"attempts\", \"status\", \"cause\"])?;\nlet timed = trials.column(\"seconds\")?.f64()?.iter().all(|seconds| seconds.is_some_and(|seconds| seconds > 0.0));\nformat!(\"{timed} {shown:?}\")"],
    );
    let outputs = bench.outputs_of("look.ipynb");
    let shown = text(&outputs[0][0]);
    assert!(shown.contains("true"), "{shown}");
    assert!(
        shown.contains("succeeded") && shown.contains("failed"),
        "{shown}"
    );
    assert!(shown.contains("cell 2, line 2: ParseIntError"), "{shown}");
    // Both tables are made again from the attempts' folders.
    std::fs::remove_file(bench.path("runs/s/trials.parquet")).unwrap();
    std::fs::remove_file(bench.path("runs/s/results.parquet")).unwrap();
    bench
        .offmodel(&["report", "runs/s", "-o", "report.html"])
        .succeeded();
    assert_eq!(bench.outputs_of("look.ipynb").len(), 1);
    assert_eq!(rows(&bench, "runs/s"), ["1 plain 12 144"]);
}

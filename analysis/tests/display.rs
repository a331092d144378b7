//! Displays of frames as HTML and text, and reports.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use offmodel_analysis::{
    FrameDisplay, HeatmapAxes, Report, frame_html, frame_text, heatmap, published,
};
use polars::prelude::*;

fn hostile() -> DataFrame {
    df![
        "<script>alert('name')</script>" => [Some("<script>alert(\"value\")</script>"), None],
        "control" => ["line\nbreak\u{1b}[31m", "\u{202E}reversed & \"quoted\""],
        "long" => ["x".repeat(100_000), "short".to_owned()],
        "number" => [Some(-0.130_747_481), None],
        "count" => [66_u64, 7],
    ]
    .unwrap()
}

#[test]
fn a_short_frame_as_text() {
    insta::assert_snapshot!(frame_text(
        &published::olympiads_accuracy(),
        &FrameDisplay {
            max_rows: 20,
            ..FrameDisplay::default()
        }
    ));
}

#[test]
fn a_long_frame_as_text_shows_both_ends() {
    insta::assert_snapshot!(frame_text(
        &published::degradation(),
        &FrameDisplay::default()
    ));
}

#[test]
fn a_long_and_wide_frame_as_html_shows_both_ends() {
    let display = FrameDisplay {
        max_rows: 4,
        max_columns: 3,
        ..FrameDisplay::default()
    };
    insta::assert_snapshot!(frame_html(
        &published::change_and_gap("mmlu").unwrap(),
        &display
    ));
}

#[test]
fn hostile_values_as_html() {
    let html = frame_html(&hostile(), &FrameDisplay::default());
    assert!(!html.contains("<script"));
    assert!(html.len() < 3_000, "a long value is cut");
    insta::assert_snapshot!(html);
}

#[test]
fn hostile_values_as_text_move_no_cursor() {
    let text = frame_text(&hostile(), &FrameDisplay::default());
    assert!(text.chars().all(|c| c == '\n' || !c.is_control()));
    insta::assert_snapshot!(text);
}

#[test]
fn frames_without_rows_or_columns_have_a_shape() {
    let empty = DataFrame::empty();
    assert!(frame_html(&empty, &FrameDisplay::default()).contains("0 rows × 0 columns"));
    assert_eq!(
        frame_text(&empty, &FrameDisplay::default()),
        "0 rows × 0 columns\n"
    );
    let no_rows = published::degradation().head(Some(0));
    insta::assert_snapshot!(frame_text(&no_rows, &FrameDisplay::default()));
    let display = FrameDisplay {
        max_rows: 0,
        max_columns: 0,
        max_characters: 0,
    };
    assert!(frame_html(&published::degradation(), &display).contains("264 rows × 4 columns"));
}

#[test]
fn lists_and_all_null_columns_are_shown() {
    let list = Column::new(
        "list".into(),
        [
            Series::new("".into(), [1, 2]),
            Series::new("".into(), [3, 4]),
        ],
    );
    let null = Column::new_scalar("nothing".into(), Scalar::null(DataType::Null), 2);
    let flag = Column::new("flag".into(), [true, false]);
    let frame = DataFrame::new(2, vec![list, null, flag]).unwrap();
    insta::assert_snapshot!(frame_text(&frame, &FrameDisplay::default()));
}

fn report() -> Report {
    let figure = heatmap(
        &published::degradation(),
        &HeatmapAxes::new("student", "teacher", "change").panel_by("benchmark"),
    )
    .unwrap();
    Report::new("Results <i>today</i>")
        .section("Fit & figures")
        .paragraph("<script>alert(1)</script>\nsecond line")
        .preformatted("a  <b>  c")
        .figure(&figure, "Four \"benchmarks\"")
        .frame(&hostile(), "<table>")
}

#[test]
fn a_report_is_one_page_that_loads_and_runs_nothing() {
    let page = report().finish();
    assert!(page.starts_with("<!DOCTYPE html>"));
    assert!(!page.contains("<script") && !page.contains("<i>") && !page.contains("<b>"));
    for fetch in ["src=", "href=", "url(", "@import", "<link", "<iframe"] {
        assert!(!page.contains(fetch), "{fetch}");
    }
    // The only URL is the name of the SVG namespace.
    assert_eq!(
        page.matches("://").count(),
        page.matches("xmlns=\"http://www.w3.org/2000/svg\"").count()
    );
    for expected in [
        "<title>Results &lt;i&gt;today&lt;/i&gt;</title>",
        "<h2>Fit &amp; figures</h2>",
        "<p>&lt;script&gt;alert(1)&lt;/script&gt;\nsecond line</p>",
        "<figcaption>Four &quot;benchmarks&quot;</figcaption>",
        "<figcaption>&lt;table&gt;</figcaption>",
    ] {
        assert!(page.contains(expected), "{expected}");
    }
}

#[test]
fn a_report_is_saved_whole_or_the_old_one_stays() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("report.html");
    std::fs::write(&path, "old").unwrap();
    report().save(&path).unwrap();
    assert_eq!(std::fs::read_to_string(&path).unwrap(), report().finish());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    let error = report()
        .save(folder.path().join("missing/report.html"))
        .unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("failed to save a report: failed to write")
    );
}

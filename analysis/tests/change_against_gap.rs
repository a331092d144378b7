//! Change against gap: accepted frames, results and errors.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use offmodel_analysis::{
    FitError, StudyError, change_against_gap, ordinary_least_squares, published, with_families,
};
use polars::prelude::*;
use proptest::prelude::*;

fn pairs() -> DataFrame {
    published::change_and_gap("olympiads").unwrap()
}

#[test]
fn all_66_pairs_count_self_pairs_included() {
    let study = change_against_gap(&pairs()).unwrap();
    assert_eq!((study.fit.n, study.incomplete_pairs), (66, 0));
    insta::assert_snapshot!(study.to_string());
}

#[test]
fn a_fit_reads_as_a_table() {
    let fit = change_against_gap(&pairs()).unwrap().fit;
    insta::assert_snapshot!(fit.to_string());
}

#[test]
fn a_family_left_out_is_gone_from_both_sides() {
    let rest = change_against_gap(&pairs())
        .unwrap()
        .without_family("llama")
        .unwrap();
    assert_eq!(rest.fit.n, 36);
    assert!(!rest.families().unwrap().contains(&"llama".to_owned()));
    // Families can be left out one after another.
    let smaller = rest.without_family("gpt").unwrap();
    assert_eq!(smaller.fit.n, 4 * 7);
}

#[test]
fn an_unknown_family_lists_the_known_ones() {
    let error = change_against_gap(&pairs())
        .unwrap()
        .without_family("mistral")
        .unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to leave out family \"mistral\": the pairs have qwen, llama, deepseek, gpt, claude, gemma"
    );
}

#[test]
fn an_unknown_benchmark_lists_the_published_ones() {
    let error = published::change_and_gap("gsm8k").unwrap_err();
    assert_eq!(
        error.to_string(),
        "failed to find benchmark \"gsm8k\": published are ifeval, math_500, mmlu, olympiads"
    );
}

#[test]
fn a_family_without_which_no_line_can_be_fitted_has_a_row_with_the_reason() {
    let frame = df![
        "student" => ["qwen4b", "qwen4b", "qwen4b", "llama8b"],
        "teacher" => ["qwen4b", "llama8b", "gpt_5", "llama8b"],
        "gap" => [0.0, -0.5, 0.2, 0.0],
        "change" => [0.0, -0.5, -0.1, 0.01],
    ]
    .unwrap();
    let table = change_against_gap(&frame)
        .unwrap()
        .leave_one_family_out()
        .unwrap();
    let family = table.column("family_left_out").unwrap().str().unwrap();
    assert_eq!(
        family.iter().flatten().collect::<Vec<_>>(),
        ["qwen", "llama", "gpt"]
    );
    let problems = table.column("problem").unwrap().str().unwrap();
    assert_eq!(
        problems.get(0),
        Some("failed to fit a line: 1 points, at least 3 are needed")
    );
    assert_eq!(problems.get(2), None);
    assert_eq!(table.column("r").unwrap().f64().unwrap().get(0), None);
    assert_eq!(table.column("n").unwrap().u64().unwrap().get(2), Some(3));
}

#[test]
fn pairs_without_a_score_are_left_out_and_counted() {
    let frame = df![
        "student" => ["a", "a", "b", "b", "b"],
        "teacher" => ["a", "b", "a", "b", "c"],
        "gap" => [Some(0.0), Some(0.1), Some(-0.1), Some(0.0), None],
        "change" => [Some(0.0), Some(-0.1), Some(-0.3), None, Some(0.2)],
    ]
    .unwrap();
    let study = change_against_gap(&frame).unwrap();
    assert_eq!((study.fit.n, study.incomplete_pairs), (3, 2));
    assert!(
        study
            .to_string()
            .ends_with("left out: 2 pairs without change or gap\n")
    );
}

#[test]
fn integer_columns_are_accepted() {
    let frame = df![
        "student" => ["a", "a", "b"],
        "teacher" => ["a", "b", "a"],
        "gap" => [0, 10, -10],
        "change" => [0_i32, -2, -5],
    ]
    .unwrap();
    assert_eq!(change_against_gap(&frame).unwrap().fit.slope, 0.15);
}

#[test]
fn errors_name_column_and_type() {
    let missing = pairs().drop("gap").unwrap();
    assert_eq!(
        change_against_gap(&missing).unwrap_err().to_string(),
        "failed to read column \"gap\": the frame has benchmark, student, teacher, student_olympiads, \
         teacher_olympiads, change, student_family, teacher_family"
    );
    let text =
        df!["student" => ["a"], "teacher" => ["b"], "gap" => ["0.1"], "change" => [0.0]].unwrap();
    assert_eq!(
        change_against_gap(&text).unwrap_err().to_string(),
        "failed to read column \"gap\": expected numbers, found str"
    );
    let unnamed = df!["student" => [Some("a"), None], "teacher" => ["b", "c"]].unwrap();
    assert_eq!(
        with_families(&unnamed).unwrap_err().to_string(),
        "failed to read column \"student\": no value in row 1"
    );
}

#[test]
fn no_line_is_fitted_to_degenerate_points() {
    let error = |x: &[f64], y: &[f64]| ordinary_least_squares(x, y).unwrap_err();
    assert_eq!(error(&[1.0], &[]), FitError::LengthMismatch { x: 1, y: 0 });
    assert_eq!(error(&[], &[]), FitError::TooFewPoints { n: 0 });
    assert_eq!(
        error(&[1.0, 2.0], &[1.0, 2.0]),
        FitError::TooFewPoints { n: 2 }
    );
    assert_eq!(
        error(&[2.0; 4], &[1.0, 2.0, 3.0, 4.0]).to_string(),
        "failed to fit a line: all 4 values of x equal 2"
    );
    assert_eq!(
        error(&[1.0, 2.0, 3.0], &[0.0; 3]).to_string(),
        "failed to fit a line: all 3 values of y equal 0"
    );
    assert_eq!(
        error(&[1.0, 2.0, 3.0], &[0.0, f64::NAN, 1.0]).to_string(),
        "failed to fit a line: y[1] is NaN"
    );
    assert!(matches!(
        error(&[1e300, -1e300, 0.0], &[0.0, 1.0, 2.0]),
        FitError::OutOfRange { .. }
    ));
    assert!(matches!(
        change_against_gap(&pairs().head(Some(2))),
        Err(StudyError::Fit(FitError::TooFewPoints { n: 2 }))
    ));
}

#[test]
fn points_on_a_line_give_intervals_without_width() {
    let x = [0.0, 1.0, 2.0, 4.0];
    let y = x.map(|x| 3.0 - 2.0 * x);
    let fit = ordinary_least_squares(&x, &y).unwrap();
    assert_eq!((fit.intercept, fit.slope, fit.r), (3.0, -2.0, -1.0));
    assert_eq!((fit.residual_standard_error, fit.slope_p_value), (0.0, 0.0));
    let crossing = fit.x_intercept_interval.unwrap();
    assert_eq!(
        (fit.x_intercept, crossing.low, crossing.high),
        (Some(1.5), 1.5, 1.5)
    );
}

#[test]
fn a_line_without_slope_never_crosses_zero() {
    let fit = ordinary_least_squares(&[-1.0, 0.0, 1.0], &[1.0, 2.0, 1.0]).unwrap();
    assert_eq!(
        (fit.slope, fit.x_intercept, fit.x_intercept_interval),
        (0.0, None, None)
    );
    let frame = fit.to_frame().unwrap();
    assert_eq!(frame.shape(), (6, 6));
}

#[test]
fn the_embedded_tables_equal_the_shared_data() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data/paper");
    if !folder.is_dir() {
        offmodel_support::testing::skip(
            "no shared data of the study beside the checkout (shared/data/paper)",
        );
        return;
    }
    for name in [
        "degradation.csv",
        "olympiads_accuracy.csv",
        "experiments.csv",
    ] {
        let ours = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("data")
            .join(name);
        assert_eq!(
            std::fs::read(ours).unwrap(),
            std::fs::read(folder.join(name)).unwrap(),
            "{name}"
        );
    }
}

#[test]
fn every_embedded_table_parses() {
    assert_eq!(published::degradation().shape(), (264, 4));
    assert_eq!(published::olympiads_accuracy().shape(), (11, 2));
    let experiments = published::experiments();
    assert_eq!(experiments.width(), 5);
    assert_eq!(experiments.column("value").unwrap().null_count(), 0);
}

proptest! {
    /// Shifting and scaling x shifts and scales the line and does not change the correlation.
    #[test]
    fn the_line_follows_a_change_of_units(
        points in prop::collection::vec((-10.0..10.0_f64, -10.0..10.0_f64), 4..40),
        shift in -50.0..50.0_f64,
        factor in 0.1..10.0_f64,
    ) {
        let (x, y): (Vec<f64>, Vec<f64>) = points.into_iter().unzip();
        let moved: Vec<f64> = x.iter().map(|x| x * factor + shift).collect();
        if let (Ok(fit), Ok(other)) = (ordinary_least_squares(&x, &y), ordinary_least_squares(&moved, &y)) {
            let scale = 1e-6 * (1.0 + fit.slope.abs() + fit.intercept.abs());
            prop_assert!((other.slope * factor - fit.slope).abs() < scale);
            prop_assert!((other.at(shift) - fit.intercept).abs() < scale * 100.0);
            prop_assert!((other.r - fit.r).abs() < 1e-6);
            prop_assert!((-1.0..=1.0).contains(&fit.r));
            if let (Some(crossing), Some(interval)) = (fit.x_intercept, fit.x_intercept_interval) {
                prop_assert!(interval.low <= crossing && crossing <= interval.high);
            }
        }
    }
}

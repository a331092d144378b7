//! The statistics agree with statsmodels and scipy (`tests/reference/analysis_ols.py`) to 1e-9.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;

use offmodel_analysis::{
    Bootstrap, bootstrap_mean_difference, change_against_gap, ordinary_least_squares, pass_at_k,
    published, wilson_interval,
};
use serde_json::Value;

fn reference() -> Value {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/analysis_ols.json");
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

fn list(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap())
        .collect()
}

#[track_caller]
fn assert_close(what: &str, found: f64, expected: &Value) {
    let expected = expected.as_f64().unwrap();
    let tolerance = 1e-9 * expected.abs().max(1.0);
    assert!(
        (found - expected).abs() <= tolerance,
        "{what}: found {found}, expected {expected}"
    );
}

#[track_caller]
fn assert_interval(what: &str, found: Option<(f64, f64)>, expected: &Value) {
    if expected.is_null() {
        assert_eq!(found, None, "{what}");
        return;
    }
    let (low, high) = found.unwrap_or_else(|| panic!("{what}: expected {expected}"));
    assert_close(what, low, &expected[0]);
    assert_close(what, high, &expected[1]);
}

#[test]
fn lines_agree_with_statsmodels() {
    let reference = reference();
    let fits = reference["fits"].as_array().unwrap();
    assert!(fits.len() >= 14);
    for expected in fits {
        let name = expected["name"].as_str().unwrap();
        let fit = ordinary_least_squares(&list(&expected["x"]), &list(&expected["y"])).unwrap();
        assert_eq!(fit.n as u64, expected["n"].as_u64().unwrap());
        for (quantity, found) in [
            ("intercept", fit.intercept),
            ("slope", fit.slope),
            ("intercept_standard_error", fit.intercept_standard_error),
            ("slope_standard_error", fit.slope_standard_error),
            ("slope_p_value", fit.slope_p_value),
            ("r", fit.r),
            ("r_squared", fit.r_squared),
            ("residual_standard_error", fit.residual_standard_error),
            ("x_intercept", fit.x_intercept.unwrap()),
        ] {
            assert_close(&format!("{name}: {quantity}"), found, &expected[quantity]);
        }
        for (quantity, found) in [
            ("intercept_interval", Some(fit.intercept_interval)),
            ("slope_interval", Some(fit.slope_interval)),
            ("r_interval", fit.r_interval),
            ("x_intercept_interval", fit.x_intercept_interval),
        ] {
            let found = found.map(|interval| (interval.low, interval.high));
            assert_interval(&format!("{name}: {quantity}"), found, &expected[quantity]);
        }
        for band in expected["band"].as_array().unwrap() {
            let interval = fit.interval_at(band[0].as_f64().unwrap());
            assert_close(&format!("{name}: band"), interval.low, &band[1]);
            assert_close(&format!("{name}: band"), interval.high, &band[2]);
        }
    }
}

#[test]
fn the_published_frames_give_the_reference_fits() {
    let reference = reference();
    let expected = |name: String| {
        let fits = reference["fits"].as_array().unwrap();
        fits.iter()
            .find(|fit| fit["name"] == name.as_str())
            .unwrap()
    };
    for benchmark in ["olympiads", "ifeval", "math_500", "mmlu"] {
        let study = change_against_gap(&published::change_and_gap(benchmark).unwrap()).unwrap();
        let expected = expected(benchmark.to_owned());
        assert_close(benchmark, study.fit.intercept, &expected["intercept"]);
        assert_close(benchmark, study.fit.r, &expected["r"]);
    }
    let study = change_against_gap(&published::change_and_gap("olympiads").unwrap()).unwrap();
    let table = study.leave_one_family_out().unwrap();
    let families = study.families().unwrap();
    assert_eq!(families.len(), 6);
    for (row, family) in families.iter().enumerate() {
        let expected = expected(format!("olympiads without {family}"));
        let cell = |column: &str| {
            table
                .column(column)
                .unwrap()
                .f64()
                .unwrap()
                .get(row)
                .unwrap()
        };
        let n = table.column("n").unwrap().u64().unwrap().get(row).unwrap();
        assert_eq!(n, expected["n"].as_u64().unwrap());
        assert_close(family, cell("intercept"), &expected["intercept"]);
        assert_close(family, cell("slope_low"), &expected["slope_interval"][0]);
        assert_close(family, cell("r"), &expected["r"]);
        assert_close(family, cell("r_high"), &expected["r_interval"][1]);
        assert_close(
            family,
            cell("x_intercept_low"),
            &expected["x_intercept_interval"][0],
        );
    }
}

#[test]
fn quantiles_of_student_agree_with_scipy() {
    // Half the width of the slope's interval is the quantile at n - 2 degrees of freedom times the standard
    // error.
    for expected in reference()["student_quantiles_975"].as_array().unwrap() {
        let n = expected["freedom"].as_u64().unwrap() as usize + 2;
        let x: Vec<f64> = (0..n).map(|i| i as f64).collect();
        let y: Vec<f64> = (0..n).map(|i| (i as f64).cos()).collect();
        let fit = ordinary_least_squares(&x, &y).unwrap();
        let quantile = fit.slope_interval.width() / 2.0 / fit.slope_standard_error;
        assert_close(&format!("{n} points"), quantile, &expected["value"]);
    }
}

#[test]
fn wilson_agrees_with_statsmodels() {
    for expected in reference()["wilson"].as_array().unwrap() {
        let interval = wilson_interval(
            expected["successes"].as_u64().unwrap(),
            expected["trials"].as_u64().unwrap(),
            expected["level"].as_f64().unwrap(),
        )
        .unwrap();
        assert_interval(
            "wilson",
            Some((interval.low, interval.high)),
            &expected["interval"],
        );
    }
}

#[test]
fn pass_at_k_agrees_with_the_hypergeometric_distribution() {
    for expected in reference()["pass_at_k"].as_array().unwrap() {
        let argument = |name: &str| expected[name].as_u64().unwrap();
        let value = pass_at_k(argument("samples"), argument("correct"), argument("k")).unwrap();
        assert_close("pass@k", value, &expected["value"]);
    }
}

#[test]
fn the_bootstrap_agrees_with_scipy_within_its_own_noise() {
    let reference = reference();
    let expected = &reference["bootstrap"];
    let settings = Bootstrap {
        resamples: 20_000,
        ..Bootstrap::default()
    };
    let found = bootstrap_mean_difference(
        &list(&expected["before"]),
        &list(&expected["after"]),
        &settings,
    )
    .unwrap();
    assert_close("estimate", found.estimate, &expected["estimate"]);
    // The generators differ; one problem more or less moves a resampled mean by 1/200.
    let bounds = list(&expected["interval"]);
    assert!(
        (found.interval.low - bounds[0]).abs() <= 0.0051,
        "{:?}",
        found.interval
    );
    assert!(
        (found.interval.high - bounds[1]).abs() <= 0.0051,
        "{:?}",
        found.interval
    );
}

//! A straight line by ordinary least squares, with intervals.

use std::fmt;

use polars::prelude::{Column, DataFrame, PolarsResult};
use statrs::distribution::{Continuous, ContinuousCDF, Normal, StudentsT};
use thiserror::Error;

use super::ConfidenceInterval;

/// Confidence level of every interval of a [`LineFit`].
const LEVEL: f64 = 0.95;

/// Why no line can be fitted.
#[derive(Clone, Debug, Error, PartialEq)]
#[non_exhaustive]
pub enum FitError {
    /// `x` and `y` have different lengths.
    #[error("failed to fit a line: {x} values of x but {y} values of y")]
    LengthMismatch {
        /// Number of x values.
        x: usize,
        /// Number of y values.
        y: usize,
    },
    /// There are fewer than three points, so the residuals have no degrees of freedom.
    #[error("failed to fit a line: {n} points, at least 3 are needed")]
    TooFewPoints {
        /// Number of points given.
        n: usize,
    },
    /// A value is NaN or infinite.
    #[error("failed to fit a line: {axis}[{index}] is {value}")]
    NotFinite {
        /// `x` or `y`.
        axis: &'static str,
        /// The position in the slice, from 0.
        index: usize,
        /// The value.
        value: f64,
    },
    /// All values of an axis are equal, so the slope (x) or the correlation (y) is undefined.
    #[error("failed to fit a line: all {n} values of {axis} equal {value}")]
    Constant {
        /// `x` or `y`.
        axis: &'static str,
        /// Number of points given.
        n: usize,
        /// The value they share.
        value: f64,
    },
    /// The squares of the values overflow or underflow in double precision.
    #[error("failed to fit a line: the spread of {axis} is {spread:e}, out of range")]
    OutOfRange {
        /// `x` or `y`.
        axis: &'static str,
        /// Sum of squared deviations.
        spread: f64,
    },
}

/// A fitted line `y = intercept + slope * x`.
///
/// The intervals have 95% coverage if the residuals are independent and normal with equal variance.
/// Pairs that share a student or a teacher are not independent, so their intervals are too narrow.
#[derive(Clone, Debug, PartialEq)]
pub struct LineFit {
    /// Number of points.
    pub n: usize,
    /// Fitted y at x = 0.
    pub intercept: f64,
    /// Standard error of the intercept.
    pub intercept_standard_error: f64,
    /// 95% interval of the intercept from Student's t with n - 2 degrees of freedom.
    pub intercept_interval: ConfidenceInterval,
    /// Change of fitted y per unit of x.
    pub slope: f64,
    /// Standard error of the slope.
    pub slope_standard_error: f64,
    /// 95% interval of the slope from Student's t with n - 2 degrees of freedom.
    pub slope_interval: ConfidenceInterval,
    /// Two-sided p-value of the slope against zero.
    pub slope_p_value: f64,
    /// Pearson's correlation of x and y.
    pub r: f64,
    /// 95% interval of r by Fisher's z transformation; `None` for three points, where the variance of z
    /// is undefined.
    pub r_interval: Option<ConfidenceInterval>,
    /// Share of the variance of y explained by the line, `r * r`.
    pub r_squared: f64,
    /// x at which the line crosses zero, `-intercept / slope`; `None` for slope 0.
    pub x_intercept: Option<f64>,
    /// 95% interval of the x-intercept by Fieller's theorem; `None` if it is unbounded, which it is unless
    /// the slope differs from zero at that level.
    pub x_intercept_interval: Option<ConfidenceInterval>,
    /// Standard deviation of the residuals with n - 2 degrees of freedom, in the units of y.
    pub residual_standard_error: f64,
    mean_x: f64,
    spread_x: f64,
    t_quantile: f64,
}

/// Fits `y = intercept + slope * x` by ordinary least squares.
///
/// # Errors
/// When the slices have different lengths, there are fewer than three points, a value is not finite, or
/// x or y is constant.
pub fn ordinary_least_squares(x: &[f64], y: &[f64]) -> Result<LineFit, FitError> {
    check_values(x, y)?;
    let n = x.len();
    let count = n as f64;
    let mean_x = x.iter().sum::<f64>() / count;
    let mean_y = y.iter().sum::<f64>() / count;
    let spread_x = spread("x", x, mean_x)?;
    let spread_y = spread("y", y, mean_y)?;
    let joint: f64 = x
        .iter()
        .zip(y)
        .map(|(x, y)| (x - mean_x) * (y - mean_y))
        .sum();

    let slope = joint / spread_x;
    let intercept = mean_y - slope * mean_x;
    // Rounding may push |r| of collinear points beyond 1.
    let r = (joint / (spread_x.sqrt() * spread_y.sqrt())).clamp(-1.0, 1.0);
    let residual_squares: f64 = x
        .iter()
        .zip(y)
        .map(|(x, y)| (y - mean_y - slope * (x - mean_x)).powi(2))
        .sum();
    let freedom = count - 2.0;
    let residual_standard_error = (residual_squares / freedom).sqrt();
    let slope_standard_error = residual_standard_error / spread_x.sqrt();
    let intercept_standard_error =
        residual_standard_error * (1.0 / count + mean_x * mean_x / spread_x).sqrt();

    let t_quantile = student_quantile(freedom, 0.5 + LEVEL / 2.0);
    let mut fit = LineFit {
        n,
        intercept,
        intercept_standard_error,
        intercept_interval: around(intercept, t_quantile * intercept_standard_error),
        slope,
        slope_standard_error,
        slope_interval: around(slope, t_quantile * slope_standard_error),
        slope_p_value: student_p_value(freedom, slope / slope_standard_error),
        r,
        r_interval: fisher_interval(r, n),
        r_squared: r * r,
        x_intercept: (slope != 0.0).then(|| -intercept / slope),
        x_intercept_interval: None,
        residual_standard_error,
        mean_x,
        spread_x,
        t_quantile,
    };
    fit.x_intercept_interval = fit.fieller_interval();
    Ok(fit)
}

impl LineFit {
    /// Fitted y at `x`.
    #[must_use]
    pub fn at(&self, x: f64) -> f64 {
        self.intercept + self.slope * x
    }

    /// 95% interval of the fitted mean at `x`; pointwise, as in the confidence band of a figure.
    #[must_use]
    pub fn interval_at(&self, x: f64) -> ConfidenceInterval {
        let leverage = 1.0 / self.n as f64 + (x - self.mean_x).powi(2) / self.spread_x;
        around(
            self.at(x),
            self.t_quantile * self.residual_standard_error * leverage.sqrt(),
        )
    }

    /// The fit as a frame: one row per quantity, with columns `quantity`, `estimate`, `standard_error`,
    /// `low`, `high` and `n` (the number of points). Standard error and interval are null where a quantity
    /// has none.
    ///
    /// # Errors
    /// Only if polars rejects columns of equal length.
    pub fn to_frame(&self) -> PolarsResult<DataFrame> {
        let rows = self.rows();
        let bound = |pick: fn(ConfidenceInterval) -> f64| -> Vec<Option<f64>> {
            rows.iter().map(|row| row.interval.map(pick)).collect()
        };
        let names: Vec<&str> = rows.iter().map(|row| row.quantity).collect();
        let estimates: Vec<Option<f64>> = rows.iter().map(|row| row.estimate).collect();
        let errors: Vec<Option<f64>> = rows.iter().map(|row| row.standard_error).collect();
        DataFrame::new(
            rows.len(),
            vec![
                Column::new("quantity".into(), names),
                Column::new("estimate".into(), estimates),
                Column::new("standard_error".into(), errors),
                Column::new("low".into(), bound(|interval| interval.low)),
                Column::new("high".into(), bound(|interval| interval.high)),
                Column::new("n".into(), vec![self.n as u64; rows.len()]),
            ],
        )
    }

    fn rows(&self) -> [Row; 6] {
        let row = |quantity, estimate, standard_error, interval| Row {
            quantity,
            estimate,
            standard_error,
            interval,
        };
        [
            row(
                "intercept",
                Some(self.intercept),
                Some(self.intercept_standard_error),
                Some(self.intercept_interval),
            ),
            row(
                "slope",
                Some(self.slope),
                Some(self.slope_standard_error),
                Some(self.slope_interval),
            ),
            row(
                "x_intercept",
                self.x_intercept,
                None,
                self.x_intercept_interval,
            ),
            row("r", Some(self.r), None, self.r_interval),
            row("r_squared", Some(self.r_squared), None, None),
            row(
                "residual_standard_error",
                Some(self.residual_standard_error),
                None,
                None,
            ),
        ]
    }

    /// The interval of x on which the confidence band contains zero: `(a + b x)^2 <= t^2 Var(a + b x)`.
    ///
    /// Fieller, "Some problems in interval estimation", Journal of the Royal Statistical Society B 16
    /// (1954).
    fn fieller_interval(&self) -> Option<ConfidenceInterval> {
        // With u = x - mean(x), intercept and slope are uncorrelated, so the quadratic has no covariance:
        // (b^2 - t^2 s^2 / Sxx) u^2 + 2 m b u + (m^2 - t^2 s^2 / n) <= 0, where m is the fitted y at mean(x).
        let centre = self.at(self.mean_x);
        let slope_margin = self.t_quantile * self.slope_standard_error;
        let centre_margin = self.t_quantile * self.residual_standard_error / (self.n as f64).sqrt();
        let square = (self.slope - slope_margin) * (self.slope + slope_margin);
        if square <= 0.0 {
            return None;
        }
        let offset = -centre * self.slope / square;
        let radicand = (centre * slope_margin).powi(2) + centre_margin.powi(2) * square;
        let half_width = radicand.sqrt() / square;
        Some(ConfidenceInterval {
            low: self.mean_x + offset - half_width,
            high: self.mean_x + offset + half_width,
            level: LEVEL,
        })
    }
}

struct Row {
    quantity: &'static str,
    estimate: Option<f64>,
    standard_error: Option<f64>,
    interval: Option<ConfidenceInterval>,
}

/// Writes a table with one quantity a line.
impl fmt::Display for LineFit {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            formatter,
            "y = {:.4} {} {:.4} x   (ordinary least squares, n = {})",
            self.intercept,
            if self.slope < 0.0 { '-' } else { '+' },
            self.slope.abs(),
            self.n
        )?;
        writeln!(
            formatter,
            "{:<24}{:>10}{:>12}   {:<20}",
            "", "estimate", "std. error", "95% interval"
        )?;
        for row in self.rows() {
            let number =
                |value: Option<f64>| value.map_or_else(String::new, |value| format!("{value:.4}"));
            let interval = row
                .interval
                .map_or_else(String::new, |interval| format!("{interval:.4}"));
            let line = format!(
                "{:<24}{:>10}{:>12}   {interval}",
                row.quantity.replace('_', " "),
                number(row.estimate),
                number(row.standard_error),
            );
            writeln!(formatter, "{}", line.trim_end())?;
        }
        Ok(())
    }
}

fn check_values(x: &[f64], y: &[f64]) -> Result<(), FitError> {
    if x.len() != y.len() {
        return Err(FitError::LengthMismatch {
            x: x.len(),
            y: y.len(),
        });
    }
    if x.len() < 3 {
        return Err(FitError::TooFewPoints { n: x.len() });
    }
    for (axis, values) in [("x", x), ("y", y)] {
        if let Some(index) = values.iter().position(|value| !value.is_finite()) {
            let value = values[index];
            return Err(FitError::NotFinite { axis, index, value });
        }
        if values.iter().all(|value| *value == values[0]) {
            let (n, value) = (values.len(), values[0]);
            return Err(FitError::Constant { axis, n, value });
        }
    }
    Ok(())
}

/// Sum of squared deviations from the mean.
fn spread(axis: &'static str, values: &[f64], mean: f64) -> Result<f64, FitError> {
    let spread = values
        .iter()
        .map(|value| (value - mean).powi(2))
        .sum::<f64>();
    if spread.is_normal() {
        Ok(spread)
    } else {
        Err(FitError::OutOfRange { axis, spread })
    }
}

fn around(estimate: f64, half_width: f64) -> ConfidenceInterval {
    ConfidenceInterval {
        low: estimate - half_width,
        high: estimate + half_width,
        level: LEVEL,
    }
}

/// The interval of a correlation by Fisher's z = atanh(r), whose standard error is `1 / sqrt(n - 3)`.
fn fisher_interval(r: f64, n: usize) -> Option<ConfidenceInterval> {
    (n > 3).then(|| {
        let margin = Normal::standard().inverse_cdf(0.5 + LEVEL / 2.0) / (n as f64 - 3.0).sqrt();
        ConfidenceInterval {
            low: (r.atanh() - margin).tanh(),
            high: (r.atanh() + margin).tanh(),
            level: LEVEL,
        }
    })
}

/// A quantile of Student's t above the median. The inverse in statrs 0.18 is wrong in the sixth digit at
/// many degrees of freedom, so Newton steps on its distribution function, which is accurate, follow.
fn student_quantile(freedom: f64, probability: f64) -> f64 {
    let student = student(freedom);
    let mut quantile = student.inverse_cdf(probability);
    for _ in 0..3 {
        quantile -= (student.cdf(quantile) - probability) / student.pdf(quantile);
    }
    quantile
}

fn student_p_value(freedom: f64, statistic: f64) -> f64 {
    // A perfect fit has no residuals, so its statistic is infinite.
    if statistic.is_infinite() {
        return 0.0;
    }
    2.0 * student(freedom).sf(statistic.abs())
}

#[expect(
    clippy::expect_used,
    reason = "fails only if the degrees of freedom are not positive; n >= 3 was checked"
)]
fn student(freedom: f64) -> StudentsT {
    StudentsT::new(0.0, 1.0, freedom).expect("n - 2 >= 1 degrees of freedom")
}

//! How the change of a student depends on the gap between its teacher and it.

use std::fmt;

use polars::prelude::{BooleanChunked, Column, DataFrame, NewChunkedArray, PolarsError};
use thiserror::Error;

use super::with_families;
use crate::columns::{ColumnError, distinct, optional_numbers, texts};
use crate::statistics::{ConfidenceInterval, FitError, LineFit, ordinary_least_squares};

/// Why a computation of the study failed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StudyError {
    /// A column is missing or of another type.
    #[error(transparent)]
    Column(#[from] ColumnError),
    /// No line can be fitted to the pairs.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// No student and no teacher is of the family.
    #[error("failed to leave out family {family:?}: the pairs have {}", known.join(", "))]
    UnknownFamily {
        /// The requested family.
        family: String,
        /// The families of the pairs.
        known: Vec<String>,
    },
    /// No numbers were published for the benchmark.
    #[error("failed to find benchmark {benchmark:?}: published are {}", known.join(", "))]
    UnknownBenchmark {
        /// The requested benchmark.
        benchmark: String,
        /// The benchmarks with published numbers.
        known: Vec<String>,
    },
    /// polars rejected an operation.
    #[error("failed to build a frame: {0}")]
    Frame(#[from] PolarsError),
}

/// The line `change = intercept + slope * gap` over pairs of student and teacher.
///
/// Its intercept is the *fitted change at zero gap*: the effect of training on a teacher that is as good
/// as the student. Its x-intercept is the gap at which the fitted change is zero.
#[derive(Clone, Debug)]
pub struct ChangeAgainstGap {
    /// The fitted line.
    pub fit: LineFit,
    /// The pairs of the fit, with columns `student_family` and `teacher_family` added.
    pub pairs: DataFrame,
    /// Number of pairs left out because their change or gap is null.
    pub incomplete_pairs: usize,
}

/// Fits change against gap.
///
/// `frame` has a row per pair and the columns `student` and `teacher` (text), `change` (score after
/// training minus baseline) and `gap` (teacher's score minus the student's baseline), both in the units
/// of the score. Pairs whose change or gap is null are left out and counted.
///
/// # Errors
/// When a column is missing or has the wrong type, or no line can be fitted to the pairs.
pub fn change_against_gap(frame: &DataFrame) -> Result<ChangeAgainstGap, StudyError> {
    let frame = with_families(frame)?;
    let gaps = optional_numbers(&frame, "gap")?;
    let changes = optional_numbers(&frame, "change")?;
    let complete: Vec<bool> = gaps
        .iter()
        .zip(&changes)
        .map(|(gap, change)| gap.is_some() && change.is_some())
        .collect();
    let incomplete_pairs = complete.iter().filter(|complete| !**complete).count();
    let (x, y): (Vec<f64>, Vec<f64>) = gaps
        .into_iter()
        .zip(changes)
        .filter_map(|(gap, change)| Some((gap?, change?)))
        .unzip();
    Ok(ChangeAgainstGap {
        fit: ordinary_least_squares(&x, &y)?,
        pairs: keep_rows(&frame, &complete)?,
        incomplete_pairs,
    })
}

impl ChangeAgainstGap {
    /// The fit without the pairs whose student or teacher is of `family`.
    ///
    /// # Errors
    /// When no pair has the family, or no line can be fitted to the other pairs.
    pub fn without_family(&self, family: &str) -> Result<ChangeAgainstGap, StudyError> {
        let known = self.families()?;
        if !known.iter().any(|known| known == family) {
            return Err(StudyError::UnknownFamily {
                family: family.to_owned(),
                known,
            });
        }
        let students = texts(&self.pairs, "student_family")?;
        let teachers = texts(&self.pairs, "teacher_family")?;
        let keep: Vec<bool> = students
            .iter()
            .zip(&teachers)
            .map(|(student, teacher)| student != family && teacher != family)
            .collect();
        change_against_gap(&keep_rows(&self.pairs, &keep)?)
    }

    /// The families of students and teachers, in order of first appearance.
    ///
    /// # Errors
    /// Only if `pairs` was modified.
    pub fn families(&self) -> Result<Vec<String>, StudyError> {
        let mut families = texts(&self.pairs, "student_family")?;
        families.extend(texts(&self.pairs, "teacher_family")?);
        Ok(distinct(&families))
    }

    /// One row per family, with the fit [without](Self::without_family) it: columns `family_left_out`,
    /// `n`, estimate and 95% bounds of intercept, slope, r and x-intercept, and `problem`. If no line can
    /// be fitted to the other pairs, the numbers are null and `problem` is the reason.
    ///
    /// # Errors
    /// Only if `pairs` was modified.
    pub fn leave_one_family_out(&self) -> Result<DataFrame, StudyError> {
        let families = self.families()?;
        let mut fits = Vec::with_capacity(families.len());
        let mut problems = Vec::with_capacity(families.len());
        for family in &families {
            match self.without_family(family) {
                Ok(rest) => {
                    fits.push(Some(rest.fit));
                    problems.push(None);
                }
                Err(StudyError::Fit(error)) => {
                    fits.push(None);
                    problems.push(Some(error.to_string()));
                }
                Err(error) => return Err(error),
            }
        }
        fits_frame(families, &fits, problems)
    }
}

/// Writes the fit in the terms of the study.
impl fmt::Display for ChangeAgainstGap {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let fit = &self.fit;
        let interval = |interval: Option<ConfidenceInterval>| {
            interval.map_or_else(|| "unbounded".to_owned(), |interval| interval.to_string())
        };
        writeln!(
            formatter,
            "change against gap over {} pairs (ordinary least squares, 95% intervals)",
            fit.n
        )?;
        writeln!(
            formatter,
            "fitted change at zero gap {:>8.4}  {}",
            fit.intercept, fit.intercept_interval
        )?;
        writeln!(
            formatter,
            "slope                     {:>8.4}  {}",
            fit.slope, fit.slope_interval
        )?;
        writeln!(
            formatter,
            "r                         {:>8.4}  {}",
            fit.r,
            interval(fit.r_interval)
        )?;
        if let Some(x_intercept) = fit.x_intercept {
            writeln!(
                formatter,
                "gap at zero fitted change {x_intercept:>8.4}  {}",
                interval(fit.x_intercept_interval)
            )?;
        }
        if self.incomplete_pairs > 0 {
            writeln!(
                formatter,
                "left out: {} pairs without change or gap",
                self.incomplete_pairs
            )?;
        }
        Ok(())
    }
}

fn fits_frame(
    families: Vec<String>,
    fits: &[Option<LineFit>],
    problems: Vec<Option<String>>,
) -> Result<DataFrame, StudyError> {
    let number = |name: &str, pick: &dyn Fn(&LineFit) -> Option<f64>| {
        let values: Vec<Option<f64>> = fits.iter().map(|fit| fit.as_ref().and_then(pick)).collect();
        Column::new(name.into(), values)
    };
    let counts: Vec<Option<u64>> = fits
        .iter()
        .map(|fit| fit.as_ref().map(|fit| fit.n as u64))
        .collect();
    let low = |interval: Option<ConfidenceInterval>| interval.map(|interval| interval.low);
    let high = |interval: Option<ConfidenceInterval>| interval.map(|interval| interval.high);
    let columns = vec![
        Column::new("family_left_out".into(), families),
        Column::new("n".into(), counts),
        number("intercept", &|fit| Some(fit.intercept)),
        number("intercept_low", &|fit| Some(fit.intercept_interval.low)),
        number("intercept_high", &|fit| Some(fit.intercept_interval.high)),
        number("slope", &|fit| Some(fit.slope)),
        number("slope_low", &|fit| Some(fit.slope_interval.low)),
        number("slope_high", &|fit| Some(fit.slope_interval.high)),
        number("r", &|fit| Some(fit.r)),
        number("r_low", &|fit| low(fit.r_interval)),
        number("r_high", &|fit| high(fit.r_interval)),
        number("x_intercept", &|fit| fit.x_intercept),
        number("x_intercept_low", &|fit| low(fit.x_intercept_interval)),
        number("x_intercept_high", &|fit| high(fit.x_intercept_interval)),
        Column::new("problem".into(), problems),
    ];
    Ok(DataFrame::new(fits.len(), columns)?)
}

fn keep_rows(frame: &DataFrame, keep: &[bool]) -> Result<DataFrame, StudyError> {
    Ok(frame.filter(&BooleanChunked::from_slice("keep".into(), keep))?)
}

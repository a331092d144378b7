//! How the change of a student depends on the gap to its teacher.

use std::fmt;

use polars::prelude::{BooleanChunked, Column, DataFrame, NewChunkedArray, PolarsError};
use thiserror::Error;

use super::with_families;
use crate::columns::{ColumnError, distinct, optional_numbers, texts};
use crate::statistics::{ConfidenceInterval, FitError, LineFit, ordinary_least_squares};

/// Why a question of the study could not be answered from a frame.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum StudyError {
    /// A column is missing or of another type.
    #[error(transparent)]
    Column(#[from] ColumnError),
    /// The pairs have no line.
    #[error(transparent)]
    Fit(#[from] FitError),
    /// The family is neither among the students nor among the teachers.
    #[error("failed to leave out family {family:?}: the pairs have {}", known.join(", "))]
    UnknownFamily {
        /// Family asked for.
        family: String,
        /// Families of the pairs.
        known: Vec<String>,
    },
    /// The benchmark was not published.
    #[error("failed to find benchmark {benchmark:?}: published are {}", known.join(", "))]
    UnknownBenchmark {
        /// Benchmark asked for.
        benchmark: String,
        /// Benchmarks that were published.
        known: Vec<String>,
    },
    /// polars refused an operation.
    #[error("failed to build a frame: {0}")]
    Frame(#[from] PolarsError),
}

/// The line `change = intercept + slope * gap` over pairs of student and teacher.
///
/// Its intercept is the *fitted change at zero gap*: what training on a teacher as good as the student does. Its
/// x-intercept is another thing, the gap at which the fitted change is zero.
#[derive(Clone, Debug)]
pub struct ChangeAgainstGap {
    /// The fitted line.
    pub fit: LineFit,
    /// The pairs it was fitted to, with columns `student_family` and `teacher_family` added.
    pub pairs: DataFrame,
    /// Pairs that were left out because their change or gap is null.
    pub incomplete_pairs: usize,
}

/// Fits change against gap.
///
/// `frame` has a row per pair and the columns `student`, `teacher` (text), `change` (score after training minus
/// before) and `gap` (teacher's score minus student's baseline), both in units of the score. A pair whose change or
/// gap is null is left out and counted.
///
/// # Errors
/// A missing or wrong column, or pairs through which no line can be fitted.
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
    /// The fit without the pairs in which `family` is the student's or the teacher's.
    ///
    /// # Errors
    /// A family that no pair has, or too few pairs left.
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

    /// Families among students and teachers, in order of first appearance.
    ///
    /// # Errors
    /// Only if `pairs` was changed by hand.
    pub fn families(&self) -> Result<Vec<String>, StudyError> {
        let mut families = texts(&self.pairs, "student_family")?;
        families.extend(texts(&self.pairs, "teacher_family")?);
        Ok(distinct(&families))
    }

    /// One row per family, with the fit of the pairs that remain when the family is left out of students and
    /// teachers: `family_left_out`, `n`, and estimate with 95% bounds of intercept, slope, r and x-intercept.
    /// Where no line can be fitted to the rest, the numbers are null and `problem` says why.
    ///
    /// # Errors
    /// Only if `pairs` was changed by hand.
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

/// The line in the words of the study.
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

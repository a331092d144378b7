//! The published numbers of the study being reproduced, as frames.
//!
//! Source: "Why does off-model SFT degrade capabilities?" (2026-05) and the public repository of its code, whose
//! figures print these values to two decimals. See `analysis/data/README.md`.

use std::collections::HashMap;
use std::io::Cursor;

use polars::prelude::{Column, CsvReader, DataFrame, SerReader};

use super::StudyError;
use crate::columns::{distinct, numbers, texts};

/// The change in accuracy of 6 students trained on 11 teachers, on 4 benchmarks of 200 items each: columns
/// `benchmark`, `student`, `teacher`, `change`.
#[must_use]
pub fn degradation() -> DataFrame {
    parse(include_str!("../../data/degradation.csv"))
}

/// The Olympiads accuracy of each model without training, from which the gap is computed: columns
/// `model`, `accuracy`. The baselines of the individual runs, in [`experiments`], differ slightly.
#[must_use]
pub fn olympiads_accuracy() -> DataFrame {
    parse(include_str!("../../data/olympiads_accuracy.csv"))
}

/// The numbers of the other experiments, as far as the figures show them: columns `experiment`, `student`,
/// `benchmark`, `measure`, `value`.
#[must_use]
pub fn experiments() -> DataFrame {
    parse(include_str!("../../data/experiments.csv"))
}

/// The pairs of one benchmark, as input for [`change_against_gap`](crate::change_against_gap): columns
/// `benchmark`, `student`, `teacher`, `student_olympiads`, `teacher_olympiads`, `gap`, `change`. Pairs of a
/// model with itself are included.
///
/// The gap is between Olympiads accuracies, whatever the benchmark of the change: teachers' own scores
/// were published for that benchmark only.
///
/// # Errors
/// When no numbers were published for the benchmark; the error lists those with numbers.
pub fn change_and_gap(benchmark: &str) -> Result<DataFrame, StudyError> {
    let changes = degradation();
    let benchmarks = texts(&changes, "benchmark")?;
    if !benchmarks.iter().any(|known| known == benchmark) {
        return Err(StudyError::UnknownBenchmark {
            benchmark: benchmark.to_owned(),
            known: distinct(&benchmarks),
        });
    }
    let keep = benchmarks.iter().map(|known| known == benchmark).collect();
    let mut pairs = changes.filter(&keep)?;

    let accuracies = olympiads_accuracy();
    let accuracy: HashMap<String, f64> = texts(&accuracies, "model")?
        .into_iter()
        .zip(numbers(&accuracies, "accuracy")?)
        .collect();
    let of = |models: Vec<String>| -> Vec<Option<f64>> {
        models
            .iter()
            .map(|model| accuracy.get(model).copied())
            .collect()
    };
    let students = of(texts(&pairs, "student")?);
    let teachers = of(texts(&pairs, "teacher")?);
    let gaps: Vec<Option<f64>> = students
        .iter()
        .zip(&teachers)
        .map(|(student, teacher)| Some((*teacher)? - (*student)?))
        .collect();
    pairs.with_column(Column::new("student_olympiads".into(), students))?;
    pairs.with_column(Column::new("teacher_olympiads".into(), teachers))?;
    pairs.with_column(Column::new("gap".into(), gaps))?;
    Ok(pairs.select([
        "benchmark",
        "student",
        "teacher",
        "student_olympiads",
        "teacher_olympiads",
        "gap",
        "change",
    ])?)
}

#[expect(
    clippy::expect_used,
    reason = "the files are part of this crate and the tests parse every one of them"
)]
fn parse(csv: &'static str) -> DataFrame {
    CsvReader::new(Cursor::new(csv))
        .finish()
        .expect("an embedded table is valid CSV")
}

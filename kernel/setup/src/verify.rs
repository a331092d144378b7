//! `cargo verify`: format, spelling, dependencies, lints and all tests.
//!
//! Every check runs, also after one has failed. The closing lines say how each ended, which tests
//! were skipped and why, and the last one, alone on standard output, is made for programs:
//! `789 passed, 0 failed, 12 skipped`. It counts tests; a check that is no run of tests counts as
//! one.

mod checks;
mod counts;
mod report;

use std::fs;
use std::process::ExitCode;
use std::time::Instant;

use offmodel_support::testing::skipped_tests;

use self::checks::Runner;
use self::counts::Counts;
use self::report::{CheckResult, Outcome};
use crate::SetupError;
use crate::workspace::Workspace;

/// Runs every check and prints the closing lines. The exit code says whether all passed.
///
/// # Errors
/// When the records of skipped tests cannot be removed or read.
pub fn run(workspace: &Workspace) -> Result<ExitCode, SetupError> {
    let record = checks::skipped_tests_file(workspace);
    match fs::remove_file(&record) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
            return Err(SetupError::Checkout {
                path: record,
                source: error,
            });
        }
        _ => {}
    }
    let mut results = Vec::new();
    for check in checks::all(workspace) {
        let started = Instant::now();
        let (outcome, counts) = run_check(workspace, check.runner);
        results.push(CheckResult {
            name: check.name,
            outcome,
            counts,
            duration: started.elapsed(),
        });
    }
    let skipped = skipped_tests(&record).map_err(|source| SetupError::reading(&record, source))?;
    eprint!("{}", report::closing_lines(&results, &skipped));
    println!("{}", report::totals(&results, &skipped));
    if report::failed(&results).is_empty() {
        Ok(ExitCode::SUCCESS)
    } else {
        Ok(ExitCode::FAILURE)
    }
}

/// Runs one check, and prints its error.
fn run_check(workspace: &Workspace, runner: Runner) -> (Outcome, Option<Counts>) {
    let (result, counts) = match runner {
        Runner::Missing(reason) => return (Outcome::Skipped(reason), None),
        Runner::Command(mut command) => (workspace.run(&mut command), None),
        Runner::Nextest(mut command) => {
            let junit = checks::junit_file(workspace);
            // Fails if there is none, or if the folder cannot be written, as nextest then reports.
            let _ = fs::remove_file(&junit);
            let result = workspace.run(&mut command);
            let counts = fs::read_to_string(&junit)
                .ok()
                .and_then(|text| counts::of_junit(&text));
            if result.is_ok() && counts.is_none() {
                eprintln!(
                    "error: nextest wrote no counts of tests to {}",
                    junit.display()
                );
                return (Outcome::Failed, None);
            }
            (result, counts)
        }
        Runner::Libtest(mut command) => {
            let mut counts = Counts::default();
            let result = workspace.run_reading(&mut command, |line| {
                counts += counts::of_libtest(line).unwrap_or_default();
            });
            (result, Some(counts))
        }
    };
    let outcome = match result {
        Ok(()) => Outcome::Passed,
        Err(error) => {
            eprintln!("error: {error}");
            Outcome::Failed
        }
    };
    (outcome, counts)
}

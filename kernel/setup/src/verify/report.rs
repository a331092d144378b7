//! The closing lines of `cargo verify`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::time::Duration;

use offmodel_support::testing::{Extent, SkippedTest};

use super::counts::Counts;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Outcome {
    Passed,
    Failed,
    /// The check did not run, for this reason.
    Skipped(&'static str),
}

/// A check that has ended.
pub(super) struct CheckResult {
    pub name: &'static str,
    pub outcome: Outcome,
    /// The tests of the check, if it has any. A test that skipped itself counts as passed here.
    pub counts: Option<Counts>,
    pub duration: Duration,
}

/// The names of the checks that failed.
pub(super) fn failed(results: &[CheckResult]) -> Vec<&'static str> {
    let failed = results
        .iter()
        .filter(|result| result.outcome == Outcome::Failed);
    failed.map(|result| result.name).collect()
}

/// The last line: tests that passed, failed and were skipped.
pub(super) fn totals(results: &[CheckResult], skipped: &[SkippedTest]) -> Counts {
    let mut totals = Counts::default();
    for result in results {
        totals += counts_of(result);
    }
    let skipped = names(skipped, Extent::Whole).len();
    totals.passed = totals.passed.saturating_sub(skipped);
    totals.skipped += skipped;
    totals
}

/// A check without tests counts as one test; so does the failure of a check none of whose tests
/// failed, because they did not compile, for example.
fn counts_of(result: &CheckResult) -> Counts {
    let mut counts = result.counts.unwrap_or_default();
    match result.outcome {
        Outcome::Passed if result.counts.is_none() => counts.passed += 1,
        Outcome::Passed => {}
        Outcome::Failed if counts.failed == 0 => counts.failed += 1,
        Outcome::Failed => {}
        Outcome::Skipped(_) => counts.skipped += 1,
    }
    counts
}

/// A line for each check, for each reason to skip tests, and for the checks that failed.
pub(super) fn closing_lines(results: &[CheckResult], skipped: &[SkippedTest]) -> String {
    let mut text = String::new();
    // Writing to a string cannot fail.
    for result in results {
        let seconds = result.duration.as_secs_f64();
        let _ = write!(text, "verify: {:<20} ", result.name);
        let _ = match result.outcome {
            Outcome::Passed => writeln!(text, "passed in {seconds:.1} s"),
            Outcome::Failed => writeln!(text, "FAILED in {seconds:.1} s"),
            Outcome::Skipped(reason) => writeln!(text, "skipped: {reason}"),
        };
    }
    let total: Duration = results.iter().map(|result| result.duration).sum();
    let _ = writeln!(
        text,
        "verify: {:<20} {:>6} in {:.1} s",
        "all",
        "",
        total.as_secs_f64()
    );
    for (extent, suffix) in [(Extent::Whole, ""), (Extent::Part, " in part")] {
        for (reason, count) in by_reason(skipped, extent) {
            let noun = if count == 1 { "test" } else { "tests" };
            let _ = writeln!(text, "verify: {count} {noun} skipped{suffix}: {reason}");
        }
    }
    let failed = failed(results);
    if !failed.is_empty() {
        let _ = writeln!(text, "verify: FAILED: {}", failed.join(", "));
    }
    text
}

/// How many tests were skipped for each reason, the most frequent first.
fn by_reason(skipped: &[SkippedTest], extent: Extent) -> Vec<(&str, usize)> {
    let mut tests: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for test in skipped.iter().filter(|test| test.extent == extent) {
        tests.entry(&test.reason).or_default().insert(&test.test);
    }
    let mut counts: Vec<_> = tests
        .into_iter()
        .map(|(reason, tests)| (reason, tests.len()))
        .collect();
    counts.sort_by_key(|(_, count)| std::cmp::Reverse(*count));
    counts
}

fn names(skipped: &[SkippedTest], extent: Extent) -> BTreeSet<&str> {
    let of_extent = skipped.iter().filter(|test| test.extent == extent);
    of_extent.map(|test| test.test.as_str()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn result(name: &'static str, outcome: Outcome, counts: Option<Counts>) -> CheckResult {
        CheckResult {
            name,
            outcome,
            counts,
            duration: Duration::from_millis(1500),
        }
    }

    fn tests(passed: usize, failed: usize) -> Option<Counts> {
        Some(Counts {
            passed,
            failed,
            skipped: 0,
        })
    }

    fn skipped(test: &str, reason: &str, extent: Extent) -> SkippedTest {
        SkippedTest {
            test: test.to_owned(),
            reason: reason.to_owned(),
            extent,
        }
    }

    #[test]
    fn the_closing_lines_have_every_check_and_every_reason_to_skip() {
        let results = [
            result("format", Outcome::Passed, None),
            result("spelling", Outcome::Skipped("no typos (install it)"), None),
            result("tests", Outcome::Failed, tests(6, 1)),
        ];
        let skipped = [
            skipped("a", "no GPU", Extent::Whole),
            skipped("b", "no Slurm (install slurm-wlm)", Extent::Whole),
            skipped("c", "no Slurm (install slurm-wlm)", Extent::Whole),
            skipped("c", "no Slurm (install slurm-wlm)", Extent::Whole),
            skipped("d", "no chat template of Llama", Extent::Part),
        ];
        assert_eq!(
            closing_lines(&results, &skipped),
            "verify: format               passed in 1.5 s\n\
             verify: spelling             skipped: no typos (install it)\n\
             verify: tests                FAILED in 1.5 s\n\
             verify: all                         in 4.5 s\n\
             verify: 2 tests skipped: no Slurm (install slurm-wlm)\n\
             verify: 1 test skipped: no GPU\n\
             verify: 1 test skipped in part: no chat template of Llama\n\
             verify: FAILED: tests\n"
        );
        assert_eq!(
            totals(&results, &skipped).to_string(),
            // format and the tests that are not a, b and c; the failed test; spelling, a, b and c.
            "4 passed, 1 failed, 4 skipped"
        );
    }

    #[test]
    fn tests_that_do_not_compile_count_as_one_failure() {
        let results = [
            result("format", Outcome::Failed, None),
            result("tests", Outcome::Failed, None),
            result("documentation tests", Outcome::Failed, tests(0, 0)),
        ];
        assert_eq!(
            totals(&results, &[]).to_string(),
            "0 passed, 3 failed, 0 skipped"
        );
        assert_eq!(failed(&results).len(), 3);
    }
}

//! The number of tests, from the outputs of nextest and libtest.

use std::ops::AddAssign;

/// How many tests passed, failed, and did not run.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub passed: usize,
    pub failed: usize,
    pub skipped: usize,
}

impl AddAssign for Counts {
    fn add_assign(&mut self, other: Self) {
        self.passed += other.passed;
        self.failed += other.failed;
        self.skipped += other.skipped;
    }
}

impl std::fmt::Display for Counts {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self {
            passed,
            failed,
            skipped,
        } = self;
        write!(
            formatter,
            "{passed} passed, {failed} failed, {skipped} skipped"
        )
    }
}

/// The counts in a [JUnit report of nextest](https://nexte.st/docs/machine-readable/junit/), whose
/// root element sums them up.
pub(super) fn of_junit(xml: &str) -> Option<Counts> {
    let (_, rest) = xml.split_once("<testsuites ")?;
    let (root, _) = rest.split_once('>')?;
    let attribute = |name: &str| -> Option<usize> {
        let (_, value) = root.split_once(&format!("{name}=\""))?;
        value.split_once('"')?.0.parse().ok()
    };
    let failed = attribute("failures")? + attribute("errors")?;
    let skipped = attribute("skipped").unwrap_or(0);
    Some(Counts {
        passed: attribute("tests")?.checked_sub(failed + skipped)?,
        failed,
        skipped,
    })
}

/// The counts in the line with which a test binary of libtest ends:
/// `test result: ok. 3 passed; 0 failed; 1 ignored; 0 measured; 0 filtered out; finished in 0.1s`.
pub(super) fn of_libtest(line: &str) -> Option<Counts> {
    let (_, counts) = line.strip_prefix("test result: ")?.split_once(". ")?;
    let count = |name: &str| -> Option<usize> {
        let mut parts = counts.split("; ");
        parts.find_map(|part| part.strip_suffix(name)?.trim().parse().ok())
    };
    Some(Counts {
        passed: count("passed")?,
        failed: count("failed")?,
        skipped: count("ignored")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_junit_report_has_its_counts_in_the_root_element() {
        let xml = r#"<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="nextest-run" tests="12" skipped="1" failures="2" errors="1" uuid="8f0c" time="9.4">
    <testsuite name="offmodel-setup" tests="7" disabled="0" errors="0" failures="0">"#;
        let expected = Counts {
            passed: 8,
            failed: 3,
            skipped: 1,
        };
        assert_eq!(of_junit(xml), Some(expected));
        assert_eq!(of_junit("<testsuites name=\"nextest-run\">"), None);
        assert_eq!(of_junit(""), None);
    }

    #[test]
    fn libtest_ends_with_a_line_of_counts() {
        let line = "test result: FAILED. 3 passed; 1 failed; 2 ignored; 0 measured; 0 filtered \
                    out; finished in 0.20s";
        let expected = Counts {
            passed: 3,
            failed: 1,
            skipped: 2,
        };
        assert_eq!(of_libtest(line), Some(expected));
        assert_eq!(of_libtest("test tests::a_test ... ok"), None);
    }
}

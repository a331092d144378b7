//! Tests that cannot run on this machine: each records its name and a reason, and `cargo verify`
//! counts them by reason.
//!
//! The module is not behind a feature. A feature that only tests turn on would make Cargo build
//! every crate above this one twice, and the prelude with them.

use std::fmt::Display;
use std::fs::{self, OpenOptions};
use std::io::{self, Write};
use std::path::Path;

use crate::environment;

/// A test, or a part of one, that did not run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SkippedTest {
    /// The binary of the test and its name: `offmodel-models::adapters peft_reads_what_is_saved`.
    pub test: String,
    /// What is missing, and how to get it.
    pub reason: String,
    /// How much of the test did not run.
    pub extent: Extent,
}

/// How much of a test was skipped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The test checked nothing.
    Whole,
    /// The test passed without some of its cases.
    Part,
}

/// Records that the calling test checks nothing on this machine; the test returns after it.
///
/// Tests with the same `reason` are counted together, so the reason names what is missing and how
/// to get it, but no path or value that differs between tests: `no Slurm (install slurm-wlm)`.
pub fn skip(reason: impl Display) {
    record(Extent::Whole, &reason.to_string());
}

/// Records that the calling test goes on without some of its cases.
pub fn skip_part(reason: impl Display) {
    record(Extent::Part, &reason.to_string());
}

/// Reads the tests that were recorded in the file at `path`; none if there is no such file.
///
/// # Errors
/// Any other error of the file system.
pub fn skipped_tests(path: &Path) -> io::Result<Vec<SkippedTest>> {
    match fs::read_to_string(path) {
        Ok(text) => Ok(text.lines().filter_map(parse).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Prints the reason, and appends it to the file that `cargo verify` names, if any.
fn record(extent: Extent, reason: &str) {
    eprintln!("skipped: {reason}");
    let Some(path) = environment::value(environment::SKIPPED_TESTS) else {
        return;
    };
    let line = line(&SkippedTest {
        test: test_name(),
        reason: reason.to_owned(),
        extent,
    });
    // Tests append from processes of their own at the same time: one write keeps lines whole.
    let file = OpenOptions::new().create(true).append(true).open(&path);
    if let Err(error) = file.and_then(|mut file| file.write_all(line.as_bytes())) {
        // Not recorded, the test would be counted as passed.
        panic!(
            "failed to record a skipped test in {}: {error}",
            path.display()
        );
    }
}

/// The name of the calling test: nextest sets two variables, libtest names the test's thread.
fn test_name() -> String {
    let variable = |name| std::env::var(name).ok();
    match (variable("NEXTEST_BINARY_ID"), variable("NEXTEST_TEST_NAME")) {
        (Some(binary), Some(test)) => format!("{binary} {test}"),
        _ => std::thread::current()
            .name()
            .unwrap_or("unnamed")
            .to_owned(),
    }
}

fn line(skipped: &SkippedTest) -> String {
    let extent = match skipped.extent {
        Extent::Whole => "whole",
        Extent::Part => "part",
    };
    let one_line = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
    format!(
        "{extent}\t{}\t{}\n",
        one_line(&skipped.test),
        one_line(&skipped.reason)
    )
}

fn parse(line: &str) -> Option<SkippedTest> {
    let mut fields = line.splitn(3, '\t');
    let extent = match fields.next()? {
        "whole" => Extent::Whole,
        "part" => Extent::Part,
        _ => return None,
    };
    Some(SkippedTest {
        extent,
        test: fields.next()?.to_owned(),
        reason: fields.next()?.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_recorded_is_read_back_line_by_line() {
        let skipped = |extent, reason: &str| SkippedTest {
            test: "offmodel-tests::kernel jupyterlab::buttons".to_owned(),
            reason: reason.to_owned(),
            extent,
        };
        let whole = skipped(Extent::Whole, "no Chromium (install chromium)");
        let part = skipped(Extent::Part, "no template of Llama\n\t(fetch it)");
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("skipped");
        assert_eq!(skipped_tests(&path).unwrap(), []);
        fs::write(&path, line(&whole) + &line(&part) + "not a record\n").unwrap();
        let part = skipped(Extent::Part, "no template of Llama (fetch it)");
        assert_eq!(skipped_tests(&path).unwrap(), [whole, part]);
    }

    #[test]
    fn a_test_finds_its_own_name() {
        let name = test_name();
        assert!(
            name.ends_with("testing::tests::a_test_finds_its_own_name"),
            "{name}"
        );
    }
}

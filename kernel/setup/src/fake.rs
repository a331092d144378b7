//! Programs for tests: shell scripts in place of python3, jupyter and the like.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Writes an executable shell script and returns its path.
///
/// Another process writes it: were it ours, a test in another thread that forks meanwhile would
/// hold the file open for writing, and starting it would fail with "text file busy".
pub(crate) fn program(folder: &Path, name: &str, script: &str) -> PathBuf {
    let path = folder.join(name);
    let mut writer = Command::new("sh")
        .args(["-c", "rm -f \"$0\" && cat >\"$0\" && chmod 755 \"$0\""])
        .arg(&path)
        .stdin(Stdio::piped())
        .spawn()
        .unwrap();
    writer
        .stdin
        .take()
        .unwrap()
        .write_all(format!("#!/bin/sh\n{script}\n").as_bytes())
        .unwrap();
    assert!(writer.wait().unwrap().success());
    path
}

//! Shell scripts that stand in for python3 or jupyter in tests.

use std::io::Write;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Writes an executable shell script and returns its path.
///
/// Another process writes the file. If this process did, a test in another thread might fork
/// meanwhile and inherit the open file, and the script would fail to start with "text file busy".
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

//! `offmodel kernel doctor`.

use std::process::Output;

use crate::installation::{Installation, kernel_command};

#[test]
fn the_doctor_times_a_cell_and_names_what_is_missing() {
    let installation = Installation::new();
    let data = installation.data();
    let stdout = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let healthy = kernel_command("doctor", &data);
    assert!(
        stdout(&healthy).contains("ok    kernelspec"),
        "{}",
        stdout(&healthy)
    );
    assert!(
        stdout(&healthy).contains("ok    cell        ready after"),
        "{}",
        stdout(&healthy)
    );
    assert!(kernel_command("uninstall", &data).status.success());
    let broken = kernel_command("doctor", &data);
    assert_eq!(broken.status.code(), Some(1));
    let line = stdout(&broken)
        .lines()
        .find(|line| line.starts_with("FAIL"))
        .map(str::to_owned);
    let line = line.expect("a line for the check that failed");
    assert!(
        line.contains("kernelspec") && line.contains("offmodel kernel install"),
        "{line}"
    );
}

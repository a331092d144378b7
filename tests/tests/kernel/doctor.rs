use std::process::Output;

use crate::installation::{Installation, kernel_command};

#[test]
fn the_doctor_times_a_cell_and_tells_what_is_missing() {
    let installation = Installation::new();
    let data = installation.data();
    let said = |output: &Output| String::from_utf8_lossy(&output.stdout).into_owned();
    let well = kernel_command("doctor", &data);
    assert!(said(&well).contains("ok    kernelspec"), "{}", said(&well));
    assert!(
        said(&well).contains("ok    cell        ready after"),
        "{}",
        said(&well)
    );
    assert!(kernel_command("uninstall", &data).status.success());
    let ill = kernel_command("doctor", &data);
    assert_eq!(ill.status.code(), Some(1));
    let line = said(&ill)
        .lines()
        .find(|line| line.starts_with("FAIL"))
        .map(str::to_owned);
    let line = line.expect("a line of what is wrong");
    assert!(
        line.contains("kernelspec") && line.contains("offmodel kernel install"),
        "{line}"
    );
}

//! Records the sysroot of the compiler that builds this workspace. Cells and programs must be
//! compiled by the same one, because a Rust dylib can only be linked by the compiler that made it.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-env-changed=RUSTC");
    println!("cargo::rerun-if-changed=build.rs");
    let rustc = std::env::var("RUSTC").unwrap_or_else(|_| "rustc".to_owned());
    let sysroot = Command::new(&rustc)
        .args(["--print", "sysroot"])
        .output()
        .ok()
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .map(|text| text.trim().to_owned())
        .unwrap_or_default();
    println!("cargo::rustc-env=OFFMODEL_SYSROOT={sysroot}");
}

use std::sync::OnceLock;

use toml::{Table, Value};

/// The crates that the prelude offers by their own names (`kernel/lab/src/prelude.rs`). A second
/// crate of such a name would be ambiguous in every cell.
pub(super) const PRELUDE_CRATES: [&str; 5] = ["plotters", "polars", "serde_json", "tch", "tokio"];

/// The lock file of this workspace. Builds of extra crates start from it, so that dependencies that
/// they share with the prelude have the same versions.
pub(super) const WORKSPACE_LOCK: &str = include_str!("../../../../Cargo.lock");

/// The version of a crate that the prelude offers; none if it does not offer the crate.
pub fn version_in_prelude(name: &str) -> Option<&'static str> {
    let name = PRELUDE_CRATES.into_iter().find(|known| *known == name)?;
    static LOCK: OnceLock<Table> = OnceLock::new();
    let lock = LOCK.get_or_init(|| WORKSPACE_LOCK.parse().unwrap_or_default());
    let packages = lock.get("package")?.as_array()?;
    let text = |package: &'static Value, key| package.get(key).and_then(Value::as_str);
    packages
        .iter()
        .find(|package| text(package, "name") == Some(name))
        .and_then(|package| text(package, "version"))
}

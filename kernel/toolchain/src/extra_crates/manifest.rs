use std::fs;
use std::io;
use std::path::Path;

use offmodel_support::digest;
use sha2::{Digest, Sha256};
use toml::{Table, Value};

use super::entry::KEY_DIGITS;
use super::prelude_crates::WORKSPACE_LOCK;
use super::request::CrateRequest;
use crate::Toolchain;

/// The name of the generated package.
const PACKAGE: &str = "further-crates";
/// The package's source file, which is empty: the package is there for its dependencies.
const SOURCE: &str = "empty.rs";

/// The manifest of a package that depends on all requested crates.
///
/// The package is a workspace of its own, whatever folder it is in. Its optimisation level is the
/// prelude's, 1, at which the compiler shares generic code with cells.
fn manifest(requests: &[CrateRequest]) -> String {
    let mut dependencies = Table::new();
    for request in requests {
        let detail = Value::Table(request.detail().clone());
        dependencies.insert(request.name().to_owned(), detail);
    }
    let table = |entries: &[(&str, Value)]| -> Value {
        let owned = |(key, value): &(&str, Value)| ((*key).to_owned(), value.clone());
        Value::Table(entries.iter().map(owned).collect())
    };
    let package = table(&[
        ("name", PACKAGE.into()),
        ("version", "0.0.0".into()),
        ("edition", "2024".into()),
        ("publish", false.into()),
    ]);
    let profile = table(&[
        ("opt-level", 1.into()),
        ("debug", false.into()),
        ("incremental", false.into()),
    ]);
    Table::from_iter([
        ("package".to_owned(), package),
        ("workspace".to_owned(), table(&[])),
        ("lib".to_owned(), table(&[("path", SOURCE.into())])),
        ("dependencies".to_owned(), Value::Table(dependencies)),
        ("profile".to_owned(), table(&[("dev", profile)])),
    ])
    .to_string()
}

/// Writes the package into an empty folder.
pub(super) fn write_package(requests: &[CrateRequest], folder: &Path) -> io::Result<()> {
    fs::write(folder.join("Cargo.toml"), manifest(requests))?;
    fs::write(folder.join(SOURCE), "")?;
    fs::write(folder.join("Cargo.lock"), WORKSPACE_LOCK)
}

/// Identifies a build: requests in any order, compiler, prelude and lock file.
pub(super) fn key(requests: &[CrateRequest], toolchain: &Toolchain) -> io::Result<String> {
    let mut hash = Sha256::new();
    hash.update(b"offmodel further crates 1\0");
    hash.update(manifest(requests));
    hash.update([0]);
    hash.update(toolchain.rustc.as_os_str().as_encoded_bytes());
    hash.update([0]);
    hash.update(toolchain.prelude_version()?);
    hash.update(WORKSPACE_LOCK);
    Ok(digest::hexadecimal(hash)[..KEY_DIGITS].to_owned())
}

//! The inputs of a program, in a form that can be compared years later and on other machines.

use std::fs;
use std::io;
use std::path::Path;
use std::process::Command;

use offmodel_cells::generated::GeneratedCode;
use offmodel_support::{atomic_file, digest};
use offmodel_toolchain::Toolchain;
use offmodel_toolchain::extra_crates::ExtraCrates;
use serde::{Deserialize, Serialize};

/// The format version of [`Versions`] on disk.
const FORMAT_VERSION: u32 = 1;
/// The name of the file, beside the program in the cache.
const FILE: &str = "versions.json";
/// The length of a hash in [`Versions`], in hexadecimal digits: as long as the name of a trial.
const HASH_LENGTH: usize = 16;

/// The inputs of a program by content: a file that was only touched or moved is the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// Format version; readers ignore files of another one.
    pub version: u32,
    /// A hash of the source that is generated from the notebook.
    pub source: String,
    /// A hash of the prelude, `liboffmodel.so`.
    pub prelude: String,
    /// The output of `rustc --version`.
    pub rustc: String,
    /// The version of libtorch, from its header; ends in `with CUDA` if it has the CUDA library.
    pub libtorch: String,
    /// Identifies the crates that the notebook asks for with `:dep`; empty without any.
    pub crates: String,
}

impl Versions {
    /// The versions of a program that is about to be compiled.
    pub(crate) fn new(
        code: &GeneratedCode,
        extra_crates: &ExtraCrates,
        toolchain: &Toolchain,
    ) -> io::Result<Self> {
        Ok(Self {
            version: FORMAT_VERSION,
            source: shortened(&digest::sha256(code.text())),
            prelude: shortened(&digest::sha256_of_file(&toolchain.prelude)?),
            rustc: rustc_version(&toolchain.rustc)?,
            libtorch: libtorch_version(&toolchain.libtorch_lib),
            crates: extra_crates.key().to_owned(),
        })
    }

    /// Reads the versions in the folder of a compiled program; none if there are none that this
    /// offmodel can read.
    pub(crate) fn read(folder: &Path) -> Option<Self> {
        let text = fs::read(folder.join(FILE)).ok()?;
        let versions: Self = serde_json::from_slice(&text).ok()?;
        (versions.version == FORMAT_VERSION).then_some(versions)
    }

    /// Writes the versions into the folder of a compiled program.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        atomic_file::write(&folder.join(FILE), &serde_json::to_vec_pretty(self)?)
    }

    /// The names of the inputs that differ in `other`; empty if both programs do the same.
    pub fn differences(&self, other: &Self) -> Vec<&'static str> {
        let parts = [
            (&self.source, &other.source, "generated program"),
            (&self.prelude, &other.prelude, "prelude"),
            (&self.rustc, &other.rustc, "compiler"),
            (&self.libtorch, &other.libtorch, "libtorch"),
        ];
        let mut differ: Vec<_> = parts
            .iter()
            .filter(|(own, other, _)| own != other)
            .map(|(.., name)| *name)
            .collect();
        // The key of extra crates depends on the prelude and compiler that they were built with, so
        // it means something only where everything else is equal.
        if differ.is_empty() && self.crates != other.crates {
            differ.push("crates of :dep");
        }
        differ
    }
}

fn shortened(hash: &str) -> String {
    hash[..HASH_LENGTH].to_owned()
}

fn rustc_version(rustc: &Path) -> io::Result<String> {
    let output = Command::new(rustc).arg("--version").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// The version of libtorch from its headers, because it has no other file with the version.
fn libtorch_version(lib: &Path) -> String {
    let include = lib.join("../include/torch");
    let version = ["headeronly/version.h", "csrc/api/include/torch/version.h"]
        .iter()
        .filter_map(|header| fs::read_to_string(include.join(header)).ok())
        .find_map(|header| version_in(&header))
        .unwrap_or_else(|| "unknown".to_owned());
    if lib.join("libtorch_cuda.so").exists() {
        format!("{version} with CUDA")
    } else {
        version
    }
}

fn version_in(header: &str) -> Option<String> {
    let number = |part: &str| {
        header
            .lines()
            .find_map(|line| line.strip_prefix(&format!("#define TORCH_VERSION_{part} ")))
            .map(|number| number.trim().to_owned())
    };
    Some(format!(
        "{}.{}.{}",
        number("MAJOR")?,
        number("MINOR")?,
        number("PATCH")?
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn versions() -> Versions {
        let text = r#"{"version":1,"source":"a","prelude":"b","rustc":"rustc 1.95.0","libtorch":"2.11.0","crates":""}"#;
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn differing_inputs_are_named_and_crates_only_if_nothing_else_differs() {
        let old = versions();
        assert!(old.differences(&old).is_empty());
        let crates = Versions {
            crates: "c".to_owned(),
            ..versions()
        };
        assert_eq!(old.differences(&crates), ["crates of :dep"]);
        let rebuilt = Versions {
            prelude: "d".to_owned(),
            libtorch: "2.12.0".to_owned(),
            ..crates
        };
        assert_eq!(old.differences(&rebuilt), ["prelude", "libtorch"]);
    }

    #[test]
    fn the_version_of_libtorch_is_read_from_its_header() {
        let header = "#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 11\n#define TORCH_VERSION_PATCH 0\n";
        assert_eq!(version_in(header).as_deref(), Some("2.11.0"));
        assert_eq!(version_in("#define OTHER 2\n"), None);
    }

    #[test]
    fn written_versions_are_read_again() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Versions::read(folder.path()), None);
        versions().write(folder.path()).unwrap();
        assert_eq!(Versions::read(folder.path()), Some(versions()));
    }
}

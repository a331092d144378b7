//! What a program was made of, in a form that is compared years later and on other machines.

use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::process::Command;

use offmodel_toolchain::Toolchain;
use offmodel_toolchain::extra_crates::ExtraCrates;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::source::Source;

/// The version of [`Versions`] on disk.
const VERSION: u32 = 1;
/// Its file, beside the program in the cache.
const FILE: &str = "versions.json";

/// What a program was made of, by content: a file that was only touched or moved is the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Versions {
    /// Of this structure.
    pub version: u32,
    /// A hash of the program's source, which offmodel generates from the notebook.
    pub source: String,
    /// A hash of the prelude's library.
    pub prelude: String,
    /// What `rustc --version` says.
    pub rustc: String,
    /// The version of libtorch, by its header; `with CUDA` if its CUDA library is there.
    pub libtorch: String,
    /// Identifies the crates that the notebook asks for with `:dep`; empty without any.
    pub crates: String,
}

impl Versions {
    /// Of a program about to be compiled.
    pub(crate) fn of(
        source: &Source,
        further: &ExtraCrates,
        toolchain: &Toolchain,
    ) -> io::Result<Self> {
        Ok(Self {
            version: VERSION,
            source: named(Sha256::digest(source.text.as_bytes())),
            prelude: hash_of(&toolchain.prelude)?,
            rustc: rustc_version(&toolchain.rustc)?,
            libtorch: libtorch_version(&toolchain.libtorch_lib),
            crates: further.key().to_owned(),
        })
    }

    /// As kept in the folder of a compiled program.
    pub(crate) fn read(folder: &Path) -> Option<Self> {
        let text = fs::read(folder.join(FILE)).ok()?;
        let versions: Self = serde_json::from_slice(&text).ok()?;
        (versions.version == VERSION).then_some(versions)
    }

    /// Keeps them in the folder of a compiled program.
    pub(crate) fn write(&self, folder: &Path) -> io::Result<()> {
        let text = serde_json::to_vec_pretty(self)?;
        // Renamed into place: programs are published by content, several at a time.
        let file = tempfile::NamedTempFile::new_in(folder)?;
        fs::write(file.path(), text)?;
        file.persist(folder.join(FILE))?;
        Ok(())
    }

    /// What is not the same in `other`, in words; empty if both programs do the same.
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
        // They are built against the prelude and named after it: only beside the same one does
        // another name mean other crates.
        if differ.is_empty() && self.crates != other.crates {
            differ.push("crates of :dep");
        }
        differ
    }
}

fn hash_of(file: &Path) -> io::Result<String> {
    let mut file = File::open(file)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 20];
    loop {
        match file.read(&mut buffer)? {
            0 => return Ok(named(hash.finalize())),
            count => hash.update(&buffer[..count]),
        }
    }
}

/// As long as trials' names: enough to tell files apart, short enough to be read.
fn named(digest: impl std::fmt::LowerHex) -> String {
    format!("{digest:x}")[..16].to_owned()
}

fn rustc_version(rustc: &Path) -> io::Result<String> {
    let output = Command::new(rustc).arg("--version").output()?;
    Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// libtorch comes without a file that names its version, but always with its headers.
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
    fn what_differs_is_named_and_crates_only_where_they_are_the_reason() {
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
    fn what_is_kept_beside_a_program_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        assert_eq!(Versions::read(folder.path()), None);
        versions().write(folder.path()).unwrap();
        assert_eq!(Versions::read(folder.path()), Some(versions()));
    }
}

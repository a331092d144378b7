//! Files written whole or not at all.

use std::io::{self, Write};
use std::path::Path;

use sha2::{Digest, Sha256};

/// Writes `contents` to `path` unless it already holds exactly that; returns whether it wrote.
///
/// The file appears whole: written beside its final place, synced, renamed. An unchanged file keeps
/// its modification time, which is what Cargo looks at.
///
/// # Errors
/// Whatever the system refused.
pub fn write_if_changed(path: &Path, contents: &[u8]) -> io::Result<bool> {
    if std::fs::read(path).is_ok_and(|present| present == contents) {
        return Ok(false);
    }
    let folder = path.parent().unwrap_or(Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut file = tempfile::Builder::new()
        .prefix(".writing-")
        // Jupyter may run as another user than the one who set it up.
        .permissions(std::os::unix::fs::PermissionsExt::from_mode(0o644))
        .tempfile_in(folder)?;
    file.write_all(contents)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(true)
}

/// The SHA-256 of all that `reader` gives, in lowercase hexadecimal.
///
/// # Errors
/// Whatever `reader` reports.
pub fn sha256(mut reader: impl io::Read) -> io::Result<String> {
    let mut digest = Sha256::new();
    io::copy(&mut reader, &mut digest)?;
    Ok(format!("{:x}", digest.finalize()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unchanged_file_is_not_touched() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deep/kernel.json");
        assert!(write_if_changed(&path, b"{}").unwrap());
        let written = std::fs::metadata(&path).unwrap().modified().unwrap();
        assert!(!write_if_changed(&path, b"{}").unwrap());
        assert_eq!(
            std::fs::metadata(&path).unwrap().modified().unwrap(),
            written
        );
        assert!(write_if_changed(&path, b"{ }").unwrap());
    }

    #[test]
    fn a_refused_write_leaves_no_temporary_file() {
        let folder = tempfile::tempdir().unwrap();
        let occupied = folder.path().join("kernel.json");
        std::fs::create_dir(&occupied).unwrap();
        std::fs::write(occupied.join("inside"), "x").unwrap();
        assert!(write_if_changed(&occupied, b"{}").is_err());
        let names: Vec<_> = std::fs::read_dir(folder.path())
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        assert_eq!(names, ["kernel.json"]);
    }

    #[test]
    fn sha256_of_the_empty_string_and_of_abc_are_those_of_fips_180() {
        assert_eq!(
            sha256(&b""[..]).unwrap(),
            "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
        );
        assert_eq!(
            sha256(&b"abc"[..]).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
    }
}

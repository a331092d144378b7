//! SHA-256 (FIPS 180-4) in lowercase hexadecimal.

use std::fs::File;
use std::io;
use std::path::Path;

use sha2::{Digest, Sha256};

/// The digest of `bytes`.
pub fn sha256(bytes: impl AsRef<[u8]>) -> String {
    hexadecimal(Sha256::new_with_prefix(bytes))
}

/// The digest of everything that `reader` yields, in constant memory.
///
/// # Errors
/// Any error of `reader`.
pub fn sha256_of_reader(mut reader: impl io::Read) -> io::Result<String> {
    let mut hasher = Sha256::new();
    io::copy(&mut reader, &mut hasher)?;
    Ok(hexadecimal(hasher))
}

/// The digest of the file at `path`, in constant memory.
///
/// # Errors
/// Any error of the file system.
pub fn sha256_of_file(path: &Path) -> io::Result<String> {
    sha256_of_reader(File::open(path)?)
}

/// The digest of a hasher to which parts were added one by one.
pub fn hexadecimal(hasher: Sha256) -> String {
    format!("{:x}", hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_empty_string_and_abc_have_the_digests_of_fips_180() {
        let empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        let abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
        assert_eq!(sha256(""), empty);
        assert_eq!(sha256("abc"), abc);
        assert_eq!(sha256_of_reader(&b"abc"[..]).unwrap(), abc);
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(sha256_of_file(&path).unwrap(), abc);
    }
}

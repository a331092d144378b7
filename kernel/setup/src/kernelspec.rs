//! The kernel, made known to Jupyter.
//!
//! See <https://jupyter-client.readthedocs.io/en/stable/kernels.html#kernel-specs>.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::SetupError;

/// The name of the kernelspec, which notebooks carry.
pub const NAME: &str = "offmodel";

const VARIABLE: &str = "JUPYTER_DATA_DIR";

/// Jupyter's data folder of this user: what `jupyter --data-dir` says, else `JUPYTER_DATA_DIR`,
/// else `jupyter` in the user's data folder.
///
/// # Errors
/// When none is known.
pub fn data_folder() -> Result<PathBuf, SetupError> {
    told_by("jupyter")
        .or_else(|| std::env::var_os(VARIABLE).map(PathBuf::from))
        .or_else(|| dirs::data_dir().map(|folder| folder.join("jupyter")))
        .ok_or(SetupError::NoJupyterFolder)
}

fn told_by(jupyter: &str) -> Option<PathBuf> {
    let output = Command::new(jupyter)
        .arg("--data-dir")
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let path = PathBuf::from(text.trim());
    (output.status.success() && path.is_absolute()).then_some(path)
}

/// Writes the kernelspec below Jupyter's data folder; returns whether that changed anything.
///
/// # Errors
/// When the folder cannot be written.
pub fn install(data: &Path, kernel: &Path) -> Result<bool, SetupError> {
    let folder = data.join("kernels").join(NAME);
    let mut text = format!("{:#}", specification(kernel));
    text.push('\n');
    let mut changed = false;
    // The specification last: Jupyter lists a folder once it has one.
    let files: [(&str, &[u8]); 4] = [
        ("logo-svg.svg", include_bytes!("../assets/logo.svg")),
        ("logo-32x32.png", include_bytes!("../assets/logo-32x32.png")),
        ("logo-64x64.png", include_bytes!("../assets/logo-64x64.png")),
        ("kernel.json", text.as_bytes()),
    ];
    for (name, contents) in files {
        let path = folder.join(name);
        changed |= crate::file::write_if_changed(&path, contents)
            .map_err(|source| SetupError::writing(&path, source, VARIABLE))?;
    }
    Ok(changed)
}

/// Removes the kernelspec from Jupyter's data folder; returns whether it was there.
///
/// # Errors
/// When it is there and cannot be removed.
pub fn uninstall(data: &Path) -> Result<bool, SetupError> {
    let folder = data.join("kernels").join(NAME);
    match std::fs::remove_dir_all(&folder) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(SetupError::writing(&folder, source, VARIABLE)),
    }
}

fn specification(kernel: &Path) -> serde_json::Value {
    json!({
        "argv": [kernel.to_string_lossy(), "--connection-file", "{connection_file}"],
        "display_name": "Rust (offmodel)",
        "language": "rust",
        // A signal would interrupt the compiler and Jupyter's own terminal too.
        "interrupt_mode": "message",
        "metadata": { "debugger": false },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernelspec_is_written_whole_with_its_logos_and_only_once() {
        let data = tempfile::tempdir().unwrap();
        let kernel = Path::new("/checkout/target/debug/offmodel-kernel");
        assert!(install(data.path(), kernel).unwrap());
        assert!(!install(data.path(), kernel).unwrap());
        let folder = data.path().join("kernels/offmodel");
        let mut names: Vec<_> = std::fs::read_dir(&folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        assert_eq!(
            names,
            [
                "kernel.json",
                "logo-32x32.png",
                "logo-64x64.png",
                "logo-svg.svg"
            ]
        );
        let text = std::fs::read_to_string(folder.join("kernel.json")).unwrap();
        let specification: serde_json::Value = serde_json::from_str(&text).unwrap();
        assert_eq!(
            specification,
            json!({
                "argv": ["/checkout/target/debug/offmodel-kernel", "--connection-file", "{connection_file}"],
                "display_name": "Rust (offmodel)",
                "language": "rust",
                "interrupt_mode": "message",
                "metadata": { "debugger": false },
            })
        );
        // Another checkout takes the name over.
        assert!(install(data.path(), Path::new("/other/offmodel-kernel")).unwrap());
        assert!(uninstall(data.path()).unwrap() && !folder.exists());
        assert!(!uninstall(data.path()).unwrap());
    }

    #[test]
    fn a_file_where_jupyter_keeps_its_data_is_named() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let message = install(file.path(), Path::new("/k"))
            .unwrap_err()
            .to_string();
        assert!(message.contains("Not a directory"), "{message}");
        assert!(
            message.ends_with("or set JUPYTER_DATA_DIR to one that is"),
            "{message}"
        );
    }

    #[test]
    fn only_an_absolute_answer_of_jupyter_is_believed() {
        let folder = tempfile::tempdir().unwrap();
        let answers = |script: &str| {
            let jupyter = crate::fake::program(folder.path(), "jupyter", script);
            told_by(jupyter.to_str().unwrap())
        };
        assert_eq!(
            answers("[ \"$1\" = --data-dir ] && echo /home/a/jupyter"),
            Some("/home/a/jupyter".into())
        );
        assert_eq!(answers("echo /home/a/jupyter; exit 1"), None);
        assert_eq!(answers("echo usage: jupyter"), None);
        assert_eq!(told_by("no-such-jupyter"), None);
    }
}

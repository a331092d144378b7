//! Installs the [kernelspec](https://jupyter-client.readthedocs.io/en/stable/kernels.html#kernel-specs),
//! from which Jupyter knows how to start the kernel.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use offmodel_support::{atomic_file, environment};
use serde_json::json;

use crate::SetupError;

/// The name of the kernelspec, by which notebooks refer to the kernel.
pub const NAME: &str = "offmodel";

const DATA_DIR_VARIABLE: &str = "JUPYTER_DATA_DIR";

/// Jupyter's data folder of this user: what `jupyter --data-dir` prints, else `JUPYTER_DATA_DIR`,
/// else `jupyter` in the user's data folder.
///
/// # Errors
/// When none of them is known.
pub fn data_folder() -> Result<PathBuf, SetupError> {
    data_folder_of("jupyter")
        .or_else(|| environment::value(DATA_DIR_VARIABLE).map(PathBuf::from))
        .or_else(|| dirs::data_dir().map(|folder| folder.join("jupyter")))
        .ok_or(SetupError::NoJupyterFolder)
}

/// The folder that the program `jupyter` prints, if it exists and prints an absolute path.
fn data_folder_of(jupyter: &str) -> Option<PathBuf> {
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

/// Writes the kernelspec into Jupyter's data folder; returns whether any file changed.
///
/// # Errors
/// When the folder cannot be written.
pub fn install(data: &Path, kernel: &Path) -> Result<bool, SetupError> {
    let folder = data.join("kernels").join(NAME);
    let mut text = format!("{:#}", specification(kernel));
    text.push('\n');
    let mut changed = false;
    // The specification is last, because Jupyter lists the kernel once it is there.
    let files: [(&str, &[u8]); 4] = [
        ("logo-svg.svg", include_bytes!("../assets/logo.svg")),
        ("logo-32x32.png", include_bytes!("../assets/logo-32x32.png")),
        ("logo-64x64.png", include_bytes!("../assets/logo-64x64.png")),
        ("kernel.json", text.as_bytes()),
    ];
    for (name, contents) in files {
        let path = folder.join(name);
        changed |= atomic_file::write_if_changed(&path, contents)
            .map_err(|source| SetupError::writing(&path, source, DATA_DIR_VARIABLE))?;
    }
    Ok(changed)
}

/// Removes the kernelspec from Jupyter's data folder; returns whether it was there.
///
/// # Errors
/// When it cannot be removed.
pub fn uninstall(data: &Path) -> Result<bool, SetupError> {
    let folder = data.join("kernels").join(NAME);
    match std::fs::remove_dir_all(&folder) {
        Ok(()) => Ok(true),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        Err(source) => Err(SetupError::writing(&folder, source, DATA_DIR_VARIABLE)),
    }
}

fn specification(kernel: &Path) -> serde_json::Value {
    json!({
        "argv": [kernel.to_string_lossy(), "--connection-file", "{connection_file}"],
        "display_name": "Rust (offmodel)",
        "language": "rust",
        // SIGINT would reach the whole process group, the compiler included.
        "interrupt_mode": "message",
        "metadata": { "debugger": false },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernelspec_is_written_with_its_logos_and_only_if_it_changed() {
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
        // Another checkout replaces it.
        assert!(install(data.path(), Path::new("/other/offmodel-kernel")).unwrap());
        assert!(uninstall(data.path()).unwrap() && !folder.exists());
        assert!(!uninstall(data.path()).unwrap());
    }

    #[test]
    fn a_file_in_place_of_the_data_folder_is_named() {
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
    fn only_an_absolute_path_printed_by_jupyter_is_used() {
        let folder = tempfile::tempdir().unwrap();
        let data_folder = |script: &str| {
            let jupyter = crate::fake::program(folder.path(), "jupyter", script);
            data_folder_of(jupyter.to_str().unwrap())
        };
        assert_eq!(
            data_folder("[ \"$1\" = --data-dir ] && echo /home/a/jupyter"),
            Some("/home/a/jupyter".into())
        );
        assert_eq!(data_folder("echo /home/a/jupyter; exit 1"), None);
        assert_eq!(data_folder("echo usage: jupyter"), None);
        assert_eq!(data_folder_of("no-such-jupyter"), None);
    }
}

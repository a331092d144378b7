//! Finds libtorch 2.11.0, which tch 0.24 binds, or downloads it.
//!
//! The first of these is used: the folder in `LIBTORCH`; the one that an earlier set-up recorded;
//! the torch of the user's Python; the wheels on PyPI, of which only the CPU libraries and the
//! headers are kept.
//!
//! A user's own libtorch is *adopted*: a folder in the cache gets links to all its libraries, and
//! `libtch.so` is put beside the links. One folder then serves linking, running, and the CUDA
//! libraries that are loaded at run time, and nothing is written into the user's installation.

use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use offmodel_support::{digest, environment};

use crate::SetupError;
use crate::cache::{Cache, write_error};
use crate::pip::{Pip, Wheel};

/// The version that tch 0.24 binds.
pub const VERSION: &str = "2.11.0";

const LIBTORCH_VARIABLE: &str = "LIBTORCH";

/// A libtorch in the cache folder, with `include/` and `lib/`, beside which `libtch.so` is put.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Libtorch {
    root: PathBuf,
}

impl Libtorch {
    /// The folder of the headers.
    pub fn include(&self) -> PathBuf {
        self.root.join("include")
    }

    /// The folder of the libraries.
    pub fn lib(&self) -> PathBuf {
        self.root.join("lib")
    }
}

/// The places where libtorch may be, before it is downloaded.
#[derive(Debug, Default)]
pub struct Candidates {
    /// The folder in `LIBTORCH`.
    pub named: Option<PathBuf>,
    /// The library folder that an earlier set-up recorded.
    pub recorded: Option<PathBuf>,
    /// The folder of the torch package of the user's Python.
    pub python: Option<PathBuf>,
}

impl Candidates {
    /// Reads `LIBTORCH`, and asks `python3` for its torch only if there is neither that nor a record
    /// of an earlier set-up.
    pub fn of_environment(recorded: Option<PathBuf>) -> Self {
        let named = environment::value(LIBTORCH_VARIABLE).map(PathBuf::from);
        let recorded = recorded.filter(|lib| {
            lib.parent()
                .is_some_and(|root| version_of(root).as_deref() == Ok(VERSION))
        });
        let python = match (&named, &recorded) {
            (None, None) => torch_of_python("python3"),
            _ => None,
        };
        Self {
            named,
            recorded,
            python,
        }
    }
}

/// Returns the first candidate that is libtorch 2.11, or downloads it into the cache.
///
/// # Errors
/// When `LIBTORCH` is set to something else, or the download fails.
pub fn find_or_fetch(
    cache: &Cache,
    candidates: &Candidates,
    pip: &Pip,
    release: &Release<'_>,
) -> Result<Libtorch, SetupError> {
    if let Some(root) = &candidates.named {
        let detail = match version_of(root) {
            Ok(version) if version == VERSION => {
                let libtorch = adopt(cache, root)?;
                match missing_libraries(&libtorch).as_slice() {
                    [] => return Ok(libtorch),
                    names => format!("it needs {}, not found there", names.join(", ")),
                }
            }
            Ok(version) => format!("it holds version {version}"),
            Err(detail) => detail,
        };
        return Err(SetupError::Libtorch {
            path: root.clone(),
            detail,
            expected: VERSION,
        });
    }
    if let Some(root) = candidates.recorded.as_deref().and_then(Path::parent) {
        return original_of(root).map_or_else(
            || {
                Ok(Libtorch {
                    root: root.to_path_buf(),
                })
            },
            |own| adopt(cache, &own),
        );
    }
    if let Some(root) = &candidates.python {
        // The user did not choose this torch for offmodel, so one of another version, or without
        // its companions, is no error: libtorch is then downloaded.
        if version_of(root).as_deref() == Ok(VERSION) {
            let libtorch = adopt(cache, root)?;
            if missing_libraries(&libtorch).is_empty() {
                return Ok(libtorch);
            }
        }
    }
    let root = cache.root().join(format!("libtorch-{VERSION}"));
    if version_of(&root).as_deref() != Ok(VERSION) {
        fetch(cache, pip, release, &root)?;
    }
    Ok(Libtorch { root })
}

/// The version of the libtorch in `root`, without a local part such as `+cu130`; as the error, what
/// is missing there.
fn version_of(root: &Path) -> Result<String, String> {
    for part in [
        "lib/libtorch_cpu.so",
        "lib/libc10.so",
        "include/torch/csrc/api/include/torch/torch.h",
    ] {
        if !root.join(part).is_file() {
            return Err(format!("there is no {part} in it"));
        }
    }
    // The archives of pytorch.org carry this file, the wheels do not.
    if let Ok(text) = std::fs::read_to_string(root.join("build-version")) {
        return Ok(text.trim().split('+').next().unwrap_or_default().to_owned());
    }
    [
        "include/torch/headeronly/version.h",
        "include/torch/csrc/api/include/torch/version.h",
    ]
    .iter()
    .filter_map(|header| std::fs::read_to_string(root.join(header)).ok())
    .find_map(|header| version_in(&header))
    .ok_or_else(|| "its headers name no version".to_owned())
}

fn version_in(header: &str) -> Option<String> {
    let part = |name: &str| {
        header.lines().find_map(|line| {
            let mut words = line.split_whitespace();
            let is_it = words.next() == Some("#define") && words.next() == Some(name);
            words
                .next()
                .filter(|number| is_it && number.chars().all(|c| c.is_ascii_digit()))
        })
    };
    let (major, minor) = (part("TORCH_VERSION_MAJOR")?, part("TORCH_VERSION_MINOR")?);
    Some(format!("{major}.{minor}.{}", part("TORCH_VERSION_PATCH")?))
}

/// The folder of the torch package that this Python would import. torch is not imported, which would
/// take seconds.
fn torch_of_python(python: &str) -> Option<PathBuf> {
    const FIND: &str = "import importlib.util\n\
                        spec = importlib.util.find_spec('torch')\n\
                        print(spec.submodule_search_locations[0] if spec else '')";
    let output = Command::new(python)
        .args(["-c", FIND])
        .stdin(Stdio::null())
        .stderr(Stdio::null())
        .output()
        .ok()?;
    let path = String::from_utf8(output.stdout).ok()?;
    let path = path.trim();
    (output.status.success() && !path.is_empty()).then(|| PathBuf::from(path))
}

/// Links a user's own libtorch into the cache.
///
/// This can be interrupted and repeated, because each link is whole at once. Repeating it adds
/// libraries that were installed since.
fn adopt(cache: &Cache, own: &Path) -> Result<Libtorch, SetupError> {
    let own = own
        .canonicalize()
        .map_err(|source| SetupError::reading(own, source))?;
    let key = digest::sha256(own.as_os_str().as_encoded_bytes());
    let root = cache
        .root()
        .join(format!("libtorch-{VERSION}-{}", &key[..12]));
    let lib = root.join("lib");
    std::fs::create_dir_all(&lib).map_err(write_error(&lib))?;
    for library in libraries_of(&own) {
        if let Some(name) = library.file_name() {
            link_to(&library, &lib.join(name))?;
        }
    }
    link_to(&own.join("include"), &root.join("include"))?;
    Ok(Libtorch { root })
}

/// libtorch's libraries, and those of the `nvidia-*` packages beside a Python torch, which its CUDA
/// libraries look up relative to their own folder.
fn libraries_of(own: &Path) -> Vec<PathBuf> {
    let mut folders = vec![own.join("lib")];
    let beside = own.parent().map(|packages| packages.join("nvidia"));
    folders.extend(
        beside
            .iter()
            .flat_map(|nvidia| entries(nvidia))
            .map(|part| part.join("lib")),
    );
    let mut libraries: Vec<PathBuf> = folders.iter().flat_map(|folder| entries(folder)).collect();
    libraries.retain(|path| {
        path.file_name().is_some_and(|name| {
            let name = name.to_string_lossy();
            // A `libtch.so` there belongs to another project.
            name != "libtch.so" && (name.ends_with(".so") || name.contains(".so."))
        })
    });
    libraries
}

fn entries(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else {
        return Vec::new();
    };
    entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect()
}

fn link_to(target: &Path, link: &Path) -> Result<(), SetupError> {
    if std::fs::read_link(link).is_ok_and(|present| present == target) {
        return Ok(());
    }
    if link.symlink_metadata().is_ok() {
        std::fs::remove_file(link).map_err(write_error(link))?;
    }
    symlink(target, link).map_err(write_error(link))
}

/// The libraries that libtorch needs and the dynamic linker does not find.
///
/// A torch that was installed without its dependencies lacks the CUDA run time, for example, which
/// even its CPU library links.
fn missing_libraries(libtorch: &Libtorch) -> Vec<String> {
    let library = libtorch.lib().join("libtorch_cpu.so");
    let output = Command::new("ldd")
        .arg(library)
        .stdin(Stdio::null())
        .output();
    let Ok(output) = output else {
        return Vec::new();
    };
    String::from_utf8_lossy(&output.stdout)
        .lines()
        .filter_map(|line| line.trim().strip_suffix(" => not found"))
        .map(str::to_owned)
        .collect()
}

/// The user's folder to which an adopted libtorch links; none if `root` is not adopted.
fn original_of(root: &Path) -> Option<PathBuf> {
    let include = std::fs::read_link(root.join("include")).ok()?;
    include.parent().map(Path::to_path_buf)
}

/// The wheels from which a libtorch for the CPU is unpacked.
#[derive(Debug)]
pub struct Release<'a> {
    /// torch itself: libraries and headers.
    pub torch: Wheel<'a>,
    /// CUDA libraries that even `libtorch_cpu.so` links, each with the file that is kept of its wheel.
    pub companions: &'a [(Wheel<'a>, &'a str)],
}

/// libtorch 2.11.0 of PyPI.
pub const PYPI: Release<'static> = Release {
    torch: Wheel {
        name: "torch",
        version: VERSION,
        platform: Some("manylinux_2_28_x86_64"),
        sha256: "0f68f4ac6d95d12e896c3b7a912b5871619542ec54d3649cf48cc1edd4dd2756",
    },
    companions: &[
        (
            Wheel {
                name: "nvidia-cuda-runtime",
                version: "13.0.96",
                platform: Some("manylinux2014_x86_64"),
                sha256: "7f82250d7782aa23b6cfe765ecc7db554bd3c2870c43f3d1821f1d18aebf0548",
            },
            "nvidia/cu13/lib/libcudart.so.13",
        ),
        (
            Wheel {
                name: "nvidia-cuda-cupti",
                version: "13.0.85",
                platform: Some("manylinux_2_25_x86_64"),
                sha256: "4eb01c08e859bf924d222250d2e8f8b8ff6d3db4721288cf35d14252a4d933c8",
            },
            "nvidia/cu13/lib/libcupti.so.13",
        ),
    ],
};

/// The files that are kept of the torch wheel, besides its headers.
const TORCH_LIBRARIES: [&str; 3] = [
    "torch/lib/libtorch_cpu.so",
    "torch/lib/libc10.so",
    "torch/lib/libgomp.so.1",
];

/// The disk space for the wheel of torch and the files unpacked from it, with a margin.
const NEEDED_BYTES: u64 = 1_500_000_000;

fn fetch(cache: &Cache, pip: &Pip, release: &Release<'_>, root: &Path) -> Result<(), SetupError> {
    cache.require_room(NEEDED_BYTES)?;
    let staging = cache.staging()?;
    let finished = staging.path().join("libtorch");
    let wheels = std::iter::once((&release.torch, None)).chain(
        release
            .companions
            .iter()
            .map(|(wheel, file)| (wheel, Some(*file))),
    );
    for (wheel, file) in wheels {
        let folder = staging.path().join(wheel.name);
        std::fs::create_dir(&folder).map_err(write_error(&folder))?;
        let path = pip.download(wheel, &folder)?;
        let count = crate::wheel::unpack(&path, &finished, |name| match file {
            Some(file) => (name == file).then(|| library_path(name)),
            None if TORCH_LIBRARIES.contains(&name) => Some(library_path(name)),
            None => name
                .strip_prefix("torch/")
                .filter(|rest| rest.starts_with("include/"))
                .map(Into::into),
        })?;
        let min_count = match file {
            Some(_) => 1,
            // The libraries, and at least one header.
            None => TORCH_LIBRARIES.len() + 1,
        };
        if count < min_count {
            let detail = "it lacks files that libtorch needs".to_owned();
            return Err(SetupError::Wheel { path, detail });
        }
        std::fs::remove_dir_all(&folder).map_err(write_error(&folder))?;
    }
    cache.publish(&finished, root)
}

/// The path at which a library of a wheel is unpacked.
fn library_path(name: &str) -> PathBuf {
    Path::new("lib").join(name.rsplit('/').next().unwrap_or(name))
}

#[cfg(test)]
mod tests;

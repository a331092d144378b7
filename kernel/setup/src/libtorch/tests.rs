//! libtorch found, adopted and downloaded, with a package index in a folder.

use super::*;
use crate::wheel::tests::wheel_of;

const HEADER: &str = "#define TORCH_VERSION_MAJOR 2\n#define TORCH_VERSION_MINOR 11\n#define TORCH_VERSION_PATCH 0\n";

/// Creates a folder with the files of libtorch, whose version is in `header`.
fn libtorch_at(root: &Path, header: &str) {
    for (path, text) in [
        ("lib/libtorch_cpu.so", "cpu"),
        ("lib/libc10.so", "c10"),
        ("lib/libgomp.so.1", "gomp"),
        ("lib/libtorch_python.pyi", "not a library"),
        ("include/torch/csrc/api/include/torch/torch.h", ""),
        ("include/torch/headeronly/version.h", header),
    ] {
        let path = root.join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, text).unwrap();
    }
}

/// A package index in a folder, with a `python3` whose pip copies wheels from it and records its
/// calls.
struct Index {
    folder: tempfile::TempDir,
    digests: [String; 2],
}

impl Index {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        wheel_of(
            &folder.path().join("torch.whl"),
            &[
                ("torch/lib/libtorch_cpu.so", b"cpu"),
                ("torch/lib/libc10.so", b"c10"),
                ("torch/lib/libgomp.so.1", b"gomp"),
                ("torch/lib/libtorch_cuda.so", b"cuda"),
                ("torch/include/torch/csrc/api/include/torch/torch.h", b""),
                (
                    "torch/include/torch/headeronly/version.h",
                    HEADER.as_bytes(),
                ),
            ],
        );
        wheel_of(
            &folder.path().join("cudart.whl"),
            &[("nvidia/cu13/lib/libcudart.so.13", b"rt")],
        );
        let digests = ["torch.whl", "cudart.whl"]
            .map(|name| digest::sha256_of_file(&folder.path().join(name)).unwrap());
        let script = format!(
            "cd {0}\nfor last; do :; done\necho \"$last\" >>calls\n\
             while [ \"$1\" != --dest ]; do shift; done\ncp \"${{last%%==*}}.whl\" \"$2/\"\n",
            folder.path().display()
        );
        crate::fake::program(folder.path(), "python3", &script);
        Self { folder, digests }
    }

    fn pip(&self) -> Pip {
        Pip::of(self.folder.path().join("python3"))
    }

    fn calls(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("calls")).unwrap_or_default()
    }

    fn fetch_with(&self, cache: &Cache, companion: &str) -> Result<Libtorch, SetupError> {
        let wheel = |name, sha256| Wheel {
            name,
            version: "1",
            platform: None,
            sha256,
        };
        let companions = [(wheel("cudart", &self.digests[1]), companion)];
        let release = Release {
            torch: wheel("torch", &self.digests[0]),
            companions: &companions,
        };
        find_or_fetch(cache, &Candidates::default(), &self.pip(), &release)
    }

    fn fetch(&self, cache: &Cache) -> Result<Libtorch, SetupError> {
        self.fetch_with(cache, "nvidia/cu13/lib/libcudart.so.13")
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<String> = entries(folder)
        .iter()
        .map(|path| path.file_name().unwrap().to_string_lossy().into_owned())
        .collect();
    names.sort();
    names
}

#[test]
fn a_download_keeps_the_cpu_libraries_and_headers_and_happens_once() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let index = Index::new();
    let libtorch = index.fetch(&cache).unwrap();
    assert_eq!(
        names(&libtorch.lib()),
        [
            "libc10.so",
            "libcudart.so.13",
            "libgomp.so.1",
            "libtorch_cpu.so"
        ]
    );
    assert!(
        libtorch
            .include()
            .join("torch/headeronly/version.h")
            .is_file()
    );
    assert_eq!(names(folder.path()), [".lock", "libtorch-2.11.0"]);
    assert_eq!(index.fetch(&cache).unwrap(), libtorch);
    assert_eq!(index.calls(), "torch==1\ncudart==1\n");
}

#[test]
fn a_failure_after_the_first_wheel_leaves_nothing_and_the_next_run_succeeds() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let index = Index::new();
    let error = index
        .fetch_with(&cache, "nvidia/cu13/lib/libcudart.so.99")
        .unwrap_err();
    assert!(
        error
            .to_string()
            .contains("it lacks files that libtorch needs"),
        "{error}"
    );
    assert_eq!(names(folder.path()), [".lock"]);
    index.fetch(&cache).unwrap();
}

#[test]
fn a_libtorch_with_a_missing_file_is_downloaded_again_as_a_whole() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let index = Index::new();
    let libtorch = index.fetch(&cache).unwrap();
    std::fs::remove_file(libtorch.lib().join("libc10.so")).unwrap();
    assert!(
        index
            .fetch(&cache)
            .unwrap()
            .lib()
            .join("libc10.so")
            .is_file()
    );
}

#[test]
fn a_disk_without_room_is_an_error_before_the_download() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(folder.path()).unwrap();
    let error = cache.require_room(u64::MAX).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("the disk is full; free some room"),
        "{error}"
    );
    assert!(cache.require_room(1).is_ok());
}

#[test]
fn a_libtorch_of_another_version_in_the_variable_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(&folder.path().join("cache")).unwrap();
    let own = folder.path().join("own");
    let candidates = Candidates {
        named: Some(own.clone()),
        ..Candidates::default()
    };
    let attempt = || {
        find_or_fetch(&cache, &candidates, &Pip::of("none"), &PYPI)
            .unwrap_err()
            .to_string()
    };

    let prefix = format!("failed to use LIBTORCH={}: ", own.display());
    assert!(attempt().starts_with(&format!("{prefix}there is no lib/libtorch_cpu.so in it")));
    libtorch_at(&own, "#define TORCH_VERSION_MAJOR 2\n");
    assert!(attempt().starts_with(&format!("{prefix}its headers name no version")));
    libtorch_at(&own, &HEADER.replace("11", "9"));
    let message = attempt();
    assert!(
        message.starts_with(&format!("{prefix}it holds version 2.9.0")),
        "{message}"
    );
    assert!(message.ends_with(
        "point LIBTORCH to libtorch 2.11.0, or unset it to let set-up find or fetch one"
    ));
    std::fs::write(own.join("build-version"), "2.12.0+cu130\n").unwrap();
    assert!(attempt().starts_with(&format!("{prefix}it holds version 2.12.0")));
}

#[test]
fn a_torch_of_the_user_is_linked_with_the_cuda_libraries_beside_it() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(&folder.path().join("cache")).unwrap();
    let own = folder.path().join("site-packages/torch");
    libtorch_at(&own, HEADER);
    let cudnn = folder
        .path()
        .join("site-packages/nvidia/cudnn/lib/libcudnn.so.9");
    std::fs::create_dir_all(cudnn.parent().unwrap()).unwrap();
    std::fs::write(&cudnn, "cudnn").unwrap();

    let candidates = Candidates {
        python: Some(own.clone()),
        ..Candidates::default()
    };
    let adopted = find_or_fetch(&cache, &candidates, &Pip::of("none"), &PYPI).unwrap();
    assert_eq!(
        names(&adopted.lib()),
        [
            "libc10.so",
            "libcudnn.so.9",
            "libgomp.so.1",
            "libtorch_cpu.so"
        ]
    );
    let link = std::fs::read_link(adopted.lib().join("libtorch_cpu.so")).unwrap();
    assert_eq!(
        link,
        own.canonicalize().unwrap().join("lib/libtorch_cpu.so")
    );

    // A later set-up uses the recorded folder, and adds libraries that were installed since.
    std::fs::write(cudnn.with_file_name("libcudnn_ops.so.9"), "ops").unwrap();
    let candidates = Candidates {
        recorded: Some(adopted.lib()),
        ..Candidates::default()
    };
    let again = find_or_fetch(&cache, &candidates, &Pip::of("none"), &PYPI).unwrap();
    assert_eq!(again, adopted);
    assert!(names(&again.lib()).contains(&"libcudnn_ops.so.9".to_owned()));
}

/// Creates a libtorch whose CPU library links a companion that does not exist.
fn libtorch_without_companion_at(root: &Path) {
    libtorch_at(root, HEADER);
    let companion = root.join("libcudart.so.13");
    let link = |output: &Path, needed: Option<&Path>| {
        let mut command = Command::new("g++");
        command.args([
            "-shared",
            "-Wl,--no-as-needed",
            "-x",
            "c++",
            "/dev/null",
            "-x",
            "none",
        ]);
        command.args(needed).arg("-o").arg(output);
        command
            .arg("-Wl,-soname")
            .arg(format!("-Wl,{}", output.file_name().unwrap().display()));
        assert!(command.status().unwrap().success());
    };
    link(&companion, None);
    link(&root.join("lib/libtorch_cpu.so"), Some(&companion));
    std::fs::remove_file(companion).unwrap();
}

#[test]
fn a_torch_without_its_companions_is_an_error_in_the_variable_and_passed_over_in_python() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(&folder.path().join("cache")).unwrap();
    let own = folder.path().join("torch");
    libtorch_without_companion_at(&own);
    let attempt = |candidates| {
        let pip = Pip::of("no-such-python");
        find_or_fetch(&cache, &candidates, &pip, &PYPI)
            .unwrap_err()
            .to_string()
    };
    let named = attempt(Candidates {
        named: Some(own.clone()),
        ..Candidates::default()
    });
    assert!(
        named.contains(": it needs libcudart.so.13, not found there; point LIBTORCH"),
        "{named}"
    );
    let found = attempt(Candidates {
        python: Some(own),
        ..Candidates::default()
    });
    assert!(
        found.starts_with("failed to fetch torch==2.11.0"),
        "{found}"
    );
}

#[test]
fn a_torch_of_another_version_in_python_is_passed_over_for_a_download() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open(&folder.path().join("cache")).unwrap();
    let own = folder.path().join("torch");
    libtorch_at(&own, &HEADER.replace("11", "9"));
    let candidates = Candidates {
        python: Some(own),
        ..Candidates::default()
    };
    let error = find_or_fetch(&cache, &candidates, &Pip::of("no-such-python"), &PYPI).unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("failed to fetch torch==2.11.0"),
        "{error}"
    );
}

#[test]
fn the_torch_of_a_python_is_found_without_importing_it() {
    let folder = tempfile::tempdir().unwrap();
    let torch_folder = |script: &str| {
        let python = crate::fake::program(folder.path(), "python3", script);
        torch_of_python(python.to_str().unwrap())
    };
    assert_eq!(
        torch_folder("echo /site-packages/torch"),
        Some("/site-packages/torch".into())
    );
    assert_eq!(torch_folder("echo"), None);
    assert_eq!(torch_folder("exit 1"), None);
    assert_eq!(torch_of_python("no-such-python"), None);
}

//! tch's C shim, compiled once as the shared library `libtch.so`.
//!
//! tch's generic functions are instantiated in the cells that call them, and need the shim's
//! symbols there. Linked statically into prelude and cell it would exist twice, with two places
//! for the last error, so that an error of torch in a cell would be read as success. Shared, it
//! exists once. Its sources are those that torch-sys itself ships.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use crate::SetupError;
use crate::cache::{Cache, refused};
use crate::libtorch::{self, Libtorch};

/// Of which sources, against which libtorch, the `libtch.so` beside it was made.
const STAMP: &str = "libtch.txt";
const SOURCES: [&str; 2] = ["torch_api", "torch_api_generated"];

/// Whether `libtch.so` of this torch-sys already lies beside libtorch.
pub fn is_built(libtorch: &Libtorch, torch_sys: &str) -> bool {
    libtorch.lib().join("libtch.so").is_file()
        && std::fs::read_to_string(libtorch.lib().join(STAMP))
            .is_ok_and(|text| text == stamp(torch_sys))
}

/// Compiles `libtch.so` from the sources in `folder` and puts it beside libtorch.
///
/// # Errors
/// No compiler, sources that do not compile, no room.
pub fn build(
    cache: &Cache,
    libtorch: &Libtorch,
    torch_sys: &str,
    folder: &Path,
    compiler: &Compiler,
) -> Result<(), SetupError> {
    let staging = cache.staging()?;
    let object = |name: &str| staging.path().join(name).with_extension("o");
    let mut running = Vec::new();
    for name in SOURCES {
        let source = folder.join(name).with_extension("cpp");
        if !source.is_file() {
            return Err(SetupError::ShimSources {
                detail: format!("no {}", source.display()),
            });
        }
        let mut command = compiler.command(staging.path());
        // Wrappers around libtorch calls: more optimisation costs minutes and gains nothing.
        command.args([
            "-c",
            "-O1",
            "-fPIC",
            "-std=c++17",
            "-w",
            "-D_GLIBCXX_USE_CXX11_ABI=1",
        ]);
        for include in [
            libtorch.include(),
            libtorch.include().join("torch/csrc/api/include"),
        ] {
            command.arg("-I").arg(include);
        }
        command.arg(source).arg("-o").arg(object(name));
        running.push(compiler.start(command)?);
    }
    for child in running {
        compiler.finish(child, staging.path())?;
    }
    let library = staging.path().join("libtch.so");
    let mut command = compiler.command(staging.path());
    command
        .arg("-shared")
        .args(SOURCES.map(object))
        .arg("-o")
        .arg(&library);
    command
        .arg("-L")
        .arg(libtorch.lib())
        .args(["-ltorch_cpu", "-lc10"]);
    // libtorch lies beside it, wherever that is.
    command.args(["-Wl,-soname,libtch.so", "-Wl,-rpath,$ORIGIN"]);
    // tch's callbacks for streams stay undefined: the Rust side defines them. Bound when called,
    // not when loaded, which some distributions make the default.
    command.arg("-Wl,-z,lazy");
    compiler.finish(compiler.start(command)?, staging.path())?;

    cache.publish(&library, &libtorch.lib().join("libtch.so"))?;
    // Last: only a whole library is ever called built.
    let path = libtorch.lib().join(STAMP);
    crate::file::write_if_changed(&path, stamp(torch_sys).as_bytes()).map_err(refused(&path))?;
    Ok(())
}

fn stamp(torch_sys: &str) -> String {
    format!("torch-sys {torch_sys}, libtorch {}\n", libtorch::VERSION)
}

/// The user's C++ compiler.
#[derive(Debug, Clone)]
pub struct Compiler {
    words: Vec<String>,
}

impl Default for Compiler {
    /// `CXX`, else `g++`.
    fn default() -> Self {
        Self::of(&std::env::var("CXX").unwrap_or_default())
    }
}

impl Compiler {
    /// A compiler by its command, which may have words in front or behind (`ccache g++`).
    pub fn of(command: &str) -> Self {
        let mut words: Vec<String> = command.split_whitespace().map(str::to_owned).collect();
        if words.is_empty() {
            words.push("g++".to_owned());
        }
        Self { words }
    }

    fn command(&self, temporary: &Path) -> Command {
        let mut command = Command::new(&self.words[0]);
        command.args(&self.words[1..]);
        // The compiler's own temporary files go when ours go, even if both are killed. Its
        // messages are searched for fixed words.
        command.env("TMPDIR", temporary).env("LC_ALL", "C");
        command
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        command
    }

    fn start(&self, mut command: Command) -> Result<Child, SetupError> {
        command.spawn().map_err(|source| match source.kind() {
            std::io::ErrorKind::NotFound => SetupError::NoCompiler {
                compiler: self.name(),
            },
            _ => SetupError::Io {
                action: "start",
                path: PathBuf::from(&self.words[0]),
                source,
            },
        })
    }

    fn finish(&self, child: Child, folder: &Path) -> Result<(), SetupError> {
        let output = child
            .wait_with_output()
            .map_err(|source| SetupError::reading(Path::new(&self.words[0]), source))?;
        if output.status.success() {
            return Ok(());
        }
        let complaint = String::from_utf8_lossy(&output.stderr);
        if complaint.contains("No space left on device") {
            return Err(SetupError::disk_full(folder));
        }
        let wrong = ["error", "cannot", "undefined", "Killed"];
        let line = complaint
            .lines()
            .find(|line| wrong.iter().any(|word| line.contains(word)))
            .or(complaint.lines().next());
        let detail = line.map_or_else(|| output.status.to_string(), |line| line.trim().to_owned());
        Err(SetupError::Compile {
            compiler: self.name(),
            detail,
        })
    }

    fn name(&self) -> String {
        self.words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::libtorch::{Candidates, PYPI, find_or_fetch};
    use crate::pip::Pip;

    /// Sources with one function each, and a libtorch with an include folder and nothing in it.
    struct Bench {
        _folder: tempfile::TempDir,
        cache: Cache,
        libtorch: Libtorch,
        sources: PathBuf,
    }

    fn bench() -> Bench {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(&folder.path().join("cache")).unwrap();
        let root = cache.root().join("libtorch-2.11.0");
        let header = root.join("include/torch/csrc/api/include/torch/torch.h");
        std::fs::create_dir_all(header.parent().unwrap()).unwrap();
        std::fs::create_dir_all(root.join("lib")).unwrap();
        std::fs::write(header, "#define ANSWER 42\n").unwrap();
        std::fs::write(root.join("build-version"), "2.11.0").unwrap();
        for name in ["libtorch_cpu.so", "libc10.so"] {
            let status = Command::new("g++")
                .args(["-shared", "-x", "c++", "/dev/null", "-o"])
                .arg(root.join("lib").join(name))
                .status()
                .unwrap();
            assert!(status.success());
        }
        let sources = folder.path().join("libtch");
        std::fs::create_dir(&sources).unwrap();
        for name in SOURCES {
            let text = format!(
                "#include <torch/torch.h>\nextern \"C\" int {name}() {{ return ANSWER; }}\n"
            );
            std::fs::write(sources.join(name).with_extension("cpp"), text).unwrap();
        }
        let libtorch =
            find_or_fetch(&cache, &Candidates::default(), &Pip::of("none"), &PYPI).unwrap();
        Bench {
            _folder: folder,
            cache,
            libtorch,
            sources,
        }
    }

    impl Bench {
        fn build(&self, compiler: &str) -> Result<(), SetupError> {
            build(
                &self.cache,
                &self.libtorch,
                "0.24.0",
                &self.sources,
                &Compiler::of(compiler),
            )
        }
    }

    #[test]
    fn the_shim_is_built_once_per_version_of_its_sources() {
        let bench = bench();
        assert!(!is_built(&bench.libtorch, "0.24.0"));
        bench.build("g++").unwrap();
        assert!(is_built(&bench.libtorch, "0.24.0"));
        assert!(!is_built(&bench.libtorch, "0.25.0"));
    }

    #[test]
    fn sources_that_do_not_compile_or_link_are_named_and_leave_no_library() {
        let bench = bench();
        let source = bench.sources.join("torch_api.cpp");
        std::fs::write(&source, "int broken( {").unwrap();
        let message = bench.build("g++").unwrap_err().to_string();
        assert!(
            message.starts_with("failed to compile libtch.so with `g++`: "),
            "{message}"
        );
        assert!(message.contains("torch_api.cpp:1"), "{message}");
        std::fs::write(&source, "").unwrap();
        std::fs::remove_file(bench.libtorch.lib().join("libc10.so")).unwrap();
        let message = bench.build("g++").unwrap_err().to_string();
        assert!(message.contains("-lc10"), "{message}");
        assert!(!bench.libtorch.lib().join("libtch.so").exists());
        assert!(!is_built(&bench.libtorch, "0.24.0"));
    }

    #[test]
    fn without_a_compiler_the_message_says_how_to_install_one() {
        let message = bench().build("no-such-compiler").unwrap_err().to_string();
        assert_eq!(
            message,
            "failed to compile libtch.so: no C++ compiler `no-such-compiler` on the path; install \
             g++ (Debian, Ubuntu: `apt-get install g++`) or set CXX, and run this again"
        );
    }
}

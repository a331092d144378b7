//! Compiles tch's C shim as the shared library `libtch.so`.
//!
//! tch's generic functions are instantiated in the cells that call them, so the cells need the
//! shim's symbols, as the prelude does. The shim keeps libtorch's last error in a thread-local variable.
//! Linked statically, prelude and cell would each have a copy of it, and an error of libtorch in a
//! cell would look like success. As a shared library the shim exists once. Its sources are those
//! that torch-sys ships.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use offmodel_support::atomic_file;

use crate::SetupError;
use crate::cache::{Cache, write_error};
use crate::libtorch::{self, Libtorch};

/// The file that records from which sources, against which libtorch, the `libtch.so` beside it was
/// built.
const STAMP_FILE: &str = "libtch.txt";
const SOURCES: [&str; 2] = ["torch_api", "torch_api_generated"];

/// Returns whether the `libtch.so` of this version of torch-sys is beside libtorch.
pub fn is_built(libtorch: &Libtorch, torch_sys: &str) -> bool {
    libtorch.lib().join("libtch.so").is_file()
        && std::fs::read_to_string(libtorch.lib().join(STAMP_FILE))
            .is_ok_and(|text| text == stamp(torch_sys))
}

/// Compiles `libtch.so` from the sources in `folder` and puts it beside libtorch.
///
/// # Errors
/// When there is no compiler, the sources do not compile, or the disk is full.
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
        // The shim only wraps calls of libtorch: -O2 takes minutes longer and gains nothing.
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
    // The dynamic linker looks for libtorch beside `libtch.so`.
    command.args(["-Wl,-soname,libtch.so", "-Wl,-rpath,$ORIGIN"]);
    // The Rust side defines tch's callbacks for streams, so they are undefined here and must be
    // bound when they are called. Some distributions bind when a library is loaded by default.
    command.arg("-Wl,-z,lazy");
    compiler.finish(compiler.start(command)?, staging.path())?;

    cache.publish(&library, &libtorch.lib().join("libtch.so"))?;
    // The stamp is last, so that it never stands beside an incomplete library.
    let path = libtorch.lib().join(STAMP_FILE);
    atomic_file::write_if_changed(&path, stamp(torch_sys).as_bytes())
        .map_err(write_error(&path))?;
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
    /// A compiler by its command, which may have several words (`ccache g++`).
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
        // Set-up removes the compiler's temporary files with its own, even after both were killed.
        // The compiler's messages are searched for English words.
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
        let messages = String::from_utf8_lossy(&output.stderr);
        if messages.contains("No space left on device") {
            return Err(SetupError::disk_full(folder));
        }
        let error_words = ["error", "cannot", "undefined", "Killed"];
        let line = messages
            .lines()
            .find(|line| error_words.iter().any(|word| line.contains(word)))
            .or(messages.lines().next());
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

    /// Two sources with a function each, and a libtorch whose libraries are empty.
    struct Fixture {
        _folder: tempfile::TempDir,
        cache: Cache,
        libtorch: Libtorch,
        sources: PathBuf,
    }

    fn fixture() -> Fixture {
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
        Fixture {
            _folder: folder,
            cache,
            libtorch,
            sources,
        }
    }

    impl Fixture {
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
    fn the_shim_is_built_once_for_each_version_of_its_sources() {
        let fixture = fixture();
        assert!(!is_built(&fixture.libtorch, "0.24.0"));
        fixture.build("g++").unwrap();
        assert!(is_built(&fixture.libtorch, "0.24.0"));
        assert!(!is_built(&fixture.libtorch, "0.25.0"));
    }

    #[test]
    fn sources_that_do_not_compile_or_link_are_named_and_leave_no_library() {
        let fixture = fixture();
        let source = fixture.sources.join("torch_api.cpp");
        std::fs::write(&source, "int broken( {").unwrap();
        let message = fixture.build("g++").unwrap_err().to_string();
        assert!(
            message.starts_with("failed to compile libtch.so with `g++`: "),
            "{message}"
        );
        assert!(message.contains("torch_api.cpp:1"), "{message}");
        std::fs::write(&source, "").unwrap();
        std::fs::remove_file(fixture.libtorch.lib().join("libc10.so")).unwrap();
        let message = fixture.build("g++").unwrap_err().to_string();
        assert!(message.contains("-lc10"), "{message}");
        assert!(!fixture.libtorch.lib().join("libtch.so").exists());
        assert!(!is_built(&fixture.libtorch, "0.24.0"));
    }

    #[test]
    fn without_a_compiler_the_message_says_how_to_install_one() {
        let message = fixture().build("no-such-compiler").unwrap_err().to_string();
        assert_eq!(
            message,
            "failed to compile libtch.so: no C++ compiler `no-such-compiler` on the path; install \
             g++ (Debian, Ubuntu: `apt-get install g++`) or set CXX, and run this again"
        );
    }
}

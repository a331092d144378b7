//! Crates added by `:dep`.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use offmodel_toolchain::extra_crates::CrateRequest;

use crate::Notebook;

pub(crate) fn are_used_by_later_cells() -> Result<(), Failed> {
    let mut notebook = Notebook::start();
    notebook.shows("let kept = vec![1, 2];");
    notebook.shows(":dep itoa = \"1\"\nlet mut buffer = itoa::Buffer::new();");
    assert_eq!(
        notebook.shows("buffer.format(kept.len()).to_owned()"),
        "\"2\""
    );
    let wrong =
        notebook.fails("let a = 1;\n:dep itoa = { version = \"1\", features = [\"no-such\"] }");
    assert_eq!(wrong.line, Some(2));
    assert!(wrong.traceback.concat().contains("no-such"), "{wrong:?}");
    notebook.shows(":dep fastrand@2");
    notebook.shows("let mut random = fastrand::Rng::with_seed(7);\nlet first = random.u8(..);");
    assert_eq!(
        notebook.shows("first == fastrand::Rng::with_seed(7).u8(..)"),
        "true"
    );
    notebook.shows("random.u8(..);");
    assert_eq!(notebook.shows("buffer.format(kept[1]).to_owned()"), "\"2\"");
    assert!(
        notebook
            .shows(":dep polars")
            .contains("part of the prelude")
    );
    // A crate that was built before is available at once. Other work on the machine can only add
    // to the time.
    let mut times = Vec::new();
    while times.iter().all(|&took| took >= Duration::from_secs(1)) {
        assert!(times.len() < 5, "{times:?}");
        let started = Instant::now();
        notebook.shows(":dep itoa = \"1\"");
        times.push(started.elapsed());
    }
    Ok(())
}

pub(crate) fn have_one_state_for_all_cells() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let library = "use std::sync::atomic::{AtomicUsize, Ordering};
        static CALLS: AtomicUsize = AtomicUsize::new(0);
        pub fn call() -> usize { CALLS.fetch_add(1, Ordering::Relaxed) + 1 }
        pub fn call_generic<T>(_: T) -> usize { call() }";
    package(folder.path(), library, None)?;
    let mut notebook = Notebook::start();
    notebook.shows(&format!(
        ":dep local_answer = {{ path = {:?} }}",
        folder.path()
    ));
    assert_eq!(notebook.shows("local_answer::call()"), "1");
    assert_eq!(notebook.shows("local_answer::call()"), "2");
    assert_eq!(notebook.shows("local_answer::call_generic(0.5)"), "3");
    notebook.shows("let counted = move || local_answer::call();");
    assert_eq!(notebook.shows("counted()"), "4");
    Ok(())
}

/// Generic functions are compiled in the cell and call the crate's C functions from there.
pub(crate) fn may_have_c_code() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let build = r#"
        fn main() {
            let out = std::env::var("OUT_DIR").unwrap();
            std::fs::write(format!("{out}/count.c"), "static int calls; int count_calls(void) { return ++calls; }").unwrap();
            let run = |program: &str, arguments: &[&str]| {
                let status = std::process::Command::new(program).args(arguments).current_dir(&out).status();
                assert!(status.unwrap().success());
            };
            run("cc", &["-c", "-fPIC", "count.c", "-o", "count.o"]);
            run("ar", &["crs", "libcount.a", "count.o"]);
            println!("cargo:rustc-link-search=native={out}");
            println!("cargo:rustc-link-lib=static=count");
        }"#;
    let library = "unsafe extern \"C\" { pub fn count_calls() -> i32; }
        pub fn count<T>(_: T) -> i32 { unsafe { count_calls() } }";
    package(folder.path(), library, Some(build))?;
    let mut notebook = Notebook::start();
    notebook.shows(&format!(
        ":dep local_answer = {{ path = {:?} }}",
        folder.path()
    ));
    assert_eq!(notebook.shows("local_answer::count(0.5)"), "1");
    assert_eq!(notebook.shows("local_answer::count(\"text\")"), "2");
    Ok(())
}

/// Two kernels that start with the same `:dep` line at once: one builds the crate, the other waits
/// for it, and neither needs the network again.
pub(crate) fn are_built_once_for_several_sessions() -> Result<(), Failed> {
    let toolchain = offmodel_toolchain::Toolchain::locate()?;
    let request = CrateRequest::parse("either = \"=1.15.0\"", Path::new("/"))?;
    let builds: Vec<_> = std::thread::scope(|scope| {
        let build = || {
            let steps = &mut |_: &str| {};
            toolchain.extra_crates(std::slice::from_ref(&request), None, steps)
        };
        let running = [scope.spawn(build), scope.spawn(build)];
        running.map(|build| build.join().unwrap()).into()
    });
    let keys: Vec<String> = builds
        .into_iter()
        .map(|built| built.map(|crates| crates.key().to_owned()))
        .collect::<Result<_, _>>()?;
    assert_eq!(keys[0], keys[1]);
    Ok(())
}

pub(crate) fn in_a_folder_may_change() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    package(folder.path(), "pub fn answer() -> i32 { 41 }", None)?;
    let line = format!(":dep local_answer = {{ path = {:?} }}", folder.path());
    let mut notebook = Notebook::start();
    notebook.shows("let kept = String::from(\"kept\");");
    notebook.shows(&line);
    assert_eq!(notebook.shows("local_answer::answer()"), "41");
    package(folder.path(), "pub fn answer() -> i32 { 42 }", None)?;
    notebook.shows(&line);
    assert_eq!(notebook.shows("local_answer::answer()"), "42");
    package(folder.path(), "pub fn answer() -> i32 { \"no\" }", None)?;
    let error = notebook.fails(&line);
    assert!(
        error.traceback.concat().contains("mismatched types"),
        "{error:?}"
    );
    assert_eq!(
        notebook.shows("(local_answer::answer(), kept.len())"),
        "(42, 4)"
    );
    Ok(())
}

pub(crate) fn are_not_built_after_an_interrupt() -> Result<(), Failed> {
    let folder = tempfile::tempdir()?;
    let slow = "fn main() { std::thread::sleep(std::time::Duration::from_secs(100)); }";
    package(folder.path(), "", Some(slow))?;
    let mut notebook = Notebook::start();
    notebook.shows("let kept = 5;");
    let interrupter = notebook.session.interrupter();
    let waiting = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_secs(3));
        let interrupted = Instant::now();
        interrupter.interrupt();
        interrupted
    });
    let error = notebook.fails(&format!(
        ":dep local_answer = {{ path = {:?} }}",
        folder.path()
    ));
    let ended = Instant::now();
    let interrupted = waiting.join().map_err(|_| "the interrupting thread")?;
    assert_eq!(error.name, "Interrupted");
    assert!(
        // The build would take 100 s.
        ended > interrupted && ended - interrupted < Duration::from_secs(20),
        "{:?}",
        ended - interrupted
    );
    assert_eq!(notebook.shows("kept + 1"), "6");
    Ok(())
}

/// Writes a package `local_answer`, with a build script if `build` is given.
fn package(folder: &Path, library: &str, build: Option<&str>) -> std::io::Result<()> {
    fs::create_dir_all(folder.join("src"))?;
    fs::write(
        folder.join("Cargo.toml"),
        "[package]\nname = \"local_answer\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
    )?;
    fs::write(folder.join("src/lib.rs"), library)?;
    match build {
        Some(build) => fs::write(folder.join("build.rs"), build),
        None => Ok(()),
    }
}

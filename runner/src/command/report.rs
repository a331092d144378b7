use std::path::Path;

use super::{ReportArguments, status};
use crate::error::RunnerError;
use crate::exit_code::ExitCode;
use crate::report::{Page, ReportedNotebook};
use crate::store::{Standing, SweepFolder, compact, read_results, write_atomically};

/// Writes a sweep's results and executed notebooks into one page; prints the result table and
/// the page's path.
pub(super) fn report(arguments: &ReportArguments) -> Result<ExitCode, RunnerError> {
    let folder = SweepFolder::view(&arguments.folder)?;
    let trials = status::submitted_trials(&folder)?;
    compact(&folder, &trials)?;
    let results = read_results(folder.path())?;
    let title = folder.path().file_name().unwrap_or_default().to_string_lossy().into_owned();
    let mut page = Page::new(&title);
    page.results(&results);
    for path in &arguments.also {
        page.notebook(&ReportedNotebook::read(path, &name_of(path))?);
    }
    for trial in &trials {
        if let Standing::Succeeded(result) = folder.state(&trial.id).standing {
            let path = folder.attempt(&trial.id, result.attempt).join("out.ipynb");
            let heading = format!("Trial {}: {}", trial.id, crate::assignment::described(&trial.given));
            page.notebook(&ReportedNotebook::read(&path, &heading)?);
        }
    }
    write_atomically(&arguments.output, page.finish().as_bytes())?;
    println!("{}", offmodel_analysis::frame_text(&results, &offmodel_analysis::FrameDisplay::default()));
    let path = arguments.output.canonicalize().unwrap_or_else(|_| arguments.output.clone());
    println!("{}", path.display());
    Ok(ExitCode::Success)
}

fn name_of(path: &Path) -> String {
    path.file_name().unwrap_or_default().to_string_lossy().into_owned()
}

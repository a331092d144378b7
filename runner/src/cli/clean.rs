use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::json::{VERSION, print_json};
use super::order::runtime;
use super::{CleanArguments, status};
use crate::error::RunnerError;
use crate::executor::slurm::ensure_no_jobs;
use crate::exit_code::ExitCode;
use crate::store::{Standing, SweepFolder};
use crate::terminal::outln;

/// Begins the names of files being written, and of folders being removed.
const TEMPORARY: &str = ".offmodel-";

/// What `clean --json` prints.
#[derive(Debug, Serialize)]
struct CleanDocument {
    version: u32,
    command: &'static str,
    sweep: String,
    /// Whether it was removed, or only would be.
    removed: bool,
    bytes: u64,
    items: Vec<Item>,
}

/// Something that is no longer needed.
#[derive(Debug, Serialize)]
struct Item {
    path: PathBuf,
    reason: Useless,
    bytes: u64,
}

/// Why something is no longer needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Useless {
    /// A later attempt counts.
    Superseded,
    /// An attempt without a result, of a trial that succeeded in another one.
    Unfinished,
    /// A trial that the sweep as submitted last does not have.
    Other,
    /// Left behind by a runner that was killed.
    Temporary,
}

impl std::fmt::Display for Useless {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(match self {
            Self::Superseded => "a later attempt counts",
            Self::Unfinished => "without a result; another attempt succeeded",
            Self::Other => "not a trial of the sweep as submitted last",
            Self::Temporary => "left behind by a runner that was killed",
        })
    }
}

/// Tells what a sweep no longer needs, and removes it with `--yes`. What counts for a result, a
/// report or a resumption stays.
pub(super) fn clean(arguments: &CleanArguments) -> Result<ExitCode, RunnerError> {
    let folder = if arguments.yes {
        // Refuses where a runner is at work; a folder without a sweep is not made one.
        SweepFolder::view(&arguments.folder)?;
        let folder = SweepFolder::open(&arguments.folder, 0)?;
        // What looks unfinished may be at work on a cluster.
        runtime()?.block_on(ensure_no_jobs(&folder))?;
        folder
    } else {
        SweepFolder::view(&arguments.folder)?
    };
    let items = useless(&folder)?;
    if arguments.yes {
        for item in &items {
            remove(&folder, &item.path)?;
        }
    }
    let document = CleanDocument {
        version: VERSION,
        command: "clean",
        sweep: folder.name(),
        removed: arguments.yes,
        bytes: items.iter().map(|item| item.bytes).sum(),
        items,
    };
    if arguments.json {
        return print_json(&document);
    }
    for item in &document.items {
        outln!("{}  {}", item.path.display(), item.reason);
    }
    let megabytes = document.bytes as f64 / 1e6;
    match (document.items.len(), document.removed) {
        (0, _) => outln!("nothing to remove"),
        (count, true) => outln!("removed {count} entries, {megabytes:.1} MB"),
        (count, false) => outln!("{count} entries, {megabytes:.1} MB; --yes removes them"),
    }
    Ok(ExitCode::Success)
}

fn useless(folder: &SweepFolder) -> Result<Vec<Item>, RunnerError> {
    let trials = status::submitted_trials(folder)?;
    let mut items = Vec::new();
    for trial in &trials {
        let state = folder.state(&trial.id);
        let (counts, succeeded) = match &state.standing {
            Standing::Succeeded(result) => (result.attempt, true),
            Standing::Failed(result) | Standing::Cancelled(result) => (result.attempt, false),
            // Its number tells the next attempt's.
            Standing::New | Standing::Unfinished => (state.attempts, false),
        };
        let mut attempts = folder.attempts(&trial.id);
        attempts.sort_unstable();
        for attempt in attempts {
            let reason = if attempt < counts {
                Useless::Superseded
            } else if attempt > counts && succeeded {
                Useless::Unfinished
            } else {
                continue;
            };
            items.push(item(folder.attempt(&trial.id, attempt), reason));
        }
    }
    let current: HashSet<&str> = trials.iter().map(|trial| trial.id.as_str()).collect();
    for other in folder.other_trials(&current) {
        items.push(item(folder.trial(&other), Useless::Other));
    }
    if folder.runner().is_none_or(|runner| runner.is_own()) {
        let mut temporary: Vec<PathBuf> = entries(folder.path())
            .filter(|path| {
                path.file_name()
                    .is_some_and(|name| name.to_string_lossy().starts_with(TEMPORARY))
            })
            .collect();
        temporary.sort_unstable();
        items.extend(
            temporary
                .into_iter()
                .map(|path| item(path, Useless::Temporary)),
        );
    }
    Ok(items)
}

fn item(path: PathBuf, reason: Useless) -> Item {
    Item {
        bytes: size(&path),
        path,
        reason,
    }
}

/// The bytes of a file, or of all files in a folder; links are not followed.
fn size(path: &Path) -> u64 {
    match path.symlink_metadata() {
        Ok(metadata) if metadata.is_dir() => entries(path).map(|entry| size(&entry)).sum(),
        Ok(metadata) => metadata.len(),
        Err(_) => 0,
    }
}

fn entries(folder: &Path) -> impl Iterator<Item = PathBuf> {
    fs::read_dir(folder)
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
}

/// Renamed first: half of an attempt must not pass for a whole one if we are killed meanwhile.
fn remove(folder: &SweepFolder, path: &Path) -> Result<(), RunnerError> {
    let removed = if path.is_dir() {
        let name = format!("{TEMPORARY}removed-{}", uuid::Uuid::new_v4());
        let aside = folder.path().join(name);
        fs::rename(path, &aside).and_then(|()| fs::remove_dir_all(&aside))
    } else {
        fs::remove_file(path)
    };
    removed.map_err(|source| RunnerError::Write {
        path: path.to_owned(),
        source,
    })
}

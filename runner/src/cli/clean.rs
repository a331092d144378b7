//! `offmodel clean`.

use std::collections::HashSet;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use offmodel_support::atomic_file::TEMPORARY_PREFIX;
use serde::Serialize;

use super::CleanArguments;
use super::output::{Format, Output, VERSION, print};
use crate::error::RunnerError;
use crate::executor::slurm::ensure_no_jobs;
use crate::exit_code::ExitCode;
use crate::runtime;
use crate::store::{SweepFolder, TrialStatus};
use crate::sweep::submitted_trials;
use crate::terminal::outln;

#[derive(Debug, Serialize)]
struct Garbage {
    version: u32,
    command: &'static str,
    sweep: String,
    /// Whether the items were removed, or are only listed.
    removed: bool,
    bytes: u64,
    items: Vec<Item>,
}

/// A file or folder that is no longer needed.
#[derive(Debug, Serialize)]
struct Item {
    path: PathBuf,
    reason: Reason,
    bytes: u64,
}

/// Why an item is no longer needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Reason {
    /// A later attempt decides the trial's status.
    Superseded,
    /// The attempt has no result, and an earlier one succeeded.
    Unfinished,
    /// The sweep as last submitted does not have the trial.
    Other,
    /// A killed runner left the temporary file behind.
    Temporary,
}

impl fmt::Display for Reason {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Superseded => "a later attempt counts",
            Self::Unfinished => "without a result; another attempt succeeded",
            Self::Other => "not a trial of the sweep as last submitted",
            Self::Temporary => "left behind by a runner that was killed",
        })
    }
}

/// Lists what a sweep no longer needs, and removes it with `--yes`. Everything that decides a
/// status, a table, a report or a resumption stays.
pub(super) fn clean(arguments: &CleanArguments) -> Result<ExitCode, RunnerError> {
    let mut folder = SweepFolder::open_read_only(&arguments.folder)?;
    if arguments.yes {
        folder = SweepFolder::open_locked(&arguments.folder, 0)?;
        // An attempt without a result may run on the cluster.
        runtime::multi_thread()?.block_on(ensure_no_jobs(&folder))?;
    }
    let items = garbage(&folder)?;
    if arguments.yes {
        for item in &items {
            remove(&folder, &item.path)?;
        }
    }
    let garbage = Garbage {
        version: VERSION,
        command: "clean",
        sweep: folder.name(),
        removed: arguments.yes,
        bytes: items.iter().map(|item| item.bytes).sum(),
        items,
    };
    print(&garbage, Format::from_flag(arguments.json))?;
    Ok(ExitCode::Success)
}

impl Output for Garbage {
    fn print_text(&self) {
        for item in &self.items {
            outln!("{}  {}", item.path.display(), item.reason);
        }
        let megabytes = self.bytes as f64 / 1e6;
        match (self.items.len(), self.removed) {
            (0, _) => outln!("nothing to remove"),
            (count, true) => outln!("removed {count} entries, {megabytes:.1} MB"),
            (count, false) => outln!("{count} entries, {megabytes:.1} MB; --yes removes them"),
        }
    }
}

fn garbage(folder: &SweepFolder) -> Result<Vec<Item>, RunnerError> {
    let trials = submitted_trials(folder)?;
    let mut items = Vec::new();
    for trial in &trials {
        let summary = folder.summary(&trial.id);
        // Without a result, the last attempt still decides the number of the next one.
        let decisive = match &summary.result {
            Some(result) => result.attempt,
            None => summary.attempts,
        };
        let mut attempts = folder.attempts(&trial.id);
        attempts.sort_unstable();
        for attempt in attempts {
            let reason = if attempt < decisive {
                Reason::Superseded
            } else if attempt > decisive && summary.status == TrialStatus::Succeeded {
                Reason::Unfinished
            } else {
                continue;
            };
            items.push(item(folder.attempt(&trial.id, attempt), reason));
        }
    }
    let current: HashSet<&str> = trials.iter().map(|trial| trial.id.as_str()).collect();
    for other in folder.other_trials(&current) {
        items.push(item(folder.trial(&other), Reason::Other));
    }
    // Temporary files of a runner at work are still being written.
    if folder
        .runner()
        .is_none_or(|runner| runner.is_this_process())
    {
        let mut temporary: Vec<PathBuf> = entries(folder.path())
            .filter(|path| is_temporary(path))
            .collect();
        temporary.sort_unstable();
        items.extend(
            temporary
                .into_iter()
                .map(|path| item(path, Reason::Temporary)),
        );
    }
    Ok(items)
}

fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().unwrap_or_default();
    name.to_string_lossy().starts_with(TEMPORARY_PREFIX)
}

fn item(path: PathBuf, reason: Reason) -> Item {
    Item {
        bytes: size(&path),
        path,
        reason,
    }
}

/// The size of a file, or of all files in a folder, in bytes; links are not followed.
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

/// Removes a file or a folder. A folder is renamed first: if this process is killed meanwhile, a
/// half-removed attempt must not pass for a whole one.
fn remove(folder: &SweepFolder, path: &Path) -> Result<(), RunnerError> {
    let removed = if path.is_dir() {
        let name = format!("{TEMPORARY_PREFIX}removed-{}", uuid::Uuid::new_v4());
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

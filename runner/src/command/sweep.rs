use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::Arc;

use offmodel_cells::parameters::Parameter;
use offmodel_program::{Notebook, Program};
use tokio::sync::{Semaphore, watch};

use super::SweepArguments;
use crate::assignment::described;
use crate::compilation::compile_notebook;
use crate::dispatcher::{self, Summary};
use crate::error::RunnerError;
use crate::executor::single::StopSignals;
use crate::executor::{Context, LocalExecutor, Work};
use crate::exit_code::ExitCode;
use crate::progress::Progress;
use crate::spec::{Policy, SweepSpec, Trial, Trials, trials};
use crate::store::{Provenance, Standing, SweepFolder, compact};
use crate::terminal::{note, tell};

/// After this many failures the pattern is clear, and `offmodel status` lists the rest.
const SHOWN: usize = 10;

/// Executes a notebook for every trial that is not done.
pub(super) fn sweep(arguments: &SweepArguments) -> Result<ExitCode, RunnerError> {
    let today = || chrono::Local::now().date_naive();
    let spec = SweepSpec::read(&arguments.spec)?.dated(arguments.date.unwrap_or_else(today));
    let notebook = Notebook::read(&spec.notebook)?;
    let parameters = notebook.parameters()?;
    let trials = trials(&spec, &parameters, &notebook.code_hash())?;
    let path = arguments.runs.join(&spec.name);
    if arguments.dry_run {
        return Ok(tell_plan(&plan(
            &SweepFolder::unlocked(&path),
            &trials.list,
        )));
    }
    // Locked until the results are gathered.
    let folder = Arc::new(SweepFolder::open(&path)?);
    let plan = plan(&folder, &trials.list);
    announce(&spec, &folder, &trials, &plan);
    let work: Vec<Work> = plan.iter().filter_map(Planned::work).collect();
    let workers = usize::from(arguments.workers);
    let summary = if work.is_empty() {
        submit(&folder, &spec, &notebook)?;
        Summary::default()
    } else {
        let compiled = compile_notebook(&notebook).inspect_err(|_| folder.remove_if_empty())?;
        submit(&folder, &spec, &notebook)?;
        execute(
            Arc::clone(&folder),
            notebook,
            parameters,
            &compiled,
            work,
            workers,
            spec.policy.clone(),
        )?
    };
    let written = compact(&folder, &trials.list)?;
    conclude(&folder, &trials.list, summary, &written)
}

/// A trial and whether it is to run.
struct Planned<'a> {
    trial: &'a Trial,
    attempts: usize,
    standing: Standing,
}

impl Planned<'_> {
    fn work(&self) -> Option<Work> {
        let done = matches!(self.standing, Standing::Succeeded(_));
        (!done).then(|| Work {
            trial: self.trial.clone(),
            attempt: self.attempts + 1,
        })
    }

    fn reason(&self) -> String {
        match &self.standing {
            Standing::New => "runs: new".to_owned(),
            Standing::Succeeded(result) => {
                format!("skipped: succeeded in attempt {}", result.attempt)
            }
            Standing::Failed(result) => match &result.cause {
                Some(cause) => format!("runs: failed in attempt {}: {cause}", result.attempt),
                None => format!("runs: failed in attempt {}", result.attempt),
            },
            Standing::Unfinished => {
                format!("runs: attempt {} did not finish", self.attempts)
            }
        }
    }
}

fn plan<'a>(folder: &SweepFolder, trials: &'a [Trial]) -> Vec<Planned<'a>> {
    trials
        .iter()
        .map(|trial| {
            let state = folder.state(&trial.id);
            Planned {
                trial,
                attempts: state.attempts,
                standing: state.standing,
            }
        })
        .collect()
}

fn tell_plan(plan: &[Planned<'_>]) -> ExitCode {
    for planned in plan {
        let values = described(&planned.trial.given);
        tell!("trial {}  {values}  {}", planned.trial.id, planned.reason());
    }
    ExitCode::Success
}

fn announce(spec: &SweepSpec, folder: &SweepFolder, trials: &Trials, plan: &[Planned<'_>]) {
    if trials.merged > 0 {
        note!(
            "{} trials were asked for more than once and are merged",
            trials.merged
        );
    }
    if trials.excluded > 0 {
        note!("{} trials are excluded", trials.excluded);
    }
    let count = |wanted: fn(&Standing) -> bool| {
        plan.iter()
            .filter(|planned| wanted(&planned.standing))
            .count()
    };
    let done = count(|standing| matches!(standing, Standing::Succeeded(_)));
    let failed = count(|standing| matches!(standing, Standing::Failed(_)));
    let unfinished = count(|standing| matches!(standing, Standing::Unfinished));
    let mut reasons = Vec::new();
    if done > 0 {
        reasons.push(format!("{done} already done, skipped"));
    }
    if failed > 0 {
        reasons.push(format!("{failed} failed before, run again"));
    }
    if unfinished > 0 {
        reasons.push(format!("{unfinished} did not finish, run again"));
    }
    let reasons = if reasons.is_empty() {
        String::new()
    } else {
        format!(" ({})", reasons.join("; "))
    };
    note!("sweep {}: {} trials{reasons}", spec.name, plan.len());
    let current: HashSet<&str> = trials.list.iter().map(|trial| trial.id.as_str()).collect();
    let others = folder.other_trials(&current);
    if others > 0 {
        note!(
            "{others} more trials in {} belong to another version of the notebook or another grid; they are left alone",
            folder.path().display()
        );
    }
}

fn submit(folder: &SweepFolder, spec: &SweepSpec, notebook: &Notebook) -> Result<(), RunnerError> {
    let document = nbformat::Notebook::V4(notebook.document.clone());
    let text = nbformat::serialize_notebook(&document).map_err(|error| RunnerError::Write {
        path: folder.notebook_file(),
        source: std::io::Error::other(error.to_string()),
    })?;
    folder.submit(&spec.text, &text)
}

fn execute(
    folder: Arc<SweepFolder>,
    notebook: Notebook,
    parameters: Vec<Parameter>,
    program: &Program,
    work: Vec<Work>,
    workers: usize,
    policy: Policy,
) -> Result<Summary, RunnerError> {
    let path = folder.path().to_owned();
    let provenance = Provenance::collect(&notebook, program);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(4)
        .enable_all()
        .build()
        .map_err(|source| RunnerError::Write {
            path: path.clone(),
            source,
        })?;
    runtime.block_on(async {
        let signals =
            StopSignals::listen().map_err(|source| RunnerError::Write { path, source })?;
        let executor = LocalExecutor::start(
            &program.executable,
            notebook.folder(),
            workers,
            policy.resources.cores,
        )
        .await?;
        let (stop, stopping) = watch::channel(false);
        let context = Arc::new(Context {
            folder,
            notebook,
            parameters,
            provenance,
            policy,
            executor,
            slots: Semaphore::new(workers),
            stopping,
        });
        let mut progress = Progress::new(work.len(), "trials");
        let summary = dispatcher::run(context, work, workers, stop, signals, &mut progress).await;
        progress.finish();
        Ok(summary)
    })
}

fn conclude(
    folder: &SweepFolder,
    trials: &[Trial],
    summary: Summary,
    written: &[PathBuf],
) -> Result<ExitCode, RunnerError> {
    for path in written {
        tell!("{}", path.display());
    }
    if let Some(error) = summary.error {
        return Err(error);
    }
    let failed: Vec<_> = trials
        .iter()
        .filter_map(|trial| match folder.state(&trial.id).standing {
            Standing::Failed(result) => Some((trial, result)),
            _ => None,
        })
        .collect();
    let done = trials
        .iter()
        .filter(|trial| matches!(folder.state(&trial.id).standing, Standing::Succeeded(_)))
        .count();
    note!("{done} of {} trials succeeded", trials.len());
    if summary.gave_up {
        note!(
            "max_failures reached: {} trials are left",
            summary.interrupted
        );
    }
    if summary.stopped {
        note!(
            "{} trials are left; run the same command to go on",
            summary.interrupted
        );
        return Ok(ExitCode::Interrupted);
    }
    if failed.is_empty() {
        return Ok(ExitCode::Success);
    }
    for (trial, result) in failed.iter().take(SHOWN) {
        if let Some(cause) = &result.cause {
            let notebook = folder.attempt(&trial.id, result.attempt).join("out.ipynb");
            note!(
                "error: {}, {cause} ({})",
                notebook.display(),
                described(&trial.given)
            );
        }
    }
    if failed.len() > SHOWN {
        note!(
            "and {} more failed trials: offmodel status {}",
            failed.len() - SHOWN,
            folder.path().display()
        );
    }
    Ok(ExitCode::CellFailed)
}

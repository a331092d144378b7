use std::collections::{BTreeMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use offmodel_cells::parameters::Parameter;
use offmodel_program::{Notebook, Program};
use serde::Serialize;
use tokio::sync::watch;

use super::json::{VERSION, print_json};
use super::plan::{Planned, Reason, plan};
use super::{SharedArguments, SweepArguments};
use crate::assignment::{Assignment, described};
use crate::compilation::compile_notebook;
use crate::dispatcher::{self, Summary};
use crate::error::RunnerError;
use crate::estimate::Estimate;
use crate::executor::single::StopSignals;
use crate::executor::slurm::{self, SlurmExecutor, SlurmSweep, WhenStopped};
use crate::executor::{
    Context, Executor, Layout, LocalAttempts, LocalExecutor, Place, Slots, Work, own_cores,
    own_gpus,
};
use crate::exit_code::ExitCode;
use crate::progress::Progress;
use crate::spec::{SweepSpec, Trial, Trials, trials};
use crate::store::{
    Cause, DataContent, DataSet, Provenance, Standing, Submission, SubmittedProgram, SweepFolder,
    changed_since, compact,
};
use crate::terminal::{note, tell};

/// After this many failures the pattern is clear, and `offmodel status` lists the rest.
const SHOWN: usize = 10;

/// Executes a notebook for every trial that is not done.
pub(super) fn sweep(arguments: &SweepArguments) -> Result<ExitCode, RunnerError> {
    let today = || chrono::Local::now().date_naive();
    let spec = SweepSpec::read(&arguments.spec)?.dated(arguments.date.unwrap_or_else(today));
    let notebook = Notebook::read(&spec.notebook)?;
    let parameters = notebook.parameters()?;
    let path = arguments.runs.join(&spec.name);
    let view = SweepFolder::unlocked(&path);
    let former = view.submission().map(|submission| submission.data);
    let mut data = DataSet::new(notebook.folder(), former.unwrap_or_default());
    let trials = trials(&spec, &parameters, &notebook.code_hash(), &mut |path| {
        data.hash(path)
    })?;
    let layout = layout(&spec, &arguments.shared, trials.list.len())?;
    if arguments.dry_run {
        let plan = plan(&view, &trials.list, &notebook, arguments.rerun_changed);
        let json = arguments.shared.json.then_some("sweep");
        return tell_plan(&view, &trials, &plan, &layout, json);
    }
    // Held until the results are gathered.
    let folder = SweepFolder::open(&path, layout.places.len())?;
    let plan = plan(&folder, &trials.list, &notebook, arguments.rerun_changed);
    announce(&folder, &trials, &plan, &layout);
    let work: Vec<Work> = plan.iter().filter_map(Planned::work).collect();
    drop(plan);
    let order = Order {
        spec,
        notebook,
        parameters,
        trials,
        data: data.into_contents(),
        layout,
        slurm: arguments.shared.slurm(),
        json: arguments.shared.json.then_some("sweep"),
    };
    order.carry_out(folder, work)
}

/// How this machine is shared out; of a cluster, only how many trials run there at once.
pub(super) fn layout(
    spec: &SweepSpec,
    arguments: &SharedArguments,
    trials: usize,
) -> Result<Layout, RunnerError> {
    if arguments.slurm {
        let at_once = spec.policy.slurm.throttle.unwrap_or(trials);
        return Ok(Layout {
            places: vec![Place::default(); at_once],
            threads: 1,
        });
    }
    Layout::new(
        usize::from(arguments.workers),
        &spec.policy.resources,
        &own_cores(),
        &own_gpus(arguments.gpus.as_deref()),
    )
}

/// What `--dry-run` says, as JSON.
#[derive(Debug, Serialize)]
struct PlanDocument<'a> {
    version: u32,
    command: &'static str,
    sweep: String,
    dry_run: bool,
    total: usize,
    to_run: usize,
    merged: usize,
    excluded: usize,
    estimate: Option<Estimate>,
    trials: Vec<PlannedDocument<'a>>,
}

#[derive(Debug, Serialize)]
struct PlannedDocument<'a> {
    trial: &'a str,
    runs: bool,
    reason: &'a Reason,
    text: String,
    parameters: &'a Assignment,
}

/// Says what would happen; as JSON, by the name of the command.
pub(super) fn tell_plan(
    folder: &SweepFolder,
    trials: &Trials,
    plan: &[Planned<'_>],
    layout: &Layout,
    json: Option<&'static str>,
) -> Result<ExitCode, RunnerError> {
    let estimate = estimate(plan, layout);
    if let Some(command) = json {
        let document = PlanDocument {
            version: VERSION,
            command,
            sweep: folder.name(),
            dry_run: true,
            total: plan.len(),
            to_run: to_run(plan),
            merged: trials.merged,
            excluded: trials.excluded,
            estimate,
            trials: plan
                .iter()
                .map(|planned| PlannedDocument {
                    trial: &planned.trial.id,
                    runs: planned.reason.runs(),
                    reason: &planned.reason,
                    text: planned.reason.to_string(),
                    parameters: &planned.trial.given,
                })
                .collect(),
        };
        return print_json(&document);
    }
    for planned in plan {
        let values = described(&planned.trial.given);
        tell!("trial {}  {values}  {}", planned.trial.id, planned.reason);
    }
    announce(folder, trials, plan, layout);
    Ok(ExitCode::Success)
}

fn to_run(plan: &[Planned<'_>]) -> usize {
    plan.iter().filter(|planned| planned.reason.runs()).count()
}

fn estimate(plan: &[Planned<'_>], layout: &Layout) -> Option<Estimate> {
    let finished = plan.iter().filter_map(|planned| match &planned.standing {
        Standing::Succeeded(result) => Some(result.seconds),
        _ => None,
    });
    Estimate::new(finished, to_run(plan), layout.places.len())
}

/// Says what is about to happen.
pub(super) fn announce(
    folder: &SweepFolder,
    trials: &Trials,
    plan: &[Planned<'_>],
    layout: &Layout,
) {
    if trials.merged > 0 {
        note!(
            "{} trials were asked for more than once and are merged",
            trials.merged
        );
    }
    if trials.excluded > 0 {
        note!("{} trials are excluded", trials.excluded);
    }
    let reasons = reasons(plan);
    let reasons = if reasons.is_empty() {
        String::new()
    } else {
        format!(" ({})", reasons.join("; "))
    };
    note!("sweep {}: {} trials{reasons}", folder.name(), plan.len());
    let current: HashSet<&str> = trials.list.iter().map(|trial| trial.id.as_str()).collect();
    let others = folder.other_trials(&current).len();
    if others > 0 {
        note!(
            "{others} more trials in {} belong to another version of the notebook or its data, or to another grid; they are left alone (offmodel clean lists them)",
            folder.path().display()
        );
    }
    if let Some(estimate) = estimate(plan, layout) {
        note!("{estimate}");
    }
}

/// How many trials run or do not, by reason.
fn reasons(plan: &[Planned<'_>]) -> Vec<String> {
    let (mut done, mut failed, mut unfinished, mut unasked) = (0, 0, 0, 0);
    let mut requested = 0;
    let mut notebook = 0;
    let mut data: BTreeMap<String, usize> = BTreeMap::new();
    let mut stale: BTreeMap<String, usize> = BTreeMap::new();
    let mut rerun: BTreeMap<String, usize> = BTreeMap::new();
    for planned in plan {
        match &planned.reason {
            Reason::New => {}
            Reason::NotebookChanged { .. } => notebook += 1,
            Reason::DataChanged { data: paths, .. } => {
                *data.entry(paths.join(", ")).or_default() += 1;
            }
            Reason::Failed { .. } => failed += 1,
            Reason::Unfinished { .. } => unfinished += 1,
            Reason::ProgramChanged { parts, .. } => {
                *rerun.entry(parts.join(", ")).or_default() += 1;
            }
            Reason::Requested { .. } => requested += 1,
            Reason::Succeeded { changed, .. } => {
                done += 1;
                if !changed.is_empty() {
                    *stale.entry(changed.join(", ")).or_default() += 1;
                }
            }
            Reason::NotRequested => unasked += 1,
        }
    }
    let mut said = Vec::new();
    let mut say = |count: usize, what: String| {
        if count > 0 {
            said.push(format!("{count} {what}"));
        }
    };
    say(done, "already done, skipped".to_owned());
    for (parts, count) in stale {
        say(
            count,
            format!("of these with another {parts}: --rerun-changed runs them again"),
        );
    }
    for (parts, count) in rerun {
        say(count, format!("done with another {parts}, run again"));
    }
    say(failed, "failed before, run again".to_owned());
    say(unfinished, "did not finish, run again".to_owned());
    say(
        notebook,
        "new because the notebook changed since it was submitted".to_owned(),
    );
    for (paths, count) in data {
        say(count, format!("new because {paths} changed"));
    }
    say(requested, "asked for by name, run again".to_owned());
    say(unasked, "not asked for".to_owned());
    said
}

/// A sweep with everything that running it needs.
#[derive(Debug)]
pub(super) struct Order {
    pub spec: SweepSpec,
    pub notebook: Notebook,
    pub parameters: Vec<Parameter>,
    pub trials: Trials,
    pub data: BTreeMap<String, DataContent>,
    pub layout: Layout,
    /// What becomes of jobs, if trials run on a cluster.
    pub slurm: Option<WhenStopped>,
    /// The name of the command, if its outcome is told as JSON.
    pub json: Option<&'static str>,
}

impl Order {
    /// Runs what is to run, gathers the results and says what came of it.
    pub fn carry_out(
        mut self,
        folder: SweepFolder,
        mut work: Vec<Work>,
    ) -> Result<ExitCode, RunnerError> {
        if let Err(error) = self.check_cluster(&folder, &work) {
            folder.abandon();
            return Err(error);
        }
        let mut submission = Submission::new(
            &self.spec.file,
            &self.notebook.path,
            self.notebook.code_hash(),
            self.layout.places.len(),
        );
        submission.data = std::mem::take(&mut self.data);
        if work.is_empty() {
            // The program is still that of the last submission, if the code is.
            submission.program = folder
                .submission()
                .filter(|former| former.code_hash == submission.code_hash)
                .and_then(|former| former.program);
            submit(&folder, &self.spec, &self.notebook, &submission)?;
            return self.conclude(&folder, Summary::default());
        }
        let program = match compile_notebook(&self.notebook) {
            Ok(program) => program,
            Err(error) => {
                folder.abandon();
                return Err(error);
            }
        };
        submission.program = Some(SubmittedProgram {
            key: program.key.clone(),
            versions: program.versions.clone(),
        });
        for work in &mut work {
            work.program.clone_from(&program.key);
        }
        submit(&folder, &self.spec, &self.notebook, &submission)?;
        let folder = Arc::new(folder);
        let summary = self.execute(&folder, &program, work)?;
        for path in changed_since(self.notebook.folder(), &submission.data) {
            note!(
                "{path} changed while the sweep ran: which content a trial read is not known; the next run gives its trials new names"
            );
        }
        self.conclude(&folder, summary)
    }

    /// Before anything costs time: a cluster that is to run trials answers, and one that is not
    /// has none of them.
    fn check_cluster(&self, folder: &SweepFolder, work: &[Work]) -> Result<(), RunnerError> {
        let runtime = runtime(folder.path())?;
        match self.slurm {
            None => runtime.block_on(slurm::ensure_none(folder)),
            Some(_) if work.is_empty() => Ok(()),
            Some(_) => Ok(runtime.block_on(slurm::reach())?),
        }
    }

    fn execute(
        &self,
        folder: &Arc<SweepFolder>,
        program: &Program,
        work: Vec<Work>,
    ) -> Result<Summary, RunnerError> {
        let path = folder.path().to_owned();
        runtime(&path)?.block_on(async {
            let signals =
                StopSignals::listen().map_err(|source| RunnerError::Write { path, source })?;
            let executor = self.executor(folder, program).await?;
            let mut progress = Progress::new(work.len(), "trials");
            let policy = &self.spec.policy;
            let summary =
                dispatcher::run(executor.as_ref(), policy, work, signals, &mut progress).await;
            progress.finish();
            Ok(summary)
        })
    }

    /// Who runs the trials.
    async fn executor(
        &self,
        folder: &Arc<SweepFolder>,
        program: &Program,
    ) -> Result<Box<dyn Executor>, RunnerError> {
        let provenance = Provenance::collect(&self.notebook, program);
        let policy = self.spec.policy.clone();
        if let Some(when_stopped) = self.slurm {
            let sweep = SlurmSweep {
                folder: Arc::clone(folder),
                name: self.spec.name.clone(),
                notebook: submitted_text(folder, &self.notebook)?,
                directory: self.notebook.folder().to_owned(),
                program: program.executable.clone(),
                key: program.key.clone(),
                provenance,
                policy,
                when_stopped,
            };
            return Ok(Box::new(SlurmExecutor::start(sweep).await?));
        }
        let executor = LocalExecutor::start(
            &program.executable,
            self.notebook.folder(),
            self.layout.threads,
            policy.resources.cores.is_some(),
        )
        .await?;
        let (stop, stopping) = watch::channel(false);
        let context = Arc::new(Context {
            folder: Arc::clone(folder),
            notebook: self.notebook.clone(),
            parameters: self.parameters.clone(),
            provenance,
            policy,
            executor,
            slots: Slots::new(self.layout.places.clone()),
            stopping,
        });
        let workers = self.layout.places.len();
        Ok(Box::new(LocalAttempts::new(context, workers, stop)))
    }

    fn conclude(&self, folder: &SweepFolder, summary: Summary) -> Result<ExitCode, RunnerError> {
        let trials = &self.trials.list;
        let written = match compact(folder, trials) {
            Ok(written) => written,
            // The reason of both is most often the same; the first one is nearer to it.
            Err(error) => return Err(summary.error.unwrap_or(error)),
        };
        if let Some(error) = summary.error {
            return Err(error);
        }
        let command = self.json.unwrap_or("sweep");
        let outcome = OutcomeDocument::new(command, folder, trials, &summary, &written);
        let code = if summary.stopped {
            ExitCode::Interrupted
        } else if outcome.failed > 0 {
            ExitCode::CellFailed
        } else {
            ExitCode::Success
        };
        if self.json.is_some() {
            print_json(&outcome)?;
        } else {
            for path in &written {
                tell!("{}", path.display());
            }
        }
        outcome.note(folder, &summary);
        Ok(code)
    }
}

/// What a sweep came to, as JSON.
#[derive(Debug, Serialize)]
struct OutcomeDocument<'a> {
    version: u32,
    command: &'static str,
    sweep: String,
    dry_run: bool,
    total: usize,
    succeeded: usize,
    failed: usize,
    left: usize,
    /// Whether someone asked to stop.
    stopped: bool,
    /// Whether `max_failures` was reached.
    gave_up: bool,
    files: &'a [PathBuf],
    failures: Vec<FailureDocument<'a>>,
}

#[derive(Debug, Serialize)]
struct FailureDocument<'a> {
    trial: &'a str,
    attempt: usize,
    notebook: PathBuf,
    parameters: &'a Assignment,
    cause: Option<Cause>,
    text: String,
}

impl<'a> OutcomeDocument<'a> {
    fn new(
        command: &'static str,
        folder: &SweepFolder,
        trials: &'a [Trial],
        summary: &Summary,
        files: &'a [PathBuf],
    ) -> Self {
        let mut succeeded = 0;
        let mut failures = Vec::new();
        for trial in trials {
            match folder.state(&trial.id).standing {
                Standing::Succeeded(_) => succeeded += 1,
                Standing::Failed(result) => failures.push(FailureDocument {
                    trial: &trial.id,
                    attempt: result.attempt,
                    notebook: folder.attempt(&trial.id, result.attempt).join("out.ipynb"),
                    parameters: &trial.given,
                    text: result
                        .cause
                        .as_ref()
                        .map_or_else(String::new, ToString::to_string),
                    cause: result.cause,
                }),
                Standing::New | Standing::Unfinished => {}
            }
        }
        Self {
            version: VERSION,
            command,
            sweep: folder.name(),
            dry_run: false,
            total: trials.len(),
            succeeded,
            failed: failures.len(),
            left: trials.len() - succeeded - failures.len(),
            stopped: summary.stopped,
            gave_up: summary.gave_up,
            files,
            failures,
        }
    }

    fn note(&self, folder: &SweepFolder, summary: &Summary) {
        note!("{} of {} trials succeeded", self.succeeded, self.total);
        if self.gave_up {
            note!(
                "max_failures reached: {} trials are left",
                summary.interrupted
            );
        }
        if self.stopped {
            note!(
                "{} trials are left; run the same command to go on",
                summary.interrupted
            );
            return;
        }
        for failure in self.failures.iter().take(SHOWN) {
            note!(
                "error: {}, {} ({})",
                failure.notebook.display(),
                failure.text,
                described(failure.parameters)
            );
        }
        if self.failed > SHOWN {
            note!(
                "and {} more failed trials: offmodel status {}",
                self.failed - SHOWN,
                folder.path().display()
            );
        }
    }
}

fn submit(
    folder: &SweepFolder,
    spec: &SweepSpec,
    notebook: &Notebook,
    submission: &Submission,
) -> Result<(), RunnerError> {
    let text = submitted_text(folder, notebook)?;
    folder.submit(&spec.text, &text, submission)
}

fn submitted_text(folder: &SweepFolder, notebook: &Notebook) -> Result<String, RunnerError> {
    let document = nbformat::Notebook::V4(notebook.document.clone());
    nbformat::serialize_notebook(&document).map_err(|error| RunnerError::Write {
        path: folder.notebook_file(),
        source: std::io::Error::other(error.to_string()),
    })
}

/// What commands wait in.
pub(super) fn runtime(folder: &Path) -> Result<tokio::runtime::Runtime, RunnerError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(4)
        .enable_all()
        .build()
        .map_err(|source| RunnerError::Write {
            path: folder.to_owned(),
            source,
        })
}

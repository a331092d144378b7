//! Runs a sweep: compiles the notebook, submits the sweep, runs the planned attempts, and gathers
//! the results.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;

use offmodel_cells::parameters::Parameter;
use offmodel_program::{Notebook, Program};
use tokio::sync::mpsc::unbounded_channel;

use super::plan::PlannedAttempt;
use super::{SweepSpec, Trials};
use crate::compilation::compile_notebook;
use crate::engine::{self, CancelRequests, Summary};
use crate::error::RunnerError;
use crate::executor::process::StopSignals;
use crate::executor::slurm::{self, SlurmExecutor, SlurmSweep, WhenStopped};
use crate::executor::{
    AttemptSpec, EventSender, Executor, ForkServer, LocalExecutor, LocalSweep, SlotPlan, Slots,
};
use crate::progress::Progress;
use crate::runtime;
use crate::store::{
    DataContent, Provenance, Submission, SubmittedProgram, SweepFolder, changed_since, compact,
};
use crate::terminal::errln;

/// A sweep that is ready to run.
#[derive(Debug)]
pub(crate) struct SweepRun {
    pub(crate) spec: SweepSpec,
    pub(crate) notebook: Notebook,
    pub(crate) parameters: Vec<Parameter>,
    pub(crate) trials: Trials,
    /// The data of all trials, by the path that cells use.
    pub(crate) data: BTreeMap<String, DataContent>,
    pub(crate) slots: SlotPlan,
    /// What happens to jobs when the runner is stopped; none if trials run on this machine.
    pub(crate) slurm: Option<WhenStopped>,
}

/// What a run of a sweep came to.
#[derive(Debug)]
pub(crate) struct SweepOutcome {
    /// The sweep's folder, still locked.
    pub(crate) folder: Arc<SweepFolder>,
    pub(crate) trials: Trials,
    pub(crate) summary: Summary,
    /// The tables that were written.
    pub(crate) files: Vec<PathBuf>,
}

impl SweepRun {
    /// Runs the planned attempts.
    ///
    /// If nothing can run, because Slurm is unreachable or a cell does not compile, a folder that
    /// holds no earlier submission is removed again.
    pub(crate) fn run(
        mut self,
        folder: SweepFolder,
        planned: Vec<PlannedAttempt>,
    ) -> Result<SweepOutcome, RunnerError> {
        if let Err(error) = self.check_cluster(&folder, &planned) {
            folder.discard();
            return Err(error);
        }
        let mut submission = Submission::new(
            &self.spec.file,
            &self.notebook.path,
            self.notebook.code_hash(),
            self.slots.allocations.len(),
        );
        submission.data = std::mem::take(&mut self.data);
        if planned.is_empty() {
            // Nothing is compiled. If the code is that of the last submission, so is the program.
            submission.program = folder
                .submission()
                .filter(|previous| previous.code_hash == submission.code_hash)
                .and_then(|previous| previous.program);
            self.submit(&folder, &submission)?;
            return self.finish(Arc::new(folder), Summary::default());
        }
        let program = match compile_notebook(&self.notebook) {
            Ok(program) => program,
            Err(error) => {
                folder.discard();
                return Err(error);
            }
        };
        submission.program = Some(SubmittedProgram {
            key: program.key.clone(),
            versions: program.versions.clone(),
        });
        self.submit(&folder, &submission)?;
        let folder = Arc::new(folder);
        let summary = self.execute(&folder, &program, planned)?;
        for path in changed_since(self.notebook.folder(), &submission.data) {
            errln!(
                "{path} changed while the sweep ran, so trials may have read either content; the next run gives its trials new ids"
            );
        }
        self.finish(folder, summary)
    }

    /// Checks, before any work is done, that Slurm answers if trials run there, and that it has no
    /// jobs of this sweep if they run here.
    fn check_cluster(
        &self,
        folder: &SweepFolder,
        planned: &[PlannedAttempt],
    ) -> Result<(), RunnerError> {
        let runtime = runtime::multi_thread()?;
        match self.slurm {
            None => runtime.block_on(slurm::ensure_no_jobs(folder)),
            Some(_) if planned.is_empty() => Ok(()),
            Some(_) => Ok(runtime.block_on(slurm::check_reachable())?),
        }
    }

    fn submit(&self, folder: &SweepFolder, submission: &Submission) -> Result<(), RunnerError> {
        let notebook = notebook_text(folder, &self.notebook)?;
        folder.submit(&self.spec.text, &notebook, submission)
    }

    fn execute(
        &self,
        folder: &Arc<SweepFolder>,
        program: &Program,
        planned: Vec<PlannedAttempt>,
    ) -> Result<Summary, RunnerError> {
        let attempts: Vec<AttemptSpec> = planned
            .into_iter()
            .map(|planned| planned.with_program(&program.key))
            .collect();
        runtime::multi_thread()?.block_on(async {
            let signals =
                StopSignals::listen().map_err(|source| RunnerError::Signals { source })?;
            let (events, executor_events) = unbounded_channel();
            let executor = self.executor(folder, program, events).await?;
            let mut progress = Progress::new(attempts.len(), "trials");
            let inputs = engine::Inputs {
                executor_events,
                signals,
                cancel_requests: CancelRequests::watch(Arc::clone(folder)),
            };
            let policy = &self.spec.policy;
            let summary =
                engine::dispatch(executor.as_ref(), policy, attempts, inputs, &mut progress).await;
            progress.finish();
            Ok(summary)
        })
    }

    async fn executor(
        &self,
        folder: &Arc<SweepFolder>,
        program: &Program,
        events: EventSender,
    ) -> Result<Box<dyn Executor>, RunnerError> {
        let provenance = Provenance::collect(&self.notebook, program);
        let policy = self.spec.policy.clone();
        if let Some(when_stopped) = self.slurm {
            let sweep = SlurmSweep {
                folder: Arc::clone(folder),
                name: self.spec.name.clone(),
                notebook: notebook_text(folder, &self.notebook)?,
                directory: self.notebook.folder().to_owned(),
                program: program.executable.clone(),
                key: program.key.clone(),
                provenance,
                policy,
                when_stopped,
            };
            return Ok(Box::new(SlurmExecutor::start(sweep, events).await?));
        }
        let server = ForkServer::start(
            &program.executable,
            self.notebook.folder(),
            self.slots.threads,
            policy.resources.cores.is_some(),
        )
        .await?;
        let sweep = LocalSweep {
            folder: Arc::clone(folder),
            notebook: self.notebook.clone(),
            parameters: self.parameters.clone(),
            provenance,
            policy,
            server,
            slots: Slots::new(self.slots.allocations.clone()),
        };
        Ok(Box::new(LocalExecutor::new(sweep, events)))
    }

    fn finish(
        self,
        folder: Arc<SweepFolder>,
        mut summary: Summary,
    ) -> Result<SweepOutcome, RunnerError> {
        let files = compact(&folder, &self.trials.list);
        // Both errors usually have the same cause, such as a full disk; the earlier one is closer
        // to it.
        if let Some(error) = summary.error.take() {
            return Err(error);
        }
        Ok(SweepOutcome {
            folder,
            trials: self.trials,
            summary,
            files: files?,
        })
    }
}

/// The notebook as JSON, without outputs.
fn notebook_text(folder: &SweepFolder, notebook: &Notebook) -> Result<String, RunnerError> {
    let document = nbformat::Notebook::V4(notebook.document.clone());
    nbformat::serialize_notebook(&document).map_err(|error| RunnerError::Write {
        path: folder.notebook_file(),
        source: std::io::Error::other(error.to_string()),
    })
}

//! A sweep that is carried out: compiled, submitted, run, gathered.

use std::collections::BTreeMap;
use std::sync::Arc;

use offmodel_cells::parameters::Parameter;
use offmodel_program::{Notebook, Program};
use tokio::sync::mpsc::unbounded_channel;

use super::json::print_json;
use super::outcome::OutcomeDocument;
use super::plan::PlannedAttempt;
use crate::compilation::compile_notebook;
use crate::engine::{self, CancelRequests, Summary};
use crate::error::RunnerError;
use crate::executor::process::StopSignals;
use crate::executor::slurm::{self, SlurmExecutor, SlurmSweep, WhenStopped};
use crate::executor::{
    AttemptSpec, EventSender, Executor, ForkServer, LocalExecutor, LocalSweep, SlotPlan, Slots,
};
use crate::exit_code::ExitCode;
use crate::progress::Progress;
use crate::store::{
    DataContent, Provenance, Submission, SubmittedProgram, SweepFolder, changed_since, compact,
};
use crate::sweep::{SweepSpec, Trials};
use crate::terminal::{errln, outln};

/// A sweep with everything that running it needs.
#[derive(Debug)]
pub(super) struct Order {
    pub spec: SweepSpec,
    pub notebook: Notebook,
    pub parameters: Vec<Parameter>,
    pub trials: Trials,
    pub data: BTreeMap<String, DataContent>,
    pub slots: SlotPlan,
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
        planned: Vec<PlannedAttempt>,
    ) -> Result<ExitCode, RunnerError> {
        if let Err(error) = self.check_cluster(&folder, &planned) {
            folder.abandon();
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
        submit(&folder, &self.spec, &self.notebook, &submission)?;
        let folder = Arc::new(folder);
        let summary = self.execute(&folder, &program, planned)?;
        for path in changed_since(self.notebook.folder(), &submission.data) {
            errln!(
                "{path} changed while the sweep ran: which content a trial read is not known; the next run gives its trials new names"
            );
        }
        self.conclude(&folder, summary)
    }

    /// Before anything costs time: a cluster that is to run trials answers, and one that is not
    /// has none of them.
    fn check_cluster(
        &self,
        folder: &SweepFolder,
        planned: &[PlannedAttempt],
    ) -> Result<(), RunnerError> {
        let runtime = runtime()?;
        match self.slurm {
            None => runtime.block_on(slurm::ensure_no_jobs(folder)),
            Some(_) if planned.is_empty() => Ok(()),
            Some(_) => Ok(runtime.block_on(slurm::check_reachable())?),
        }
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
        runtime()?.block_on(async {
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

    /// Who runs the trials.
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
                notebook: submitted_text(folder, &self.notebook)?,
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
                outln!("{}", path.display());
            }
        }
        outcome.note(folder, &summary);
        Ok(code)
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

/// The tokio runtime on which commands block.
pub(super) fn runtime() -> Result<tokio::runtime::Runtime, RunnerError> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .max_blocking_threads(4)
        .enable_all()
        .build()
        .map_err(|source| RunnerError::Runtime { source })
}

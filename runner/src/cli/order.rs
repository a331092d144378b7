//! A sweep that is carried out: compiled, submitted, run, gathered.

use std::collections::{BTreeMap, HashSet};
use std::path::Path;
use std::sync::Arc;

use offmodel_cells::parameters::Parameter;
use offmodel_program::{Notebook, Program};
use tokio::sync::watch;

use super::json::print_json;
use super::outcome::OutcomeDocument;
use crate::cancellations::Cancellations;
use crate::compilation::compile_notebook;
use crate::dispatcher::{self, Summary};
use crate::error::RunnerError;
use crate::executor::single::StopSignals;
use crate::executor::slurm::{self, SlurmExecutor, SlurmSweep, WhenStopped};
use crate::executor::{Context, Executor, Layout, LocalAttempts, LocalExecutor, Slots, Work};
use crate::exit_code::ExitCode;
use crate::progress::Progress;
use crate::store::{
    DataContent, Provenance, Submission, SubmittedProgram, SweepFolder, changed_since, compact,
};
use crate::sweep::{SweepSpec, Trials};
use crate::terminal::{note, tell};

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
            let summary = dispatcher::run(
                executor.as_ref(),
                policy,
                work,
                signals,
                Cancellations::of(Arc::clone(folder)),
                &mut progress,
            )
            .await;
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
        let (cancel, cancelled) = watch::channel(HashSet::new());
        let context = Arc::new(Context {
            folder: Arc::clone(folder),
            notebook: self.notebook.clone(),
            parameters: self.parameters.clone(),
            provenance,
            policy,
            executor,
            slots: Slots::new(self.layout.places.clone()),
            stopping,
            cancelled,
        });
        let workers = self.layout.places.len();
        Ok(Box::new(LocalAttempts::new(context, workers, stop, cancel)))
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

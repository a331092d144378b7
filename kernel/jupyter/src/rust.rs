//! The live session as the [`Language`] of the kernel.

use std::sync::Arc;

use offmodel_events::{CellError, Event, MimeBundle};
use offmodel_jupyter::Language;
use offmodel_jupyter::language::{
    Cell, Completeness, Completions, DetailLevel, Frontend, Interrupter, KernelInfo, LanguageInfo,
};
use offmodel_session::{Listener, Session};

/// Rust, with the variables and definitions of one session.
#[derive(Debug)]
pub(crate) struct Rust(Session);

impl Language for Rust {
    fn kernel_info() -> KernelInfo {
        KernelInfo {
            implementation: "offmodel-kernel".to_owned(),
            implementation_version: env!("CARGO_PKG_VERSION").to_owned(),
            banner: format!(
                "Rust (offmodel {}): polars, tch and the models are at hand; :help lists commands",
                env!("CARGO_PKG_VERSION")
            ),
            language_info: LanguageInfo {
                name: "rust".to_owned(),
                version: env!("CARGO_PKG_RUST_VERSION").to_owned(),
                mimetype: "text/rust".to_owned(),
                file_extension: ".rs".to_owned(),
                pygments_lexer: "rust".to_owned(),
                codemirror_mode: "rust".to_owned(),
            },
        }
    }

    fn is_complete(source: &str) -> Completeness {
        offmodel_session::is_complete(source)
    }

    fn start() -> Result<Self, CellError> {
        let started = Session::start().map(|mut session| {
            session.prepare_reference();
            Self(session)
        });
        started.map_err(|error| {
            let value = format!("the Rust session did not start: {error}");
            let mut traceback = vec![value.clone()];
            let mut cause = std::error::Error::source(&error);
            while let Some(error) = cause {
                traceback.push(format!("because: {error}"));
                cause = error.source();
            }
            traceback.push("Fix the cause, then restart the kernel.".to_owned());
            CellError::new("kernel not ready", value).with_traceback(traceback)
        })
    }

    fn interrupter(&self) -> Arc<dyn Interrupter> {
        Arc::new(ProcessInterrupter(self.0.interrupter()))
    }

    fn execute(&mut self, cell: Cell<'_>, frontend: &mut dyn Frontend) -> Result<(), CellError> {
        if let Some(name) = cell.source.trim().strip_prefix('?')
            && let Some(data) = self.0.inspect(name, name.len())
        {
            frontend.page(data);
            return Ok(());
        }
        let mut listener = FrontendListener {
            frontend,
            value: None,
        };
        self.0
            .execute(cell.execution_count, cell.source, &mut listener)
    }

    fn evaluate(
        &mut self,
        expression: Cell<'_>,
        frontend: &mut dyn Frontend,
    ) -> Result<MimeBundle, CellError> {
        let mut value = None;
        let mut listener = FrontendListener {
            frontend,
            value: Some(&mut value),
        };
        self.0
            .execute(expression.execution_count, expression.source, &mut listener)?;
        value.ok_or_else(|| {
            CellError::new("no value", format!("`{}` has no value", expression.source))
        })
    }

    fn complete(&mut self, source: &str, cursor: usize) -> Completions {
        self.0.complete(source, cursor)
    }

    /// Documentation at either level: the session has no source code of the prelude.
    fn inspect(
        &mut self,
        source: &str,
        cursor: usize,
        _detail_level: DetailLevel,
    ) -> Option<MimeBundle> {
        self.0.inspect(source, cursor)
    }
}

/// Passes the session's events on to the front end, and keeps the value of an expression if there is
/// a slot for it.
struct FrontendListener<'a> {
    frontend: &'a mut dyn Frontend,
    value: Option<&'a mut Option<MimeBundle>>,
}

impl Listener for FrontendListener<'_> {
    fn event(&mut self, event: Event) {
        match (event, &mut self.value) {
            (Event::Result { data }, Some(value)) => **value = Some(data),
            (event, _) => self.frontend.event(event),
        }
    }

    fn input(&mut self, prompt: &str, password: bool) -> Result<String, String> {
        self.frontend
            .input(prompt, password)
            .map_err(|error| error.to_string())
    }
}

struct ProcessInterrupter(offmodel_session::Interrupter);

impl Interrupter for ProcessInterrupter {
    fn interrupt(&self) {
        self.0.interrupt();
    }

    fn kill(&self) {
        self.0.kill();
    }
}

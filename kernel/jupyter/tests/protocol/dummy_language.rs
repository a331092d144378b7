//! A language whose cells are commands to the test, one on each line.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use offmodel_events::{CellError, Event, MimeBundle, Stream};
use offmodel_jupyter::language::{
    Candidate, Cell, Completeness, Completions, DetailLevel, Frontend, Interrupter, KernelInfo,
    LanguageInfo,
};
use offmodel_jupyter::{CommData, CommReply, CommTarget, CommTargets, Language};

/// A language that takes `START_MS` milliseconds to start, and then fails to if `STARTS` is false.
pub(crate) struct Dummy<const START_MS: u64 = 0, const STARTS: bool = true> {
    signals: Arc<Signals>,
}

#[derive(Default)]
struct Signals {
    interrupted: AtomicBool,
    killed: AtomicBool,
}

impl Interrupter for Signals {
    fn interrupt(&self) {
        self.interrupted.store(true, Ordering::SeqCst);
    }

    fn kill(&self) {
        self.killed.store(true, Ordering::SeqCst);
    }
}

fn error(name: &str, value: &str) -> CellError {
    CellError::new(name, value)
        .with_traceback([format!("{name}: {value}")])
        .at_line(1)
}

impl<const START_MS: u64, const STARTS: bool> Language for Dummy<START_MS, STARTS> {
    fn kernel_info() -> KernelInfo {
        KernelInfo {
            implementation: "dummy-kernel".to_owned(),
            implementation_version: "1.2.3".to_owned(),
            banner: "a dummy".to_owned(),
            language_info: LanguageInfo {
                name: "dummy".to_owned(),
                version: "4.5.6".to_owned(),
                mimetype: "text/dummy".to_owned(),
                file_extension: ".dummy".to_owned(),
                pygments_lexer: "text".to_owned(),
                codemirror_mode: "null".to_owned(),
            },
        }
    }

    fn is_complete(source: &str) -> Completeness {
        match source {
            source if source.ends_with('\\') => Completeness::Incomplete {
                indent: "  ".to_owned(),
            },
            "]" => Completeness::Invalid,
            _ => Completeness::Complete,
        }
    }

    fn comm_targets() -> CommTargets {
        HashMap::from([("echo".to_owned(), Box::new(Echo) as Box<dyn CommTarget>)])
    }

    fn start() -> Result<Self, CellError> {
        std::thread::sleep(Duration::from_millis(START_MS));
        if STARTS {
            Ok(Self {
                signals: Arc::default(),
            })
        } else {
            Err(error("not ready", "no compiler"))
        }
    }

    fn interrupter(&self) -> Arc<dyn Interrupter> {
        Arc::<Signals>::clone(&self.signals)
    }

    fn execute(&mut self, cell: Cell<'_>, frontend: &mut dyn Frontend) -> Result<(), CellError> {
        self.signals.interrupted.store(false, Ordering::SeqCst);
        for line in cell.source.lines() {
            let (command, rest) = line.split_once(' ').unwrap_or((line, ""));
            self.run(command, rest, frontend)?;
        }
        Ok(())
    }

    fn evaluate(
        &mut self,
        expression: Cell<'_>,
        _frontend: &mut dyn Frontend,
    ) -> Result<MimeBundle, CellError> {
        match expression.source.strip_prefix("value ") {
            Some(value) => Ok(MimeBundle::text(value)),
            None => Err(error("no value", expression.source)),
        }
    }

    /// The three words that this language completes, by the letters right before the cursor.
    fn complete(&mut self, source: &str, cursor: usize) -> Completions {
        let before = &source[..cursor];
        let start = before.rfind([' ', '\n']).map_or(0, |space| space + 1);
        let candidates = ["print", "value", "été"]
            .into_iter()
            .filter(|word| word.starts_with(&before[start..]))
            .map(|word| Candidate {
                text: word.to_owned(),
                kind: "word",
                signature: String::new(),
            })
            .collect();
        Completions {
            start,
            end: cursor,
            candidates,
        }
    }

    fn inspect(
        &mut self,
        source: &str,
        cursor: usize,
        detail_level: DetailLevel,
    ) -> Option<MimeBundle> {
        let word = source[cursor..]
            .split(' ')
            .next()
            .filter(|word| !word.is_empty())?;
        Some(MimeBundle::text(format!("{word}: {detail_level:?}")))
    }
}

impl<const START_MS: u64, const STARTS: bool> Dummy<START_MS, STARTS> {
    fn run(&self, command: &str, rest: &str, frontend: &mut dyn Frontend) -> Result<(), CellError> {
        match command {
            "print" => print(frontend, format!("{rest}\n")),
            "warn" => {
                frontend.event(Event::Stream {
                    stream: Stream::Stderr,
                    text: format!("{rest}\n"),
                });
            }
            "value" => frontend.event(Event::Result {
                data: MimeBundle::text(rest),
            }),
            "show" => frontend.event(Event::Display {
                data: MimeBundle::text(rest).with("text/html", format!("<b>{rest}</b>")),
                display_id: Some("it".to_owned()),
            }),
            "update" => frontend.event(Event::UpdateDisplay {
                data: MimeBundle::text(rest),
                display_id: "it".to_owned(),
            }),
            "clear" => frontend.event(Event::ClearOutput { wait: true }),
            "count" => {
                for number in 0..rest.parse::<usize>().unwrap() {
                    print(frontend, format!("{number}\n"));
                }
            }
            "flood" => {
                for _ in 0..rest.parse::<usize>().unwrap() {
                    print(frontend, "x".repeat(1 << 20));
                }
            }
            "page" => frontend.page(MimeBundle::text(rest)),
            "fail" => return Err(error("failure", rest)),
            // Runs until it is interrupted.
            "work" => self.wait(|signals| &signals.interrupted, "interrupted")?,
            // Runs until it is killed, and ignores interrupts.
            "hang" => self.wait(|signals| &signals.killed, "killed")?,
            "input" => {
                let input = frontend.input(rest, false);
                let input = input.map_err(|reason| error("no input", &reason.to_string()))?;
                print(frontend, input);
            }
            "password" => {
                let input = frontend.input(rest, true);
                let input = input.map_err(|reason| error("no input", &reason.to_string()))?;
                print(frontend, format!("{} characters", input.len()));
            }
            _ => return Err(error("syntax error", command)),
        }
        Ok(())
    }

    fn wait(
        &self,
        signal: impl Fn(&Signals) -> &AtomicBool,
        error_name: &str,
    ) -> Result<(), CellError> {
        while !signal(&self.signals).swap(false, Ordering::SeqCst) {
            std::thread::sleep(Duration::from_millis(5));
        }
        Err(error(error_name, "the work was not finished"))
    }
}

fn print(frontend: &mut dyn Frontend, text: String) {
    frontend.event(Event::Stream {
        stream: Stream::Stdout,
        text,
    });
}

/// A comm target that echoes every message, and closes the comm at one with the key `bye`.
struct Echo;

impl CommTarget for Echo {
    fn opened(&mut self, _comm: &str, data: CommData) -> Vec<CommReply> {
        vec![CommReply::Message(data)]
    }

    fn received(&mut self, _comm: &str, data: CommData) -> Vec<CommReply> {
        if data.contains_key("bye") {
            vec![CommReply::Close(data)]
        } else {
            vec![CommReply::Message(data)]
        }
    }

    fn closed(&mut self, _comm: &str, _data: CommData) {}
}

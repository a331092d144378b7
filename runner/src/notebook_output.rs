//! Turns the events of an attempt into the outputs of an executed notebook (`out.ipynb`).

use std::collections::BTreeMap;
use std::fmt::Write;

use jupyter_protocol::ExecutionCount;
use jupyter_protocol::media::Media;
use nbformat::v4;
use offmodel_cells::parameters::{Parameter, ParameterType};
use offmodel_events::{CellError, Event, MimeBundle, Stream};
use offmodel_program::{INJECTED_TAG, Notebook};
use serde_json::{Value, json};

use crate::assignment::Assignment;

/// The most bytes of text output of one cell; the rest is only in `events.jsonl`.
const MAX_TEXT_LENGTH: usize = 1 << 20;

/// A notebook into whose cells outputs are put, event by event.
#[derive(Debug)]
pub struct ExecutedNotebook {
    document: v4::Notebook,
    /// The index in the document of each code cell, by the cell's number.
    indices: BTreeMap<usize, usize>,
    /// The index of the cell that is running.
    running: Option<usize>,
    /// The index of the cell that started last.
    last_started: Option<usize>,
    /// Whether the next output first clears those before it (`clear_output(wait=True)` in Jupyter).
    is_clear_pending: bool,
    /// How many bytes of text each cell has put out, by index.
    text_lengths: BTreeMap<usize, usize>,
    /// Where each display id was shown: the index of the cell and the position among its outputs.
    displays: BTreeMap<String, Vec<(usize, usize)>>,
}

impl ExecutedNotebook {
    /// The notebook before its execution, without outputs.
    pub fn new(notebook: &Notebook) -> Self {
        Self {
            document: notebook.document.clone(),
            indices: notebook
                .code_cells
                .iter()
                .map(|cell| (cell.number, cell.index))
                .collect(),
            running: None,
            last_started: None,
            is_clear_pending: false,
            text_lengths: BTreeMap::new(),
            displays: BTreeMap::new(),
        }
    }

    /// Applies one more event.
    pub fn apply(&mut self, event: Event) {
        match event {
            Event::CellStarted { cell } => {
                let index = self.indices.get(&cell).copied();
                self.running = index;
                self.last_started = index.or(self.last_started);
                self.is_clear_pending = false;
                if let Some(v4::Cell::Code {
                    execution_count, ..
                }) = self.running_cell()
                {
                    *execution_count = i32::try_from(cell).ok();
                }
            }
            Event::CellFinished { seconds, .. } => {
                if let Some(v4::Cell::Code { metadata, .. }) = self.running_cell() {
                    metadata
                        .additional
                        .insert("offmodel".to_owned(), json!({ "seconds": seconds }));
                }
                self.running = None;
            }
            Event::Stream { stream, text } => self.push_text(stream, &text),
            Event::Display { data, display_id } => {
                self.push(display_output(data));
                if let Some(id) = display_id {
                    self.remember_display(id);
                }
            }
            Event::UpdateDisplay { data, display_id } => self.update_display(&display_id, data),
            Event::ClearOutput { wait: true } => self.is_clear_pending = true,
            Event::ClearOutput { wait: false } => self.clear(),
            Event::Result { data } => {
                let count = self.running_number().unwrap_or_default();
                self.push(v4::Output::ExecuteResult(v4::ExecuteResult {
                    execution_count: ExecutionCount::new(count),
                    data: media(data),
                    metadata: serde_json::Map::new(),
                }));
            }
            Event::Error { error } => self.push_error(error),
            _ => {}
        }
    }

    /// Adds an error that the program itself could not report, to the cell that is running or started
    /// last.
    pub fn push_error(&mut self, error: CellError) {
        if self.running.is_none() {
            self.running = self.last_started;
        }
        self.push(v4::Output::Error(v4::ErrorOutput {
            ename: error.name,
            evalue: error.value,
            traceback: error.traceback,
        }));
    }

    /// The text of the notebook's file, with the values in `given` in a cell of their own after the
    /// `parameters` cell, as Papermill does it.
    ///
    /// # Errors
    /// When the document cannot be expressed as JSON.
    pub fn finish(
        mut self,
        notebook: &Notebook,
        parameters: &[Parameter],
        given: &Assignment,
    ) -> Result<String, nbformat::NotebookError> {
        if !given.is_empty() {
            let declared = notebook
                .executed_cells()
                .find(|cell| cell.has_tag(offmodel_program::PARAMETERS_TAG))
                .map_or(0, |cell| cell.index + 1);
            self.document
                .cells
                .insert(declared, injected_cell(parameters, given));
        }
        let facts = json!({ "version": 1, "parameters": given });
        self.document
            .metadata
            .additional
            .insert("offmodel".to_owned(), facts);
        nbformat::serialize_notebook(&nbformat::Notebook::V4(self.document))
    }

    fn push_text(&mut self, stream: Stream, text: &str) {
        let name = match stream {
            Stream::Stdout => "stdout",
            Stream::Stderr => "stderr",
        };
        let Some(index) = self.running else { return };
        let length = self.text_lengths.entry(index).or_default();
        if *length > MAX_TEXT_LENGTH {
            return;
        }
        *length += text.len();
        let notice = "\n[output is longer than 1 MiB; the rest is in events.jsonl]\n";
        let text = if *length > MAX_TEXT_LENGTH {
            format!("{text}{notice}")
        } else {
            text.to_owned()
        };
        self.clear_if_pending();
        if let Some(outputs) = self.outputs()
            && let Some(v4::Output::Stream {
                name: last_name,
                text: last_text,
            }) = outputs.last_mut()
            && last_name == name
        {
            last_text.0.push_str(&text);
            return;
        }
        let text = v4::MultilineString(text);
        self.push(v4::Output::Stream {
            name: name.to_owned(),
            text,
        });
    }

    fn push(&mut self, output: v4::Output) {
        self.clear_if_pending();
        if let Some(outputs) = self.outputs() {
            outputs.push(output);
        }
    }

    fn remember_display(&mut self, id: String) {
        let Some(cell) = self.running else { return };
        let position = self.outputs().map_or(0, |outputs| outputs.len());
        if let Some(position) = position.checked_sub(1) {
            self.displays.entry(id).or_default().push((cell, position));
        }
    }

    fn update_display(&mut self, id: &str, data: MimeBundle) {
        let output = display_output(data);
        for &(cell, position) in self.displays.get(id).into_iter().flatten() {
            if let Some(v4::Cell::Code { outputs, .. }) = self.document.cells.get_mut(cell)
                && let Some(shown) = outputs.get_mut(position)
            {
                *shown = output.clone();
            }
        }
    }

    fn clear_if_pending(&mut self) {
        if std::mem::take(&mut self.is_clear_pending) {
            self.clear();
        }
    }

    fn clear(&mut self) {
        let Some(cell) = self.running else { return };
        for places in self.displays.values_mut() {
            places.retain(|(shown_in, _)| *shown_in != cell);
        }
        if let Some(outputs) = self.outputs() {
            outputs.clear();
        }
    }

    fn outputs(&mut self) -> Option<&mut Vec<v4::Output>> {
        match self.running_cell() {
            Some(v4::Cell::Code { outputs, .. }) => Some(outputs),
            _ => None,
        }
    }

    fn running_cell(&mut self) -> Option<&mut v4::Cell> {
        self.document.cells.get_mut(self.running?)
    }

    fn running_number(&self) -> Option<usize> {
        let running = self.running?;
        self.indices
            .iter()
            .find(|(_, index)| **index == running)
            .map(|(number, _)| *number)
    }
}

fn display_output(data: MimeBundle) -> v4::Output {
    v4::Output::DisplayData(v4::DisplayData {
        data: media(data),
        metadata: serde_json::Map::new(),
    })
}

fn media(data: MimeBundle) -> Media {
    let object: serde_json::Map<String, Value> = data.0.into_iter().collect();
    serde_json::from_value(Value::Object(object)).unwrap_or_default()
}

fn injected_cell(parameters: &[Parameter], given: &Assignment) -> v4::Cell {
    let mut source = String::from("// The values of this execution.");
    for parameter in parameters {
        let Some(value) = given.get(&parameter.name) else {
            continue;
        };
        let mutable = if parameter.mutable { "mut " } else { "" };
        let value = rust_literal(&parameter.kind, value);
        // Writing to a string cannot fail.
        let _ = write!(
            source,
            "\nlet {mutable}{}: {} = {value};",
            parameter.name, parameter.type_text
        );
    }
    let metadata = v4::CellMetadata {
        tags: Some(vec![INJECTED_TAG.to_owned()]),
        ..v4::CellMetadata::default()
    };
    v4::Cell::Code {
        id: injected_id(),
        metadata,
        execution_count: None,
        source: source.split_inclusive('\n').map(str::to_owned).collect(),
        outputs: Vec::new(),
    }
}

/// A fixed id, so that equal executions give equal files.
fn injected_id() -> v4::CellId {
    v4::CellId::new("offmodel-injected-parameters").unwrap_or_else(|_| uuid::Uuid::nil().into())
}

fn rust_literal(kind: &ParameterType, value: &Value) -> String {
    match (kind, value) {
        (ParameterType::String, Value::String(text)) => format!("{text:?}.to_owned()"),
        (ParameterType::F64, Value::Number(number)) => number
            .as_f64()
            .map_or_else(|| number.to_string(), |number| format!("{number:?}")),
        (ParameterType::List(element), Value::Array(values)) => {
            let values: Vec<_> = values
                .iter()
                .map(|value| rust_literal(element, value))
                .collect();
            format!("vec![{}]", values.join(", "))
        }
        (ParameterType::Option(_), Value::Null) => "None".to_owned(),
        (ParameterType::Option(inner), value) => format!("Some({})", rust_literal(inner, value)),
        (_, value) => value.to_string(),
    }
}

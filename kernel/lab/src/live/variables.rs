use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;

use offmodel_events::{Event, emit};
use offmodel_models::Model;
use polars::prelude::DataFrame;
use serde::Serialize;
use tch::Tensor;

use crate::records::{RecordsError, frame_of};

thread_local! {
    /// The notebook variables. Thread-local because they need not be `Send`: all cells run on one
    /// thread.
    static VARIABLES: RefCell<BTreeMap<String, Variable>> = const { RefCell::new(BTreeMap::new()) };
    /// The columns of frames as last reported to the session.
    static REPORTED_COLUMNS: RefCell<BTreeMap<String, Vec<String>>> =
        const { RefCell::new(BTreeMap::new()) };
}

struct Variable {
    value: Box<dyn Any>,
    type_name: &'static str,
    /// Size of the value itself in bytes, without the memory it points to.
    size: usize,
}

/// A row of the frame that `:vars` shows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct VariableRow<'a> {
    variable: &'a str,
    #[serde(rename = "type")]
    type_name: &'a str,
    /// Size in bytes, including the memory pointed to for frames, tensors, models and strings.
    bytes: u64,
}

/// Stores an outgoing variable of a cell for later cells.
pub fn put<T: 'static>(name: &str, value: T) {
    if let Some(frame) = (&value as &dyn Any).downcast_ref::<DataFrame>() {
        report_columns(name, frame);
    }
    let variable = Variable {
        value: Box::new(value),
        type_name: std::any::type_name::<T>(),
        size: size_of::<T>(),
    };
    let replaced =
        VARIABLES.with_borrow_mut(|variables| variables.insert(name.to_owned(), variable));
    // Dropped outside the borrow: a destructor may call `put` or `take`.
    drop(replaced);
}

/// Takes a variable out of the store for a cell that mentions it.
///
/// # Panics
/// When there is no variable of that name and type. The session tracks the types of all variables,
/// so this happens only after an earlier cell failed while it held the variable; the panic becomes
/// the error of the cell.
pub fn take<T: 'static>(name: &str) -> T {
    let variable = VARIABLES.with_borrow_mut(|variables| variables.remove(name));
    let Some(variable) = variable else {
        panic!("the variable `{name}` is gone: an earlier cell failed while it held it");
    };
    let type_name = variable.type_name;
    match variable.value.downcast::<T>() {
        Ok(value) => *value,
        Err(_) => panic!(
            "the variable `{name}` has type {type_name}, not {}; run the cell that defines it again",
            std::any::type_name::<T>()
        ),
    }
}

/// Drops variables, for example those whose type a cell redefined.
pub fn forget(names: &[&str]) {
    for name in names {
        let dropped = VARIABLES.with_borrow_mut(|variables| variables.remove(*name));
        drop(dropped);
    }
}

/// The variables with these names and types as a frame, for `:vars`.
///
/// # Errors
/// When there are none.
pub fn variables(known: &[(&str, &str)]) -> Result<DataFrame, RecordsError> {
    let rows: Vec<VariableRow> = VARIABLES.with_borrow(|variables| {
        let rows = known.iter().filter_map(|(name, type_name)| {
            variables.get(*name).map(|variable| VariableRow {
                variable: name,
                type_name,
                bytes: variable.bytes(),
            })
        });
        rows.collect()
    });
    frame_of(&rows)
}

/// Reports the columns of a frame to the session, unless they are those last reported.
fn report_columns(name: &str, frame: &DataFrame) {
    let columns: Vec<String> = frame
        .get_column_names()
        .into_iter()
        .map(|column| column.to_string())
        .collect();
    let reported = REPORTED_COLUMNS
        .with_borrow_mut(|reported| reported.insert(name.to_owned(), columns.clone()));
    if reported.as_ref() != Some(&columns) {
        let variable = name.to_owned();
        emit(&Event::Columns { variable, columns });
    }
}

impl Variable {
    fn bytes(&self) -> u64 {
        let value = &self.value;
        if let Some(frame) = value.downcast_ref::<DataFrame>() {
            frame.estimated_size() as u64
        } else if let Some(tensor) = value.downcast_ref::<Tensor>() {
            (tensor.numel() * tensor.kind().elt_size_in_bytes()) as u64
        } else if let Some(model) = value.downcast_ref::<Model>() {
            model.memory_bytes()
        } else if let Some(text) = value.downcast_ref::<String>() {
            text.len() as u64
        } else {
            self.size as u64
        }
    }
}

use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;

use offmodel_events::{Event, emit};
use offmodel_models::Model;
use polars::prelude::DataFrame;
use serde::Serialize;
use tch::Tensor;

use crate::frames::{RecordsError, frame_of};

thread_local! {
    /// Variables need not be `Send`; all cells run on one thread.
    static VARIABLES: RefCell<BTreeMap<String, Stored>> = const { RefCell::new(BTreeMap::new()) };
    /// The columns of frames, as the session was told them.
    static COLUMNS: RefCell<BTreeMap<String, Vec<String>>> = const { RefCell::new(BTreeMap::new()) };
}

struct Stored {
    value: Box<dyn Any>,
    type_name: &'static str,
    /// Of the value itself, without what it points to.
    size: usize,
}

/// A variable of the session, as `:vars` shows it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
struct VariableRow<'a> {
    variable: &'a str,
    #[serde(rename = "type")]
    type_name: &'a str,
    /// Bytes of the value, with what it points to for frames, tensors, models and strings.
    bytes: u64,
}

/// Keeps a variable for later cells.
pub fn put<T: 'static>(name: &str, value: T) {
    if let Some(frame) = (&value as &dyn Any).downcast_ref::<DataFrame>() {
        tell_columns(name, frame);
    }
    let stored = Stored {
        value: Box::new(value),
        type_name: std::any::type_name::<T>(),
        size: size_of::<T>(),
    };
    let replaced = VARIABLES.with_borrow_mut(|variables| variables.insert(name.to_owned(), stored));
    // Dropped outside the borrow: a destructor may use the session.
    drop(replaced);
}

/// Emits the columns of a frame unless they are known.
fn tell_columns(name: &str, frame: &DataFrame) {
    let columns: Vec<String> = frame
        .get_column_names()
        .into_iter()
        .map(|column| column.to_string())
        .collect();
    let told = COLUMNS.with_borrow_mut(|known| known.insert(name.to_owned(), columns.clone()));
    if told.as_ref() != Some(&columns) {
        let variable = name.to_owned();
        emit(&Event::Columns { variable, columns });
    }
}

/// Takes a variable out for the cell that mentions it.
///
/// # Panics
/// When there is no such variable of that type, which the session rules out by knowing the
/// types of all variables; the panic is reported as the cell's error.
pub fn take<T: 'static>(name: &str) -> T {
    let stored = VARIABLES.with_borrow_mut(|variables| variables.remove(name));
    let Some(stored) = stored else {
        panic!("the variable `{name}` is gone: an earlier cell failed while it held it");
    };
    let type_name = stored.type_name;
    match stored.value.downcast::<T>() {
        Ok(value) => *value,
        Err(_) => panic!(
            "the variable `{name}` has type {type_name}, not {}; run the cell that defines it again",
            std::any::type_name::<T>()
        ),
    }
}

/// Drops variables, for example those whose type was redefined.
pub fn forget(names: &[&str]) {
    for name in names {
        let dropped = VARIABLES.with_borrow_mut(|variables| variables.remove(*name));
        drop(dropped);
    }
}

/// A frame of the variables of these names and types, for `:vars`.
///
/// # Errors
/// When there are none.
pub fn variables(known: &[(&str, &str)]) -> Result<DataFrame, RecordsError> {
    let rows: Vec<VariableRow> = VARIABLES.with_borrow(|variables| {
        let stored = known.iter().filter_map(|(name, type_name)| {
            variables.get(*name).map(|stored| VariableRow {
                variable: name,
                type_name,
                bytes: stored.bytes(),
            })
        });
        stored.collect()
    });
    frame_of(&rows)
}

impl Stored {
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

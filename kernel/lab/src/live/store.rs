use std::any::Any;
use std::cell::RefCell;
use std::collections::BTreeMap;

thread_local! {
    /// Variables need not be `Send`; all cells run on one thread.
    static VARIABLES: RefCell<BTreeMap<String, Stored>> = const { RefCell::new(BTreeMap::new()) };
}

struct Stored {
    value: Box<dyn Any>,
    type_name: &'static str,
    /// Of the value itself, without what it points to.
    size: usize,
}

/// A variable of the session, for `:vars`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VariableSummary {
    /// Its name.
    pub name: String,
    /// Its type as the compiler names it.
    pub type_name: &'static str,
    /// Bytes of the value itself, without what it points to.
    pub size: usize,
}

/// Keeps a variable for later cells.
pub fn put<T: 'static>(name: &str, value: T) {
    let stored = Stored {
        value: Box::new(value),
        type_name: std::any::type_name::<T>(),
        size: size_of::<T>(),
    };
    let replaced = VARIABLES.with_borrow_mut(|variables| variables.insert(name.to_owned(), stored));
    // Dropped outside the borrow: a destructor may use the session.
    drop(replaced);
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

/// All variables by name.
pub fn summaries() -> Vec<VariableSummary> {
    VARIABLES.with_borrow(|variables| {
        variables
            .iter()
            .map(|(name, stored)| VariableSummary {
                name: name.clone(),
                type_name: stored.type_name,
                size: stored.size,
            })
            .collect()
    })
}

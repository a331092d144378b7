//! Types as the compiler tells them, written so that a later cell can name them.

/// A type as it can be written in a later cell, or why it cannot.
pub(crate) fn nameable(told: &str) -> Result<String, String> {
    if told.contains("{closure") || told.contains("{async") {
        return Err(
            "it holds a closure, whose type has no name; box that with a type such as \
             `let f: Box<dyn Fn(f64) -> f64> = Box::new(...)`"
                .to_owned(),
        );
    }
    if told.starts_with("impl ") || told.contains("<impl ") || told.contains(" impl ") {
        return Err(format!("its type `{told}` has no name; collect or box it"));
    }
    let whole = with_default_numbers(told);
    if whole.contains('{') {
        return Err(format!("its type `{told}` has no name"));
    }
    let owned = whole.replace("&'static ", "&").replace("&str", "\u{1}str");
    if owned.contains('&') || owned.contains("'_") {
        return Err(format!(
            "its type `{told}` borrows from another variable; clone what it borrows"
        ));
    }
    Ok(owned
        .replace("\u{1}str", "&'static str")
        .replace("'{erased}", "'static"))
}

/// The types that number literals get where nothing else decides.
pub(crate) fn with_default_numbers(told: &str) -> String {
    told.replace("{integer}", "i32").replace("{float}", "f64")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn number_literals_get_their_default_types() {
        assert_eq!(
            nameable("std::vec::Vec<{integer}>").unwrap(),
            "std::vec::Vec<i32>"
        );
        assert_eq!(nameable("({float}, &str)").unwrap(), "(f64, &'static str)");
    }

    #[test]
    fn closures_and_borrows_are_refused_with_advice() {
        assert!(
            nameable("{closure@src/lib.rs:1:2: 3:4}")
                .unwrap_err()
                .contains("box that")
        );
        assert!(
            nameable("&std::vec::Vec<i32>")
                .unwrap_err()
                .contains("clone")
        );
        assert!(
            nameable("std::slice::Iter<'_, i32>")
                .unwrap_err()
                .contains("borrows")
        );
    }
}

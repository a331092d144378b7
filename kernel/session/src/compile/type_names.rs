//! Types in rustc's messages, rewritten so that a later cell can declare them.

/// A type as a later cell can declare it.
///
/// # Errors
/// Why a later cell cannot declare the type: it has no name, or it borrows.
pub(super) fn nameable(type_name: &str) -> Result<String, String> {
    if type_name.contains("{closure") || type_name.contains("{async") {
        return Err(
            "it holds a closure, whose type has no name; box that with a type such as \
             `let f: Box<dyn Fn(f64) -> f64> = Box::new(...)`"
                .to_owned(),
        );
    }
    if type_name.starts_with("impl ")
        || type_name.contains("<impl ")
        || type_name.contains(" impl ")
    {
        return Err(format!(
            "its type `{type_name}` has no name; collect or box it"
        ));
    }
    let concrete = with_default_numbers(type_name);
    if concrete.contains('{') {
        return Err(format!("its type `{type_name}` has no name"));
    }
    // rustc prints `&'static str` as `&str`. One that is not static does not outlive the cell; then
    // the line that stores it does not compile, and the variable is excluded there.
    let owned = concrete
        .replace("&'static ", "&")
        .replace("&str", "\u{1}str");
    if owned.contains('&') || owned.contains("'_") {
        return Err(format!(
            "its type `{type_name}` borrows from another variable; clone what it borrows"
        ));
    }
    Ok(owned
        .replace("\u{1}str", "&'static str")
        .replace("'{erased}", "'static"))
}

/// Replaces the types of number literals that nothing else determines by Rust's defaults.
pub(super) fn with_default_numbers(type_name: &str) -> String {
    type_name
        .replace("{integer}", "i32")
        .replace("{float}", "f64")
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
    fn closures_and_borrows_are_refused_with_a_remedy() {
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

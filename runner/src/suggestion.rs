/// The candidate most like a misspelt name, if any is alike enough.
pub(crate) fn nearest<'a>(name: &str, candidates: &[&'a str]) -> Option<&'a str> {
    /// Names in common use have about one wrong letter in four when mistyped.
    const ALIKE: f64 = 0.7;
    candidates
        .iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), *candidate))
        .filter(|(likeness, _)| *likeness >= ALIKE)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate)
}

/// `; did you mean ...?`, or nothing.
pub(crate) fn hint(name: &str, candidates: &[&str]) -> String {
    nearest(name, candidates).map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn misspelt_names_find_what_was_meant_and_others_find_nothing() {
        let known = ["seed", "data", "learning_rate"];
        assert_eq!(nearest("sead", &known), Some("seed"));
        assert_eq!(nearest("learningrate", &known), Some("learning_rate"));
        assert_eq!(nearest("xyz", &known), None);
    }
}

//! "Did you mean ...?" for misspelt names.

/// The candidate most similar to `name`, if any is similar enough to be what was meant.
pub fn nearest<'a>(name: &str, candidates: &[&'a str]) -> Option<&'a str> {
    /// Jaro-Winkler similarity that common names reach when about one letter in four is wrong.
    const MIN_SIMILARITY: f64 = 0.7;
    candidates
        .iter()
        .map(|candidate| (strsim::jaro_winkler(name, candidate), *candidate))
        .filter(|(similarity, _)| *similarity >= MIN_SIMILARITY)
        .max_by(|left, right| left.0.total_cmp(&right.0))
        .map(|(_, candidate)| candidate)
}

/// The end of an error message: "; did you mean `...`?", or nothing.
pub fn hint(name: &str, candidates: &[&str]) -> String {
    nearest(name, candidates).map_or_else(String::new, |near| format!("; did you mean `{near}`?"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_misspelt_name_finds_its_candidate_and_an_unrelated_one_finds_none() {
        let known = ["seed", "data", "learning_rate"];
        assert_eq!(nearest("sead", &known), Some("seed"));
        assert_eq!(nearest("learningrate", &known), Some("learning_rate"));
        assert_eq!(nearest("xyz", &known), None);
        assert_eq!(hint("sead", &known), "; did you mean `seed`?");
        assert_eq!(hint("xyz", &known), "");
    }
}

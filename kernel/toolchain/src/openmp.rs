//! How the threads of libtorch wait for each other.

/// Turns of the loop in which a thread of GNU OpenMP looks for the others before it sleeps.
const SPINS: (&str, &str) = ("GOMP_SPINCOUNT", "1000");

/// What a program that computes with libtorch is to be started with, unless the user has chosen.
///
/// Every operation of libtorch ends with its threads waiting for the slowest. GNU OpenMP lets them
/// do that for some milliseconds at full speed, which keeps from its core the very thread that they
/// wait for, if anybody else works on the machine: a neighbour on a cluster's node, another trial,
/// an editor. SmolLM2 answering 16 prompts on two cores: 95 tokens/s with this and 36 without beside
/// three busy programs, 244 and 258 alone (medians of 2 and 3 runs in turn, 2026-11-25).
pub fn environment() -> Option<(&'static str, &'static str)> {
    unless_chosen(|variable| std::env::var_os(variable).is_some())
}

fn unless_chosen(is_set: impl Fn(&str) -> bool) -> Option<(&'static str, &'static str)> {
    // Of the two the first decides: the manual of GNU libgomp, section GOMP_SPINCOUNT.
    let is_chosen = is_set(SPINS.0) || is_set("OMP_WAIT_POLICY");
    (!is_chosen).then_some(SPINS)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_user_has_chosen_holds() {
        assert_eq!(unless_chosen(|_| false), Some(SPINS));
        assert_eq!(
            unless_chosen(|variable| variable == "OMP_WAIT_POLICY"),
            None
        );
        assert_eq!(unless_chosen(|variable| variable == "GOMP_SPINCOUNT"), None);
        assert_eq!(
            unless_chosen(|variable| variable == "OMP_NUM_THREADS"),
            Some(SPINS)
        );
    }
}

//! How the threads of libtorch wait for each other.

/// Iterations for which a thread of GNU OpenMP spins at a barrier before it sleeps.
const SPIN_COUNT: (&str, &str) = ("GOMP_SPINCOUNT", "1000");

/// The environment variable with which to start a program that uses libtorch; none if the user has
/// set a wait policy.
///
/// Every operation of libtorch ends with its threads waiting for the slowest. By default, GNU OpenMP
/// spins for milliseconds, which on a shared machine (a neighbour on a cluster's node, another
/// trial, an editor) takes the core from the very thread that the others wait for. SmolLM2
/// generating for 16 prompts on two cores: with this setting 95 tokens/s beside three busy programs,
/// 36 without; alone 244 with and 258 without (medians of 2 and 3 alternating runs, 2026-11-25).
pub fn environment() -> Option<(&'static str, &'static str)> {
    unless_set(|variable| std::env::var_os(variable).is_some())
}

fn unless_set(is_set: impl Fn(&str) -> bool) -> Option<(&'static str, &'static str)> {
    // GOMP_SPINCOUNT overrides OMP_WAIT_POLICY: manual of GNU libgomp, section GOMP_SPINCOUNT.
    let is_chosen = is_set(SPIN_COUNT.0) || is_set("OMP_WAIT_POLICY");
    (!is_chosen).then_some(SPIN_COUNT)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_users_own_setting_takes_precedence() {
        assert_eq!(unless_set(|_| false), Some(SPIN_COUNT));
        assert_eq!(unless_set(|variable| variable == "OMP_WAIT_POLICY"), None);
        assert_eq!(unless_set(|variable| variable == "GOMP_SPINCOUNT"), None);
        assert_eq!(
            unless_set(|variable| variable == "OMP_NUM_THREADS"),
            Some(SPIN_COUNT)
        );
    }
}

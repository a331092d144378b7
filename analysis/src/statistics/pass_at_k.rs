use thiserror::Error;

/// Why pass@k is undefined.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[non_exhaustive]
pub enum PassAtKError {
    /// There are fewer samples than k, or k is 0.
    #[error("failed to compute pass@{k}: undefined for {samples} samples")]
    Undefined {
        /// Number of samples of the problem.
        samples: u64,
        /// Number of samples that may be tried.
        k: u64,
    },
    /// There are more correct samples than samples.
    #[error("failed to compute pass@{k}: {correct} correct of {samples} samples")]
    Counts {
        /// Number of samples of the problem.
        samples: u64,
        /// Number of correct samples.
        correct: u64,
        /// Number of samples that may be tried.
        k: u64,
    },
}

/// The unbiased estimate of pass@k for one problem: the probability that at least one of k samples is
/// correct, given that `correct` of `samples` are.
///
/// Computes `1 - C(n - c, k) / C(n, k)` as `1 - prod_{i = n-c+1..n} (1 - k / i)`, which does not overflow:
/// Chen et al., "Evaluating large language models trained on code" (2021), arXiv:2107.03374. Average it
/// over problems, and resample problems ([`bootstrap_mean`](crate::bootstrap_mean)) for an interval.
///
/// # Errors
/// When `k` is 0 or greater than `samples`, or `correct` is greater than `samples`.
pub fn pass_at_k(samples: u64, correct: u64, k: u64) -> Result<f64, PassAtKError> {
    if k == 0 || samples < k {
        return Err(PassAtKError::Undefined { samples, k });
    }
    if correct > samples {
        return Err(PassAtKError::Counts {
            samples,
            correct,
            k,
        });
    }
    let wrong = samples - correct;
    if wrong < k {
        return Ok(1.0);
    }
    let all_wrong: f64 = (wrong + 1..=samples)
        .map(|i| 1.0 - k as f64 / i as f64)
        .product();
    Ok(1.0 - all_wrong)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pass_at_one_is_the_share_of_correct_samples() {
        for correct in 0..=10 {
            let expected = correct as f64 / 10.0;
            assert!((pass_at_k(10, correct, 1).unwrap() - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn the_formula_agrees_with_counting_every_subset() {
        // All 2^7 subsets of 7 samples, of which the first c are correct.
        for correct in 0..=7_u64 {
            for k in 1..=7_u32 {
                let subsets = (0_u32..128).filter(|subset| subset.count_ones() == k);
                let (hits, total) = subsets.fold((0, 0), |(hits, total), subset| {
                    let solved = subset & ((1 << correct) - 1) != 0;
                    (hits + u32::from(solved), total + 1)
                });
                let expected = f64::from(hits) / f64::from(total);
                assert!((pass_at_k(7, correct, u64::from(k)).unwrap() - expected).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn fewer_samples_than_k_is_an_error_not_a_number() {
        assert_eq!(
            pass_at_k(4, 2, 8).unwrap_err().to_string(),
            "failed to compute pass@8: undefined for 4 samples"
        );
        assert!(pass_at_k(4, 2, 0).is_err());
        assert!(pass_at_k(4, 5, 1).is_err());
    }
}

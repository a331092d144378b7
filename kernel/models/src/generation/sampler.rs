//! From logits to the next tokens.

use tch::{Kind, TchError, Tensor};

use super::Sampling;

/// A token for each row and its log-probability.
pub(super) struct Choice {
    pub(super) tokens: Vec<i64>,
    pub(super) log_probabilities: Vec<f32>,
}

/// Chooses from `logits`, `[rows, vocabulary]`; `draw` gives a uniform number in [0, 1) for each
/// row in turn. Every row's choice depends on that row alone.
pub(super) fn choose(
    logits: &Tensor,
    sampling: &Sampling,
    draw: impl FnMut(usize) -> f64,
) -> Result<Choice, TchError> {
    let chosen = if sampling.temperature == 0.0 {
        logits.f_argmax(-1, true)?
    } else {
        sample(logits, sampling, draw)?
    };
    let log_probabilities =
        logits.f_gather(-1, &chosen, false)?.f_sub(&logits.f_logsumexp(-1, true)?)?;
    Ok(Choice {
        tokens: Vec::try_from(chosen.f_view(-1)?)?,
        log_probabilities: Vec::try_from(log_probabilities.f_view(-1)?)?,
    })
}

/// Inverts the cumulative distribution at the drawn number; returns `[rows, 1]`.
fn sample(
    logits: &Tensor,
    sampling: &Sampling,
    draw: impl FnMut(usize) -> f64,
) -> Result<Tensor, TchError> {
    let (rows, vocabulary) = logits.size2()?;
    let scaled = logits.f_div_scalar(sampling.temperature)?;
    let probabilities = scaled.f_softmax(-1, Kind::Float)?;
    let draws: Vec<f64> = (0..rows as usize).map(draw).collect();
    let draws = Tensor::f_from_slice(&draws)?.f_view([rows, 1])?.f_to_device(logits.device())?;
    if sampling.top_k.is_none() && sampling.top_p >= 1.0 {
        return invert(&probabilities, &draws);
    }
    let kept = sampling.top_k.map_or(vocabulary, |count| (count as i64).min(vocabulary));
    let (likeliest, tokens) = probabilities.f_topk(kept, -1, true, true)?;
    let likeliest = likeliest.f_div(&likeliest.f_sum_dim_intlist(-1, true, Kind::Float)?)?;
    // A token stays while the likelier ones together have not reached top_p.
    let before = likeliest.f_cumsum(-1, Kind::Double)?.f_sub(&likeliest)?;
    let likeliest = likeliest.f_masked_fill(&before.f_ge(sampling.top_p)?, 0.0)?;
    tokens.f_gather(-1, &invert(&likeliest, &draws)?, false)
}

/// The first index at which the running sum of `weights`, `[rows, n]`, exceeds the drawn share of
/// its total.
fn invert(weights: &Tensor, draws: &Tensor) -> Result<Tensor, TchError> {
    let n = weights.size2()?.1;
    let running = weights.f_cumsum(-1, Kind::Double)?;
    let wanted = draws.f_mul(&running.f_narrow(-1, n - 1, 1)?)?;
    let index = wanted.f_searchsorted(&running, false, true, "right", None::<&Tensor>)?;
    // Rounding, or a row that is not a number, may point beyond the end.
    index.f_clamp_max(n - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tokens(logits: &[f32], sampling: &Sampling, draw: f64) -> i64 {
        let logits = Tensor::from_slice(logits).view([1, -1]);
        choose(&logits, sampling, |_| draw).unwrap().tokens[0]
    }

    /// Probabilities 0.1, 0.2, 0.3, 0.4.
    fn logits() -> Vec<f32> {
        [0.1_f32, 0.2, 0.3, 0.4].iter().map(|p| p.ln()).collect()
    }

    #[test]
    fn greedy_takes_the_likeliest_and_reports_its_log_probability() {
        let logits = Tensor::from_slice(&logits()).view([1, -1]);
        let choice = choose(&logits, &Sampling::greedy(), |_| unreachable!()).unwrap();
        assert_eq!(choice.tokens, [3]);
        assert!((choice.log_probabilities[0] - 0.4_f32.ln()).abs() < 1e-6);
    }

    #[test]
    fn a_draw_selects_by_cumulative_probability() {
        let sampling = Sampling::temperature(1.0);
        for (draw, expected) in [(0.0, 0), (0.05, 0), (0.15, 1), (0.45, 2), (0.61, 3), (0.999, 3)] {
            assert_eq!(tokens(&logits(), &sampling, draw), expected, "draw {draw}");
        }
    }

    #[test]
    fn temperature_sharpens() {
        // At temperature 0.5 probabilities are squared: 1, 4, 9, 16 of 30.
        let sampling = Sampling::temperature(0.5);
        for (draw, expected) in [(0.03, 0), (0.1, 1), (0.3, 2), (0.5, 3)] {
            assert_eq!(tokens(&logits(), &sampling, draw), expected, "draw {draw}");
        }
    }

    #[test]
    fn top_k_and_top_p_leave_out_the_unlikely() {
        let two = Sampling::temperature(1.0).top_k(2);
        assert_eq!((tokens(&logits(), &two, 0.0), tokens(&logits(), &two, 0.99)), (3, 2));
        // 0.4 + 0.3 reach 0.6, so the set is {3, 2}.
        let nucleus = Sampling::temperature(1.0).top_p(0.6);
        assert_eq!((tokens(&logits(), &nucleus, 0.0), tokens(&logits(), &nucleus, 0.99)), (3, 2));
        let certain = Sampling::temperature(1.0).top_p(0.1);
        assert_eq!(tokens(&logits(), &certain, 0.99), 3);
    }

    #[test]
    fn logits_that_are_not_numbers_still_give_a_token() {
        assert!((0..4).contains(&tokens(&[f32::NAN; 4], &Sampling::temperature(1.0), 0.5)));
    }
}

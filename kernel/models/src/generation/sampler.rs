//! From logits to the next tokens.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Kind, TchError, Tensor};

use super::{Alternative, Sampling};

const TWO_TO_32: f64 = 4_294_967_296.0;
const LOW_32_BITS: i64 = 0xffff_ffff;

/// A token for each row.
pub(super) struct Choice {
    pub(super) token: u32,
    pub(super) log_probability: f32,
    /// The likeliest tokens, likeliest first.
    pub(super) alternatives: Vec<Alternative>,
}

/// Chooses from `logits`, `[rows, vocabulary]`; `draws` are 32 random bits for each row. Every
/// row's choice depends on that row alone.
pub(super) fn choose(
    logits: &Tensor,
    sampling: &Sampling,
    draws: &[u32],
) -> Result<Vec<Choice>, TchError> {
    let logits = logits.f_to_kind(Kind::Float)?;
    let chosen = if sampling.temperature == 0.0 {
        logits.f_argmax(-1, true)?
    } else {
        sample(&logits, sampling, draws)?
    };
    let normalizer = logits.f_logsumexp(-1, true)?;
    let log_probability = |of: &Tensor| logits.f_gather(-1, of, false)?.f_sub(&normalizer);
    // One transfer from the device: token ids are exact as doubles.
    let mut columns = vec![chosen.f_to_kind(Kind::Double)?];
    columns.push(log_probability(&chosen)?.f_to_kind(Kind::Double)?);
    let count = (sampling.alternatives as i64).min(logits.size2()?.1);
    if count > 0 {
        let likeliest = logits.f_topk(count, -1, true, true)?.1;
        columns.push(likeliest.f_to_kind(Kind::Double)?);
        columns.push(log_probability(&likeliest)?.f_to_kind(Kind::Double)?);
    }
    let table = Tensor::f_cat(&columns, -1)?.f_view(-1)?;
    let table = Vec::<f64>::try_from(table)?;
    let count = count as usize;
    let rows = table.chunks(2 + 2 * count).map(|row| {
        let (tokens, log_probabilities) = row[2..].split_at(count);
        let alternatives = std::iter::zip(tokens, log_probabilities);
        Choice {
            token: row[0] as u32,
            log_probability: row[1] as f32,
            alternatives: alternatives
                .map(|(&token, &log_probability)| Alternative {
                    token: token as u32,
                    log_probability: log_probability as f32,
                })
                .collect(),
        }
    });
    Ok(rows.collect())
}

/// The random bits of the `position`-th token of a response: of stream `stream` of the generator
/// with this seed, in whatever order tokens come.
pub(super) fn draw(seed: u64, stream: u64, position: usize) -> u32 {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream);
    random.set_word_pos(position as u128);
    random.random()
}

/// Lets all tokens race: token `i` arrives after an exponential time of rate `p_i`, so that it is
/// first with probability `p_i` (the Gumbel-max trick, <https://arxiv.org/abs/1611.01144>, in
/// other words). Unlike the inversion of a cumulative sum, this is stable: last-digit differences
/// of the logits, as they come with another batch size, change a winner only where two tokens
/// arrive at nearly the same time. Returns `[rows, 1]`.
fn sample(logits: &Tensor, sampling: &Sampling, draws: &[u32]) -> Result<Tensor, TchError> {
    let (rows, vocabulary) = logits.size2()?;
    let scaled = logits.f_div_scalar(sampling.temperature)?;
    let probabilities = scaled.f_softmax(-1, Kind::Float)?;
    let draws: Vec<i64> = draws.iter().map(|&draw| i64::from(draw)).collect();
    let draws = Tensor::f_from_slice(&draws)?
        .f_view([rows, 1])?
        .f_to_device(logits.device())?;
    if sampling.top_k.is_none() && sampling.top_p >= 1.0 {
        let tokens = Tensor::f_arange(vocabulary, (Kind::Int64, logits.device()))?;
        return first(&probabilities, &tokens, &draws);
    }
    let kept = sampling
        .top_k
        .map_or(vocabulary, |count| (count as i64).min(vocabulary));
    let (likeliest, tokens) = probabilities.f_topk(kept, -1, true, true)?;
    let likeliest = likeliest.f_div(&likeliest.f_sum_dim_intlist(-1, true, Kind::Float)?)?;
    // A token stays while the likelier ones together have not reached top_p.
    let before = likeliest.f_cumsum(-1, Kind::Double)?.f_sub(&likeliest)?;
    let likeliest = likeliest.f_masked_fill(&before.f_ge(sampling.top_p)?, 0.0)?;
    tokens.f_gather(-1, &first(&likeliest, &tokens, &draws)?, false)
}

/// The index of the token that arrives first: rates `[rows, n]`, ids of the tokens `[n]` or
/// `[rows, n]`, draws `[rows, 1]`. A rate of 0 never arrives.
fn first(rates: &Tensor, tokens: &Tensor, draws: &Tensor) -> Result<Tensor, TchError> {
    let times = uniform(tokens, draws)?.f_log_()?.f_neg_()?;
    rates
        .f_to_kind(Kind::Double)?
        .f_div(&times)?
        .f_argmax(-1, true)
}

/// A number in (0, 1) for each token id and draw, the same on every device and for every batch:
/// a hash of both rather than a generator's next number. `[rows, n]`
fn uniform(tokens: &Tensor, draws: &Tensor) -> Result<Tensor, TchError> {
    // Two rounds, so that neighbouring tokens of one draw are as unlike as any.
    let hash = mix(&mix(tokens)?.f_bitwise_xor_tensor(draws)?)?;
    hash.f_to_kind(Kind::Double)?
        .f_add_scalar(0.5)?
        .f_div_scalar(TWO_TO_32)
}

/// A bijection of 32-bit numbers with nearly no bias ("lowbias32" of
/// <https://nullprogram.com/blog/2018/07/31/>), in 64-bit integers, which tensors have.
fn mix(x: &Tensor) -> Result<Tensor, TchError> {
    let shift = |x: &Tensor, bits: i64| -> Result<Tensor, TchError> {
        x.f_bitwise_xor_tensor(&x.f_bitwise_right_shift_tensor_scalar(bits)?)
    };
    let times = |x: &Tensor, factor: i64| -> Result<Tensor, TchError> {
        x.f_mul_scalar(factor)?.f_bitwise_and(LOW_32_BITS)
    };
    let x = times(&shift(x, 16)?, 0x7feb_352d)?;
    // 0x846ca68b as a negative number: the low bits are the same, and nothing overflows.
    let x = times(&shift(&x, 15)?, 0x846c_a68b - (1 << 32))?;
    shift(&x, 16)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn draws(seed: u64, rows: i64) -> Vec<u32> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        (0..rows).map(|_| random.random()).collect()
    }

    fn tokens(choices: &[Choice]) -> Vec<u32> {
        choices.iter().map(|choice| choice.token).collect()
    }

    /// Probabilities 0.1, 0.2, 0.3, 0.4.
    fn logits() -> Vec<f32> {
        [0.1_f32, 0.2, 0.3, 0.4].iter().map(|p| p.ln()).collect()
    }

    /// How often each of the four tokens is chosen in 100,000 draws.
    fn shares(sampling: &Sampling) -> [f64; 4] {
        let rows = 100_000;
        let logits = Tensor::from_slice(&logits()).expand([rows, 4], false);
        let choices = choose(&logits, sampling, &draws(1, rows)).unwrap();
        let mut counts = [0; 4];
        choices
            .iter()
            .for_each(|choice| counts[choice.token as usize] += 1);
        counts.map(|count| f64::from(count) / rows as f64)
    }

    /// Five standard errors of a share of 100,000.
    fn assert_shares(sampling: &Sampling, expected: [f64; 4]) {
        for (share, expected) in shares(sampling).into_iter().zip(expected) {
            let tolerance = 5.0 * (expected * (1.0 - expected) / 1e5).sqrt();
            assert!(
                (share - expected).abs() <= tolerance,
                "{share} for {expected}"
            );
        }
    }

    #[test]
    fn greedy_takes_the_likeliest_and_reports_its_log_probability() {
        let logits = Tensor::from_slice(&logits()).view([1, -1]);
        let greedy = Sampling::greedy().alternatives(2);
        let choice = choose(&logits, &greedy, &[]).unwrap().remove(0);
        assert_eq!(choice.token, 3);
        assert!((choice.log_probability - 0.4_f32.ln()).abs() < 1e-6);
        let alternatives = choice.alternatives;
        assert_eq!([alternatives[0].token, alternatives[1].token], [3, 2]);
        assert!((alternatives[1].log_probability - 0.3_f32.ln()).abs() < 1e-6);
        let all = choose(&logits, &greedy.alternatives(9), &[])
            .unwrap()
            .remove(0);
        assert_eq!(all.alternatives.len(), 4, "there are no more tokens");
    }

    #[test]
    fn the_bits_of_a_token_are_those_that_come_at_its_place_in_the_stream() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        random.set_stream(3);
        for position in 0..100 {
            assert_eq!(draw(7, 3, position), random.random::<u32>());
        }
        assert_ne!(draw(7, 3, 0), draw(7, 1 << 32, 0));
    }

    #[test]
    fn tokens_are_drawn_with_their_probabilities() {
        assert_shares(&Sampling::temperature(1.0), [0.1, 0.2, 0.3, 0.4]);
    }

    #[test]
    fn temperature_sharpens() {
        // At temperature 0.5 probabilities are squared: 1, 4, 9, 16 of 30.
        let expected = [1.0, 4.0, 9.0, 16.0].map(|weight| weight / 30.0);
        assert_shares(&Sampling::temperature(0.5), expected);
    }

    #[test]
    fn top_k_and_top_p_leave_out_the_unlikely() {
        let two = [0.0, 0.0, 3.0 / 7.0, 4.0 / 7.0];
        assert_shares(&Sampling::temperature(1.0).top_k(2), two);
        // 0.4 + 0.3 reach 0.6, so the set is {3, 2}.
        assert_shares(&Sampling::temperature(1.0).top_p(0.6), two);
        assert_shares(&Sampling::temperature(1.0).top_p(0.1), [0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn a_large_vocabulary_is_drawn_from_evenly() {
        // A thousand draws of 50,000 equally likely tokens: their mean and spread are a
        // uniform's, and hardly any token comes twice.
        let logits = Tensor::zeros([1, 50_000], (Kind::Float, tch::Device::Cpu));
        let logits = logits.expand([1000, 50_000], false);
        let choices = choose(&logits, &Sampling::temperature(1.0), &draws(2, 1000)).unwrap();
        let tokens = tokens(&choices).into_iter();
        let mut tokens: Vec<f64> = tokens.map(|id| f64::from(id) / 5e4).collect();
        let mean = tokens.iter().sum::<f64>() / 1e3;
        let variance = tokens.iter().map(|t| (t - mean).powi(2)).sum::<f64>() / 1e3;
        assert!((mean - 0.5).abs() < 0.046, "mean {mean}");
        assert!((variance - 1.0 / 12.0).abs() < 0.012, "variance {variance}");
        tokens.sort_by(f64::total_cmp);
        tokens.dedup();
        assert!(tokens.len() > 970, "{} different tokens", tokens.len());
    }

    #[test]
    fn the_last_digits_of_the_logits_do_not_change_the_choice() {
        let logits = Tensor::randn([200, 50_000], (Kind::Float, tch::Device::Cpu));
        let noise = Tensor::randn_like(&logits) * 1e-6;
        let draws = draws(3, 200);
        let chosen =
            |logits: &Tensor| tokens(&choose(logits, &Sampling::temperature(1.0), &draws).unwrap());
        assert_eq!(chosen(&logits), chosen(&(&logits + noise)));
    }

    #[test]
    fn logits_that_are_not_numbers_still_give_a_token() {
        let logits = Tensor::from_slice(&[f32::NAN; 4]).view([1, -1]);
        let choices = choose(&logits, &Sampling::temperature(1.0), &[5]).unwrap();
        assert!((0..4).contains(&choices[0].token));
    }
}

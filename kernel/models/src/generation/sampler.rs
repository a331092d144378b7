//! From logits to the next tokens.
//!
//! Sampling is a function of the logits, the seed and the position alone. No generator carries
//! state from one token to the next, so a response does not depend on what else is in the batch.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use tch::{Kind, TchError, Tensor};

use super::{Alternative, Sampling};

const TWO_TO_32: f64 = 4_294_967_296.0;
const LOW_32_BITS: i64 = 0xffff_ffff;

/// The next token of one sequence.
pub(super) struct SampledToken {
    pub(super) token: u32,
    pub(super) log_probability: f32,
    /// The most likely tokens, most likely first.
    pub(super) alternatives: Vec<Alternative>,
}

/// Samples a token for each row of `logits`, `[rows, vocabulary]`.
///
/// `random_bits` are one number for each row; greedy sampling does not use them. The token of a row
/// depends on that row and its random bits alone.
pub(super) fn sample(
    logits: &Tensor,
    sampling: &Sampling,
    random_bits: &[u32],
) -> Result<Vec<SampledToken>, TchError> {
    let logits = logits.f_to_kind(Kind::Float)?;
    // [rows, 1]
    let tokens = if sampling.temperature == 0.0 {
        logits.f_argmax(-1, true)?
    } else {
        sample_at_temperature(&logits, sampling, random_bits)?
    };
    let normalizer = logits.f_logsumexp(-1, true)?;
    let log_probabilities =
        |tokens: &Tensor| logits.f_gather(-1, tokens, false)?.f_sub(&normalizer);
    // All columns in one table, so that there is one transfer from the device. Token ids are exact
    // in f64.
    let mut columns = vec![
        tokens.f_to_kind(Kind::Double)?,
        log_probabilities(&tokens)?.f_to_kind(Kind::Double)?,
    ];
    let count = (sampling.alternatives as i64).min(logits.size2()?.1);
    if count > 0 {
        let most_likely = logits.f_topk(count, -1, true, true)?.1;
        columns.push(most_likely.f_to_kind(Kind::Double)?);
        columns.push(log_probabilities(&most_likely)?.f_to_kind(Kind::Double)?);
    }
    let table = Tensor::f_cat(&columns, -1)?.f_view(-1)?;
    let table = Vec::<f64>::try_from(table)?;
    let count = count as usize;
    let rows = table.chunks(2 + 2 * count).map(|row| {
        let (tokens, log_probabilities) = row[2..].split_at(count);
        let alternatives = std::iter::zip(tokens, log_probabilities);
        SampledToken {
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

/// The random bits for the token at `position` of a response: word `position` of stream `stream`
/// of ChaCha8 with this seed. They can be computed for any position without the earlier ones.
pub(super) fn random_bits(seed: u64, stream: u64, position: usize) -> u32 {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(stream);
    random.set_word_pos(position as u128);
    random.random()
}

/// Samples one token a row with temperature, top-k and top-p; returns `[rows, 1]`.
fn sample_at_temperature(
    logits: &Tensor,
    sampling: &Sampling,
    random_bits: &[u32],
) -> Result<Tensor, TchError> {
    let (rows, vocabulary) = logits.size2()?;
    let scaled = logits.f_div_scalar(sampling.temperature)?;
    let probabilities = scaled.f_softmax(-1, Kind::Float)?;
    let random_bits: Vec<i64> = random_bits.iter().map(|&bits| i64::from(bits)).collect();
    let random_bits = Tensor::f_from_slice(&random_bits)?
        .f_view([rows, 1])?
        .f_to_device(logits.device())?;
    if sampling.top_k.is_none() && sampling.top_p >= 1.0 {
        let tokens = Tensor::f_arange(vocabulary, (Kind::Int64, logits.device()))?;
        return race(&probabilities, &tokens, &random_bits);
    }
    let kept = sampling
        .top_k
        .map_or(vocabulary, |count| (count as i64).min(vocabulary));
    let (probabilities, tokens) = probabilities.f_topk(kept, -1, true, true)?;
    let probabilities =
        probabilities.f_div(&probabilities.f_sum_dim_intlist(-1, true, Kind::Float)?)?;
    // Top-p keeps a token if the more likely ones together have not reached top_p.
    let more_likely = probabilities
        .f_cumsum(-1, Kind::Double)?
        .f_sub(&probabilities)?;
    let probabilities = probabilities.f_masked_fill(&more_likely.f_ge(sampling.top_p)?, 0.0)?;
    tokens.f_gather(-1, &race(&probabilities, &tokens, &random_bits)?, false)
}

/// Samples from `probabilities`, `[rows, n]`, by an exponential race: a token arrives after an
/// exponentially distributed time whose rate is its probability, and is the first to arrive with
/// exactly that probability. This is the Gumbel-max trick (<https://arxiv.org/abs/1611.01144>) in
/// another form.
///
/// Unlike the inversion of a cumulative sum, a race is stable: differences in the last digits of
/// the logits, as another batch size causes them, change the result only where two tokens arrive
/// at nearly the same time.
///
/// `tokens` are the ids, `[n]` or `[rows, n]`; `random_bits` are `[rows, 1]`. A token of probability
/// 0 never arrives. Returns indices into the columns, `[rows, 1]`.
fn race(probabilities: &Tensor, tokens: &Tensor, random_bits: &Tensor) -> Result<Tensor, TchError> {
    // An arrival time is -ln(u) / p, so the first to arrive has the largest ln(u) / p.
    uniform(tokens, random_bits)?
        .f_log_()?
        .f_div_(probabilities)?
        .f_argmax(-1, true)
}

/// A number in (0, 1) for each token id and row, `[rows, n]`.
///
/// It is a hash of the id and the row's random bits, not the next number of a generator, so that
/// it is the same on every device and in every batch.
fn uniform(tokens: &Tensor, random_bits: &Tensor) -> Result<Tensor, TchError> {
    // One round would leave the numbers of neighbouring ids correlated under the same random bits.
    let hashed = hash(tokens.f_detach_copy()?)?;
    hash(hashed.f_bitwise_xor_tensor(random_bits)?)?
        .f_to_kind(Kind::Double)?
        .f_add_scalar_(0.5)?
        .f_div_scalar_(TWO_TO_32)
}

/// Hashes 32-bit numbers by "lowbias32" of <https://nullprogram.com/blog/2018/07/31/>, a bijection
/// with nearly no bias. Tensors have no unsigned 32-bit kind, so it computes in 64-bit integers.
///
/// In place: over a whole vocabulary, allocating a result for each operation takes longer than the
/// operations.
fn hash(mut x: Tensor) -> Result<Tensor, TchError> {
    let shifted = x.f_empty_like()?;
    let xor_shift = |x: &mut Tensor, bits: i64| -> Result<(), TchError> {
        let shifted = x.f_bitwise_right_shift_tensor_scalar_out(&shifted, bits)?;
        x.f_bitwise_xor_tensor_(&shifted).map(drop)
    };
    let multiply = |x: &mut Tensor, factor: i64| -> Result<(), TchError> {
        x.f_mul_scalar_(factor)?
            .f_bitwise_and_(LOW_32_BITS)
            .map(drop)
    };
    xor_shift(&mut x, 16)?;
    multiply(&mut x, 0x7feb_352d)?;
    xor_shift(&mut x, 15)?;
    // 0x846ca68b minus 2^32: the low 32 bits of the product are the same, and it does not overflow.
    multiply(&mut x, 0x846c_a68b - (1 << 32))?;
    xor_shift(&mut x, 16)?;
    Ok(x)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bits(seed: u64, rows: i64) -> Vec<u32> {
        let mut random = ChaCha8Rng::seed_from_u64(seed);
        (0..rows).map(|_| random.random()).collect()
    }

    fn tokens(sampled: &[SampledToken]) -> Vec<u32> {
        sampled.iter().map(|sampled| sampled.token).collect()
    }

    /// Logits of the probabilities 0.1, 0.2, 0.3 and 0.4.
    fn logits() -> Vec<f32> {
        [0.1_f32, 0.2, 0.3, 0.4].iter().map(|p| p.ln()).collect()
    }

    /// The share of each of the four tokens in 100,000 samples.
    fn shares(sampling: &Sampling) -> [f64; 4] {
        let rows = 100_000;
        let logits = Tensor::from_slice(&logits()).expand([rows, 4], false);
        let sampled = sample(&logits, sampling, &bits(1, rows)).unwrap();
        let mut counts = [0; 4];
        for token in tokens(&sampled) {
            counts[token as usize] += 1;
        }
        counts.map(|count| f64::from(count) / rows as f64)
    }

    /// Allows five standard errors of a share in 100,000 samples.
    fn assert_shares(sampling: &Sampling, expected: [f64; 4]) {
        for (share, expected) in shares(sampling).into_iter().zip(expected) {
            let tolerance = 5.0 * (expected * (1.0 - expected) / 1e5).sqrt();
            assert!(
                (share - expected).abs() <= tolerance,
                "{share} instead of {expected}"
            );
        }
    }

    #[test]
    fn greedy_sampling_takes_the_most_likely_token_and_reports_its_log_probability() {
        let logits = Tensor::from_slice(&logits()).view([1, -1]);
        let greedy = Sampling::greedy().alternatives(2);
        let sampled = sample(&logits, &greedy, &[]).unwrap().remove(0);
        assert_eq!(sampled.token, 3);
        assert!((sampled.log_probability - 0.4_f32.ln()).abs() < 1e-6);
        let alternatives = sampled.alternatives;
        assert_eq!([alternatives[0].token, alternatives[1].token], [3, 2]);
        assert!((alternatives[1].log_probability - 0.3_f32.ln()).abs() < 1e-6);
        let all = sample(&logits, &greedy.alternatives(9), &[])
            .unwrap()
            .remove(0);
        assert_eq!(all.alternatives.len(), 4, "the vocabulary has no more");
    }

    #[test]
    fn random_bits_by_position_equal_those_drawn_in_sequence() {
        let mut random = ChaCha8Rng::seed_from_u64(7);
        random.set_stream(3);
        for position in 0..100 {
            assert_eq!(random_bits(7, 3, position), random.random::<u32>());
        }
        assert_ne!(random_bits(7, 3, 0), random_bits(7, 1 << 32, 0));
    }

    #[test]
    fn tokens_are_sampled_with_their_probabilities() {
        assert_shares(&Sampling::temperature(1.0), [0.1, 0.2, 0.3, 0.4]);
    }

    #[test]
    fn a_low_temperature_sharpens_the_distribution() {
        // Temperature 0.5 squares the probabilities: 1, 4, 9 and 16 parts of 30.
        let expected = [1.0, 4.0, 9.0, 16.0].map(|weight| weight / 30.0);
        assert_shares(&Sampling::temperature(0.5), expected);
    }

    #[test]
    fn top_k_and_top_p_exclude_unlikely_tokens() {
        let two = [0.0, 0.0, 3.0 / 7.0, 4.0 / 7.0];
        assert_shares(&Sampling::temperature(1.0).top_k(2), two);
        // Tokens 3 and 2 reach 0.6 together.
        assert_shares(&Sampling::temperature(1.0).top_p(0.6), two);
        assert_shares(&Sampling::temperature(1.0).top_p(0.1), [0.0, 0.0, 0.0, 1.0]);
    }

    #[test]
    fn a_large_vocabulary_is_sampled_evenly() {
        // A thousand samples of 50,000 equally likely tokens have the mean and variance of the
        // uniform distribution, and hardly any token occurs twice.
        let logits = Tensor::zeros([1, 50_000], (Kind::Float, tch::Device::Cpu));
        let logits = logits.expand([1000, 50_000], false);
        let sampled = sample(&logits, &Sampling::temperature(1.0), &bits(2, 1000)).unwrap();
        let tokens = tokens(&sampled).into_iter();
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
    fn rounding_errors_of_the_logits_do_not_change_the_token() {
        let logits = Tensor::randn([200, 50_000], (Kind::Float, tch::Device::Cpu));
        let noise = Tensor::randn_like(&logits) * 1e-6;
        let bits = bits(3, 200);
        let sampled =
            |logits: &Tensor| tokens(&sample(logits, &Sampling::temperature(1.0), &bits).unwrap());
        assert_eq!(sampled(&logits), sampled(&(&logits + noise)));
    }

    #[test]
    fn nan_logits_still_give_a_token_of_the_vocabulary() {
        let logits = Tensor::from_slice(&[f32::NAN; 4]).view([1, -1]);
        let sampled = sample(&logits, &Sampling::temperature(1.0), &[5]).unwrap();
        assert!((0..4).contains(&sampled[0].token));
    }
}

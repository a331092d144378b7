//! Chats as tokens of which some are to be predicted.

use std::ops::Range;

use tch::{Device, TchError, Tensor};

use crate::transformer::PackedSequences;

/// A prompt and the response to it, end token included.
pub(crate) struct Example {
    pub(crate) tokens: Vec<u32>,
    /// Tokens of the prompt; the rest are to be predicted. At least one is before them.
    pub(crate) prompt: usize,
}

impl Example {
    /// Tokens that are fed: the last one is only predicted.
    pub(crate) fn input(&self) -> &[u32] {
        &self.tokens[..self.tokens.len() - 1]
    }

    pub(crate) fn response(&self) -> &[u32] {
        &self.tokens[self.prompt..]
    }
}

/// Several examples in one pass, and what is to be predicted where.
pub(crate) struct PackedExamples {
    pub(crate) inputs: PackedSequences,
    /// Flat positions whose next token is part of a response: `[targets]`.
    pub(crate) positions: Tensor,
    /// Those next tokens: `[targets]`.
    pub(crate) targets: Tensor,
}

impl PackedExamples {
    pub(crate) fn new(examples: &[&Example], device: Device) -> Result<Self, TchError> {
        let (mut positions, mut targets, mut start) = (vec![], vec![], 0);
        for example in examples {
            let predicting = example.prompt - 1..example.input().len();
            positions.extend(predicting.map(|position| (start + position) as i64));
            targets.extend(example.response().iter().map(|&token| i64::from(token)));
            start += example.input().len();
        }
        Ok(Self {
            inputs: PackedSequences::new(examples.iter().map(|example| example.input()), device)?,
            positions: Tensor::f_from_slice(&positions)?.f_to_device(device)?,
            targets: Tensor::f_from_slice(&targets)?.f_to_device(device)?,
        })
    }
}

/// Runs of examples of at most `tokens` tokens, or of one example.
pub(crate) fn runs(lengths: &[usize], tokens: usize) -> Vec<Range<usize>> {
    let mut runs: Vec<Range<usize>> = Vec::new();
    let mut used = 0;
    for (index, &length) in lengths.iter().enumerate() {
        match runs.last_mut() {
            Some(run) if used + length <= tokens => {
                run.end = index + 1;
                used += length;
            }
            _ => {
                runs.push(index..index + 1);
                used = length;
            }
        }
    }
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_cover_everything_in_order_within_the_budget() {
        assert_eq!(runs(&[3, 3, 5, 20, 1, 1], 8), [0..2, 2..3, 3..4, 4..6]);
        assert!(runs(&[], 8).is_empty());
    }

    #[test]
    fn the_last_prompt_token_predicts_the_first_response_token() {
        let examples = [
            Example {
                tokens: vec![1, 2, 3, 4],
                prompt: 2,
            },
            Example {
                tokens: vec![5, 6],
                prompt: 1,
            },
        ];
        let packed =
            PackedExamples::new(&examples.iter().collect::<Vec<_>>(), Device::Cpu).unwrap();
        let numbers = |tensor: &Tensor| Vec::<i64>::try_from(tensor).unwrap();
        assert_eq!(numbers(&packed.inputs.tokens), [1, 2, 3, 5]);
        assert_eq!(numbers(&packed.inputs.positions), [0, 1, 2, 0]);
        assert_eq!(numbers(&packed.positions), [1, 2, 3]);
        assert_eq!(numbers(&packed.targets), [3, 4, 6]);
    }
}

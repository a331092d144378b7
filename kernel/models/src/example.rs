//! Training and scoring examples: chats as tokens, some of which are to be predicted.

use std::ops::Range;

use tch::{Device, TchError, Tensor};

use crate::transformer::PackedSequences;

/// A prompt and the response to it, including the end token.
pub(crate) struct Example {
    pub(crate) tokens: Vec<u32>,
    /// How many of the tokens are the prompt; at least 1. The rest are the response.
    pub(crate) prompt: usize,
}

impl Example {
    /// The tokens that the model is given: all but the last, which is only predicted.
    pub(crate) fn input(&self) -> &[u32] {
        &self.tokens[..self.tokens.len() - 1]
    }

    /// The tokens that are to be predicted.
    pub(crate) fn response(&self) -> &[u32] {
        &self.tokens[self.prompt..]
    }
}

/// Several examples as one forward pass, with the targets of the loss.
pub(crate) struct PackedExamples {
    pub(crate) inputs: PackedSequences,
    /// Flat positions in `inputs` at which a response token is predicted: `[targets]`.
    pub(crate) positions: Tensor,
    /// The response tokens that are predicted there: `[targets]`.
    pub(crate) targets: Tensor,
}

impl PackedExamples {
    pub(crate) fn new(examples: &[&Example], device: Device) -> Result<Self, TchError> {
        let (mut positions, mut targets, mut start) = (vec![], vec![], 0);
        for example in examples {
            // The last token of the prompt predicts the first of the response.
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

/// Splits examples of these lengths into consecutive groups of at most `max_tokens` tokens. An
/// example that is longer is a group of its own.
pub(crate) fn micro_batches(lengths: &[usize], max_tokens: usize) -> Vec<Range<usize>> {
    let mut groups: Vec<Range<usize>> = Vec::new();
    let mut tokens = 0;
    for (index, &length) in lengths.iter().enumerate() {
        match groups.last_mut() {
            Some(group) if tokens + length <= max_tokens => {
                group.end = index + 1;
                tokens += length;
            }
            _ => {
                groups.push(index..index + 1);
                tokens = length;
            }
        }
    }
    groups
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn micro_batches_cover_all_examples_in_order_within_the_limit() {
        assert_eq!(
            micro_batches(&[3, 3, 5, 20, 1, 1], 8),
            [0..2, 2..3, 3..4, 4..6]
        );
        assert!(micro_batches(&[], 8).is_empty());
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

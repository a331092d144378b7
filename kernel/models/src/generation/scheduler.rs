//! Which sequences are in progress: a state machine that deals in numbers of tokens only.
//!
//! Sequences are admitted in their order. When memory is short, those that were admitted last are
//! preempted: they return to the head of the queue with the tokens they have. The oldest sequence
//! therefore always advances, and every request is finished.

use std::collections::VecDeque;

use crate::transformer::KvCache;

/// Limits on the sequences in progress.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Limits {
    /// How many there may be.
    pub(super) sequences: usize,
    /// Tokens for which all their rows of the cache together may have room.
    pub(super) tokens: u64,
}

/// The queue of sequences, and those in progress. Sequences are known by their index.
#[derive(Debug)]
pub(super) struct Scheduler {
    /// Oldest first.
    waiting: VecDeque<usize>,
    /// Oldest first.
    running: Vec<usize>,
    /// The length of each sequence: its prompt, prefill and generated tokens.
    tokens: Vec<usize>,
    limits: Limits,
    /// How many sequences may be in progress: `limits.sequences`, or fewer since memory ran out.
    max_sequences: usize,
    /// Sequences that have finished since `max_sequences` last changed.
    finished_since_change: usize,
}

/// A sequence that does not fit into the limits even when it is alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLarge {
    pub(super) sequence: usize,
    /// Tokens for which its row would have room.
    pub(super) needed: u64,
}

impl Scheduler {
    /// Queues sequences of these lengths, each at least 1. Call [`Scheduler::set_limits`] before
    /// the first [`Scheduler::admit`].
    pub(super) fn new(tokens: Vec<usize>) -> Self {
        Self {
            waiting: (0..tokens.len()).collect(),
            running: vec![],
            tokens,
            limits: Limits::default(),
            max_sequences: 0,
            finished_since_change: 0,
        }
    }

    /// Sets the limits that hold from the next [`Scheduler::admit`] on.
    pub(super) fn set_limits(&mut self, limits: Limits) {
        self.limits = limits;
        self.max_sequences = limits.sequences;
    }

    /// The sequences in progress, oldest first.
    pub(super) fn running(&self) -> &[usize] {
        &self.running
    }

    /// Whether every sequence has finished.
    pub(super) fn is_done(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty()
    }

    /// The length of a sequence.
    pub(super) fn tokens(&self, sequence: usize) -> usize {
        self.tokens[sequence]
    }

    /// Preempts sequences that have outgrown the limits, then admits what fits.
    pub(super) fn admit(&mut self) -> Result<(), TooLarge> {
        while self.used() > self.limits.tokens || self.running.len() > self.max_sequences {
            if let [alone] = *self.running {
                return Err(self.too_large(alone));
            }
            self.preempt_newest();
        }
        while let Some(&next) = self.waiting.front()
            && self.running.len() < self.max_sequences.max(1)
        {
            if self.used() + self.row_capacity(next) > self.limits.tokens {
                if self.running.is_empty() {
                    return Err(self.too_large(next));
                }
                break;
            }
            self.running.push(next);
            self.waiting.pop_front();
        }
        Ok(())
    }

    /// Counts one more token of a sequence in progress.
    pub(super) fn advance(&mut self, sequence: usize) {
        self.tokens[sequence] += 1;
    }

    /// Ends a sequence in progress.
    pub(super) fn finish(&mut self, sequence: usize) {
        self.running.retain(|&other| other != sequence);
        self.finished_since_change += 1;
        // A rare long prompt may have filled the memory: carefully allow one more sequence again.
        if self.finished_since_change >= self.max_sequences
            && self.max_sequences < self.limits.sequences
        {
            self.max_sequences += 1;
            self.finished_since_change = 0;
        }
    }

    /// Preempts the newer half of the sequences in progress, and admits no more than are left.
    /// Returns whether there was more than one.
    pub(super) fn shrink(&mut self) -> bool {
        let left = self.running.len() / 2;
        if left == 0 {
            return false;
        }
        while self.running.len() > left {
            self.preempt_newest();
        }
        self.max_sequences = left;
        self.finished_since_change = 0;
        true
    }

    /// Preempts every sequence in progress.
    pub(super) fn preempt_all(&mut self) {
        while !self.running.is_empty() {
            self.preempt_newest();
        }
    }

    fn preempt_newest(&mut self) {
        if let Some(newest) = self.running.pop() {
            self.waiting.push_front(newest);
        }
    }

    /// Tokens for which the rows of the sequences in progress have room.
    fn used(&self) -> u64 {
        let capacities = self
            .running
            .iter()
            .map(|&sequence| self.row_capacity(sequence));
        capacities.sum()
    }

    fn row_capacity(&self, sequence: usize) -> u64 {
        KvCache::row_capacity(self.tokens[sequence]) as u64
    }

    fn too_large(&self, sequence: usize) -> TooLarge {
        TooLarge {
            sequence,
            needed: self.row_capacity(sequence),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Requests, and when the device that serves them runs out of memory.
    #[derive(Debug, Clone)]
    struct Scenario {
        prompt_lengths: Vec<usize>,
        response_lengths: Vec<usize>,
        limits: Limits,
        /// Whether memory runs out in each step.
        failures: Vec<bool>,
    }

    fn scheduler(tokens: Vec<usize>, limits: Limits) -> Scheduler {
        let mut scheduler = Scheduler::new(tokens);
        scheduler.set_limits(limits);
        scheduler
    }

    /// Runs a scheduler to its end. Returns how often each sequence finished, and the order in
    /// which they were first admitted.
    fn run(scenario: &Scenario) -> (Vec<usize>, Vec<usize>) {
        let mut scheduler = scheduler(scenario.prompt_lengths.clone(), scenario.limits);
        let mut remaining = scenario.response_lengths.clone();
        let mut times_finished = vec![0; remaining.len()];
        let mut admitted = Vec::new();
        for step in 0.. {
            if scheduler.is_done() {
                break;
            }
            assert!(step < 100_000, "does not end: {scheduler:?}");
            scheduler.admit().unwrap();
            let running = scheduler.running().to_vec();
            assert!(!running.is_empty(), "not done, but nothing is running");
            assert!(running.len() <= scenario.limits.sequences);
            assert!(scheduler.used() <= scenario.limits.tokens);
            assert!(running.is_sorted(), "older sequences come first");
            for &sequence in &running {
                if !admitted.contains(&sequence) {
                    admitted.push(sequence);
                }
            }
            let fails = scenario.failures.get(step).copied().unwrap_or(false);
            if fails && scheduler.shrink() {
                assert_eq!(scheduler.running(), &running[..running.len() / 2]);
                continue;
            }
            for sequence in running {
                scheduler.advance(sequence);
                remaining[sequence] -= 1;
                if remaining[sequence] == 0 {
                    times_finished[sequence] += 1;
                    scheduler.finish(sequence);
                }
            }
        }
        (times_finished, admitted)
    }

    prop_compose! {
        fn scenario()(lengths in prop::collection::vec((1_usize..700, 1_usize..300), 1..20))(
            sequences in 1_usize..8,
            // At least enough for the longest sequence.
            tokens in 1024_u64..6000,
            failures in prop::collection::vec(prop::bool::weighted(0.1), 0..200),
            lengths in Just(lengths),
        ) -> Scenario {
            let (prompt_lengths, response_lengths) = lengths.into_iter().unzip();
            let limits = Limits { sequences, tokens };
            Scenario { prompt_lengths, response_lengths, limits, failures }
        }
    }

    proptest! {
        #[test]
        fn every_sequence_finishes_once_within_the_limits(scenario in scenario()) {
            let (times_finished, admitted) = run(&scenario);
            prop_assert!(times_finished.iter().all(|&times| times == 1), "{times_finished:?}");
            prop_assert!(admitted.is_sorted(), "sequences are admitted in their order");
        }
    }

    #[test]
    fn the_newest_sequences_are_preempted_when_rows_outgrow_the_limit() {
        let limits = Limits {
            sequences: 8,
            tokens: 768,
        };
        let mut scheduler = scheduler(vec![256, 256, 256, 10], limits);
        scheduler.admit().unwrap();
        assert_eq!(scheduler.running(), [0, 1, 2]);
        scheduler.advance(0);
        scheduler.admit().unwrap();
        assert_eq!(scheduler.running(), [0, 1]);
        scheduler.finish(0);
        scheduler.admit().unwrap();
        assert_eq!(scheduler.running(), [1, 2, 3]);
    }

    #[test]
    fn a_sequence_that_does_not_fit_alone_is_an_error() {
        let limits = Limits {
            sequences: 8,
            tokens: 512,
        };
        let mut scheduler = scheduler(vec![256, 513], limits);
        scheduler.admit().unwrap();
        assert_eq!(scheduler.running(), [0]);
        scheduler.finish(0);
        let expected = TooLarge {
            sequence: 1,
            needed: 1024,
        };
        assert_eq!(scheduler.admit(), Err(expected));
    }

    #[test]
    fn after_memory_ran_out_the_number_of_sequences_recovers_one_by_one() {
        let limits = Limits {
            sequences: 4,
            tokens: 1 << 20,
        };
        let mut scheduler = scheduler(vec![1; 20], limits);
        assert!(!scheduler.shrink(), "nothing is in progress");
        scheduler.admit().unwrap();
        assert!(scheduler.shrink());
        assert_eq!(scheduler.running(), [0, 1]);
        let mut counts = vec![];
        while !scheduler.is_done() {
            scheduler.admit().unwrap();
            counts.push(scheduler.running().len());
            scheduler.finish(scheduler.running()[0]);
        }
        assert_eq!(counts[..8], [2, 2, 3, 3, 3, 4, 4, 4]);
    }
}

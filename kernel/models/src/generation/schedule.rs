//! Which responses are in progress: a state machine that knows numbers of tokens only.
//!
//! Requests begin in their order. When memory is short those that began last go back to the queue,
//! with the tokens they have, so the oldest always gets on and every request is answered.

use std::collections::VecDeque;

use crate::transformer::KvCache;

/// What may be in progress at once.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Bounds {
    /// Responses.
    pub(super) rows: usize,
    /// Tokens for which their rows have room, together.
    pub(super) tokens: u64,
}

/// The queue and the requests in progress.
#[derive(Debug)]
pub(super) struct Schedule {
    /// Oldest first; all but those that went back are younger than any in progress.
    waiting: VecDeque<usize>,
    /// Oldest first.
    running: Vec<usize>,
    /// Of each request, the tokens that its row holds once its next token has been computed.
    tokens: Vec<usize>,
    bounds: Bounds,
    /// Responses that may be in progress since memory last ran out.
    rows: usize,
    /// Responses that finished since `rows` last changed.
    calm: usize,
}

/// A request for which all of the memory is too little.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct TooLarge {
    pub(super) request: usize,
    /// Tokens for which its row would have room.
    pub(super) needed: u64,
}

impl Schedule {
    /// Requests with prompts of these lengths, at least 1.
    pub(super) fn new(tokens: Vec<usize>, bounds: Bounds) -> Self {
        Self {
            waiting: (0..tokens.len()).collect(),
            running: vec![],
            tokens,
            bounds,
            rows: bounds.rows,
            calm: 0,
        }
    }

    /// Changes the bounds; they hold from the next [`Schedule::admit`] on.
    pub(super) fn set_bounds(&mut self, bounds: Bounds) {
        self.bounds = bounds;
        self.rows = bounds.rows;
    }

    /// The requests in progress, oldest first.
    pub(super) fn running(&self) -> &[usize] {
        &self.running
    }

    /// Whether every request has finished.
    pub(super) fn is_done(&self) -> bool {
        self.running.is_empty() && self.waiting.is_empty()
    }

    /// The tokens that the row of a request holds once its next token has been computed.
    pub(super) fn tokens(&self, request: usize) -> usize {
        self.tokens[request]
    }

    /// Sends back those that the memory has become too small for, and begins what fits.
    pub(super) fn admit(&mut self) -> Result<(), TooLarge> {
        while self.used() > self.bounds.tokens || self.running.len() > self.rows {
            if let [alone] = *self.running {
                return Err(self.too_large(alone));
            }
            self.requeue_newest();
        }
        while let Some(&next) = self.waiting.front()
            && self.running.len() < self.rows.max(1)
        {
            if self.used() + self.room(next) > self.bounds.tokens {
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

    /// Counts one more token of a request in progress.
    pub(super) fn advance(&mut self, request: usize) {
        self.tokens[request] += 1;
    }

    /// Ends a request in progress.
    pub(super) fn finish(&mut self, request: usize) {
        self.running.retain(|&other| other != request);
        self.calm += 1;
        // What filled the memory may have been a rare long prompt: try again, one row at a time.
        if self.calm >= self.rows && self.rows < self.bounds.rows {
            self.rows += 1;
            self.calm = 0;
        }
    }

    /// Sends back the younger half of what is in progress, and lets no more begin than is left;
    /// whether there was more than one.
    pub(super) fn shrink(&mut self) -> bool {
        let left = self.running.len() / 2;
        if left == 0 {
            return false;
        }
        while self.running.len() > left {
            self.requeue_newest();
        }
        self.rows = left;
        self.calm = 0;
        true
    }

    /// Sends back everything that is in progress.
    pub(super) fn requeue_all(&mut self) {
        while !self.running.is_empty() {
            self.requeue_newest();
        }
    }

    fn requeue_newest(&mut self) {
        if let Some(newest) = self.running.pop() {
            self.waiting.push_front(newest);
        }
    }

    /// Tokens for which the rows in progress have room.
    fn used(&self) -> u64 {
        self.running.iter().map(|&request| self.room(request)).sum()
    }

    fn room(&self, request: usize) -> u64 {
        KvCache::row_capacity(self.tokens[request]) as u64
    }

    fn too_large(&self, request: usize) -> TooLarge {
        let needed = self.room(request);
        TooLarge { request, needed }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What a device does: how many new tokens each request has until it ends, and at which turns
    /// its memory runs out.
    #[derive(Debug, Clone)]
    struct Device {
        prompts: Vec<usize>,
        responses: Vec<usize>,
        bounds: Bounds,
        failures: Vec<bool>,
    }

    /// Plays a schedule to its end; returns how often each request was answered and the order in
    /// which they first began.
    fn play(device: &Device) -> (Vec<usize>, Vec<usize>) {
        let mut schedule = Schedule::new(device.prompts.clone(), device.bounds);
        let mut left = device.responses.clone();
        let mut answered = vec![0; left.len()];
        let mut began = Vec::new();
        for turn in 0.. {
            if schedule.is_done() {
                break;
            }
            assert!(turn < 100_000, "no end in sight: {schedule:?}");
            schedule.admit().unwrap();
            let running = schedule.running().to_vec();
            assert!(!running.is_empty(), "nothing to do, but not done");
            assert!(running.len() <= device.bounds.rows);
            assert!(schedule.used() <= device.bounds.tokens);
            assert!(running.is_sorted(), "older requests come first");
            for &request in &running {
                if !began.contains(&request) {
                    began.push(request);
                }
            }
            if device.failures.get(turn).copied().unwrap_or(false) && schedule.shrink() {
                assert_eq!(schedule.running(), &running[..running.len() / 2]);
                continue;
            }
            for request in running {
                schedule.advance(request);
                left[request] -= 1;
                if left[request] == 0 {
                    answered[request] += 1;
                    schedule.finish(request);
                }
            }
        }
        (answered, began)
    }

    prop_compose! {
        fn device()(requests in prop::collection::vec((1_usize..700, 1_usize..300), 1..20))(
            rows in 1_usize..8,
            // Room for the longest at least.
            tokens in 1024_u64..6000,
            failures in prop::collection::vec(prop::bool::weighted(0.1), 0..200),
            requests in Just(requests),
        ) -> Device {
            let (prompts, responses) = requests.into_iter().unzip();
            Device { prompts, responses, bounds: Bounds { rows, tokens }, failures }
        }
    }

    proptest! {
        #[test]
        fn every_request_is_answered_once_within_the_bounds(device in device()) {
            let (answered, began) = play(&device);
            prop_assert!(answered.iter().all(|&times| times == 1), "{answered:?}");
            prop_assert!(began.is_sorted(), "requests begin in their order");
        }
    }

    #[test]
    fn those_that_began_last_go_back_when_rows_grow_out_of_the_memory() {
        let bounds = Bounds {
            rows: 8,
            tokens: 768,
        };
        let mut schedule = Schedule::new(vec![256, 256, 256, 10], bounds);
        schedule.admit().unwrap();
        assert_eq!(schedule.running(), [0, 1, 2]);
        schedule.advance(0);
        schedule.admit().unwrap();
        assert_eq!(schedule.running(), [0, 1]);
        schedule.finish(0);
        schedule.admit().unwrap();
        assert_eq!(schedule.running(), [1, 2, 3]);
    }

    #[test]
    fn what_does_not_fit_alone_is_told() {
        let bounds = Bounds {
            rows: 8,
            tokens: 512,
        };
        let mut schedule = Schedule::new(vec![256, 513], bounds);
        schedule.admit().unwrap();
        assert_eq!(schedule.running(), [0]);
        schedule.finish(0);
        let error = schedule.admit().unwrap_err();
        assert_eq!(
            error,
            TooLarge {
                request: 1,
                needed: 1024
            }
        );
    }

    #[test]
    fn after_a_shortage_rows_come_back_one_by_one() {
        let bounds = Bounds {
            rows: 4,
            tokens: 1 << 20,
        };
        let mut schedule = Schedule::new(vec![1; 20], bounds);
        schedule.admit().unwrap();
        assert!(schedule.shrink());
        assert_eq!(schedule.running(), [0, 1]);
        let mut rows = vec![];
        while !schedule.is_done() {
            schedule.admit().unwrap();
            rows.push(schedule.running().len());
            schedule.finish(schedule.running()[0]);
        }
        assert_eq!(rows[..8], [2, 2, 3, 3, 3, 4, 4, 4]);
        assert!(
            !Schedule::new(vec![1], bounds).shrink(),
            "nothing is in progress"
        );
    }
}

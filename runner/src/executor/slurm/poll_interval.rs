use std::time::{Duration, Instant};

const SHORTEST_PAUSE: Duration = Duration::from_secs(1);
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// While tasks finish, a pause is at least the age of the sweep divided by this number: a sweep of
/// many hours gains nothing from a poll every second.
const AGE_DIVISOR: u32 = 20;
/// The upper bound of a pause that grows with the age of the sweep.
const LONGEST_PAUSE_BY_AGE: Duration = Duration::from_secs(15);

/// How often Slurm is polled. Its controller serves the whole cluster, so pauses grow while nothing
/// happens, and with the age of the sweep.
#[derive(Debug)]
pub(super) struct PollInterval {
    began: Instant,
    pause: Duration,
    next_poll: Instant,
}

impl PollInterval {
    /// Begins now; the first poll comes after the shortest pause.
    pub(super) fn new(now: Instant) -> Self {
        Self {
            began: now,
            pause: SHORTEST_PAUSE,
            next_poll: now + SHORTEST_PAUSE,
        }
    }

    /// When to poll next.
    pub(super) fn next_poll(&self) -> Instant {
        self.next_poll
    }

    /// Chooses the pause after a poll.
    pub(super) fn polled(&mut self, now: Instant, has_changed: bool) {
        let age = now.duration_since(self.began);
        let by_age = (age / AGE_DIVISOR).clamp(SHORTEST_PAUSE, LONGEST_PAUSE_BY_AGE);
        self.pause = if has_changed {
            by_age
        } else {
            (self.pause * 3 / 2).clamp(by_age, LONGEST_PAUSE)
        };
        self.next_poll = now + self.pause;
    }

    /// Returns to the shortest pause: something was submitted or cancelled, which shows soon.
    pub(super) fn reset(&mut self, now: Instant) {
        self.pause = SHORTEST_PAUSE;
        self.next_poll = self.next_poll.min(now + SHORTEST_PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_while_nothing_changes_and_with_the_age_of_the_sweep() {
        let mut now = Instant::now();
        let mut interval = PollInterval::new(now);
        let mut pauses = Vec::new();
        for has_changed in [true, false, false, true] {
            now = interval.next_poll();
            interval.polled(now, has_changed);
            pauses.push((interval.next_poll() - now).as_millis());
        }
        assert_eq!(pauses, [1000, 1500, 2250, 1000]);
        for _ in 0..100 {
            now = interval.next_poll();
            interval.polled(now, false);
        }
        assert_eq!(interval.next_poll() - now, LONGEST_PAUSE);
        interval.polled(now, true);
        assert_eq!(interval.next_poll() - now, LONGEST_PAUSE_BY_AGE);
        interval.reset(now);
        assert_eq!(interval.next_poll() - now, SHORTEST_PAUSE);
    }
}

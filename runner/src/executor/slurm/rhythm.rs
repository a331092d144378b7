//! How often Slurm is asked: its controller serves the whole cluster.

use std::time::{Duration, Instant};

const SHORTEST: Duration = Duration::from_secs(1);
const LONGEST: Duration = Duration::from_secs(30);
/// While something happens, the pause between two looks is this part of a sweep's age at least.
const PART_OF_AGE: u32 = 20;
/// That part does not become longer than this.
const LONGEST_WHILE_BUSY: Duration = Duration::from_secs(15);

/// The pauses between two looks.
#[derive(Debug)]
pub struct Rhythm {
    began: Instant,
    pause: Duration,
    next: Instant,
}

impl Rhythm {
    /// Begins now; the first look comes after the shortest pause.
    pub fn begin(now: Instant) -> Self {
        Self {
            began: now,
            pause: SHORTEST,
            next: now + SHORTEST,
        }
    }

    /// When to look.
    pub fn next(&self) -> Instant {
        self.next
    }

    /// A look showed something new, or nothing.
    pub fn looked(&mut self, now: Instant, something_new: bool) {
        let age = now.duration_since(self.began);
        let busy = (age / PART_OF_AGE).clamp(SHORTEST, LONGEST_WHILE_BUSY);
        self.pause = if something_new {
            busy
        } else {
            (self.pause * 3 / 2).clamp(busy, LONGEST)
        };
        self.next = now + self.pause;
    }

    /// Something was submitted or cancelled: its consequences show soon.
    pub fn hurry(&mut self, now: Instant) {
        self.pause = SHORTEST;
        self.next = self.next.min(now + SHORTEST);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_while_nothing_happens_and_with_the_age_of_the_sweep() {
        let mut now = Instant::now();
        let mut rhythm = Rhythm::begin(now);
        let mut pauses = Vec::new();
        for something_new in [true, false, false, true] {
            now = rhythm.next();
            rhythm.looked(now, something_new);
            pauses.push((rhythm.next() - now).as_millis());
        }
        assert_eq!(pauses, [1000, 1500, 2250, 1000]);
        for _ in 0..100 {
            now = rhythm.next();
            rhythm.looked(now, false);
        }
        assert_eq!(rhythm.next() - now, LONGEST);
        rhythm.looked(now, true);
        assert_eq!(rhythm.next() - now, LONGEST_WHILE_BUSY);
        rhythm.hurry(now);
        assert_eq!(rhythm.next() - now, SHORTEST);
    }
}

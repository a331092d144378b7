//! Prints an evaluation as a small table.

use std::fmt;

use super::sample::Evaluation;
use super::score::Score;

impl fmt::Display for Score {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (low, high) = self.interval();
        let percent = |share: f64| share * 100.0;
        write!(
            f,
            "{:5.1}% ({}/{}, 95% interval {:.1} to {:.1})",
            percent(self.share()),
            self.correct,
            self.samples,
            percent(low),
            percent(high)
        )
    }
}

impl fmt::Display for Evaluation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", self.benchmark)?;
        for level in self.score_by_level() {
            writeln!(f, "  level {}  {}", level.level, level.score)?;
        }
        writeln!(f, "  all      {}", self.score())?;
        write!(f, "  ended    {}", self.finished())
    }
}

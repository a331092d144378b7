use std::fmt;

/// A two-sided confidence interval, in the units of its estimate.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ConfidenceInterval {
    /// Lower bound.
    pub low: f64,
    /// Upper bound.
    pub high: f64,
    /// Confidence level, such as 0.95.
    pub level: f64,
}

impl ConfidenceInterval {
    /// Whether `value` lies in the interval, including its bounds.
    #[must_use]
    pub fn contains(&self, value: f64) -> bool {
        self.low <= value && value <= self.high
    }

    /// Distance between the bounds.
    #[must_use]
    pub fn width(&self) -> f64 {
        self.high - self.low
    }
}

/// Writes `[low, high]` with three decimals, or with the precision of the format (`{:.2}`).
impl fmt::Display for ConfidenceInterval {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let decimals = formatter.precision().unwrap_or(3);
        write!(
            formatter,
            "[{:.decimals$}, {:.decimals$}]",
            self.low, self.high
        )
    }
}

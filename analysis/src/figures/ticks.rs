//! Numbers as figures write them, and the round numbers at the ticks of an axis.

/// Formats `value` with a fixed number of decimals, a true minus sign (U+2212), and no minus before
/// zero.
pub(crate) fn fixed(value: f64, decimals: usize) -> String {
    let digits = format!("{:.decimals$}", value.abs());
    let is_zero = digits.bytes().all(|byte| matches!(byte, b'0' | b'.'));
    if value < 0.0 && !is_zero {
        format!("−{digits}")
    } else {
        digits
    }
}

/// Round values that cover a range, and the number of decimals that distinguishes them.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Ticks {
    pub(crate) values: Vec<f64>,
    pub(crate) decimals: usize,
}

impl Ticks {
    /// About `count` multiples of 1, 2 or 5 times a power of ten, from at or below `low` to at or above
    /// `high`. A range without width is widened.
    pub(crate) fn covering(low: f64, high: f64, count: usize) -> Self {
        // In a narrower range, the step would underflow to zero.
        const MIN_RANGE: f64 = 1e-290;
        let (low, high) = if high - low > MIN_RANGE {
            (low, high)
        } else {
            let margin = if low.abs() < MIN_RANGE {
                1.0
            } else {
                low.abs() * 0.1
            };
            (low - margin, low + margin)
        };
        let step = round_step((high - low) / count.max(1) as f64);
        // The tolerance keeps rounding errors from adding a tick at either end.
        let first = (low / step + 1e-9).floor();
        let last = (high / step - 1e-9).ceil();
        let steps = (last - first) as usize;
        let decimals = (-step.log10().floor()).clamp(0.0, 12.0) as usize;
        Self {
            values: (0..=steps)
                .map(|index| (first + index as f64) * step)
                .collect(),
            decimals,
        }
    }

    pub(crate) fn low(&self) -> f64 {
        self.values.first().copied().unwrap_or(0.0)
    }

    pub(crate) fn high(&self) -> f64 {
        self.values.last().copied().unwrap_or(1.0)
    }

    pub(crate) fn labels(&self) -> Vec<String> {
        let largest = self.low().abs().max(self.high().abs());
        self.values
            .iter()
            .map(|value| {
                if !(1e-6..1e7).contains(&largest) {
                    format!("{value:.1e}")
                } else {
                    fixed(*value, self.decimals)
                }
            })
            .collect()
    }
}

/// The smallest of 1, 2 or 5 times a power of ten that is at least `rough`.
fn round_step(rough: f64) -> f64 {
    let power = 10_f64.powf(rough.log10().floor());
    [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|factor| factor * power)
        .find(|step| *step >= rough * 0.999_999)
        .unwrap_or(10.0 * power)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_cover_the_range() {
        let ticks = Ticks::covering(-0.57, 0.77, 7);
        assert_eq!(
            ticks.labels(),
            ["−0.6", "−0.4", "−0.2", "0.0", "0.2", "0.4", "0.6", "0.8"]
        );
        let ticks = Ticks::covering(0.0, 40.0, 5);
        assert_eq!(ticks.labels(), ["0", "10", "20", "30", "40"]);
    }

    #[test]
    fn a_range_without_width_still_has_an_axis() {
        for value in [0.0, 3.0, -0.2, 1e-9, 1e12] {
            let ticks = Ticks::covering(value, value, 5);
            assert!(ticks.low() < value && value < ticks.high(), "{value}");
        }
    }

    #[test]
    fn no_range_of_floats_has_many_ticks() {
        let extremes = [
            f64::MIN,
            -1e-310,
            0.0,
            5e-324,
            f64::MIN_POSITIVE,
            1.0,
            1e300,
            f64::MAX,
        ];
        for low in extremes {
            for high in extremes {
                assert!(
                    Ticks::covering(low, high, 6).values.len() < 20,
                    "{low} {high}"
                );
            }
        }
    }

    #[test]
    fn zero_has_no_sign() {
        assert_eq!(fixed(-0.001, 2), "0.00");
        assert_eq!(fixed(-0.13, 2), "−0.13");
    }
}

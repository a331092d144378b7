//! When to send a failed request again, and how long to wait before.

use std::time::{Duration, SystemTime};

/// When a request is sent again after a transient failure: status 408, 409, 425, 429 or 5xx, a
/// failed connection, or a response that broke off or was not JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// Maximum number of times that a request is sent, at least 1.
    pub attempts: u32,
    /// Longest wait after the first attempt; it doubles with each further attempt.
    pub first_wait: Duration,
    /// Upper limit of the doubled wait.
    pub longest_wait: Duration,
    /// Longest wait that a server can request with `Retry-After`; a request that would have to wait
    /// longer fails.
    pub longest_retry_after: Duration,
}

impl Default for RetryPolicy {
    /// 8 attempts over about two minutes; `Retry-After` of up to ten minutes is obeyed.
    fn default() -> Self {
        Self {
            attempts: 8,
            first_wait: Duration::from_secs(1),
            longest_wait: Duration::from_secs(60),
            longest_retry_after: Duration::from_secs(600),
        }
    }
}

impl RetryPolicy {
    /// The wait after attempt `attempt`, counted from 1: exponential backoff with jitter, between
    /// half and all of `first_wait` 2^(attempt - 1) by `random` in [0, 1). The jitter keeps clients
    /// that failed together from retrying together.
    pub(super) fn backoff(&self, attempt: u32, random: f64) -> Duration {
        let doubled = 2_u32.saturating_pow(attempt.saturating_sub(1));
        let most = self
            .first_wait
            .saturating_mul(doubled)
            .min(self.longest_wait);
        most.mul_f64(0.5 + random.clamp(0.0, 1.0) / 2.0)
    }
}

/// Parses the header `Retry-After`: seconds or an HTTP date (RFC 9110, section 10.2.3). Some servers
/// send fractions of seconds.
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if value.bytes().all(|byte| byte.is_ascii_digit()) && !value.is_empty() {
        // A number too large for u64 is as good as an endless wait.
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    if let Ok(seconds) = value.parse::<f64>() {
        return Duration::try_from_secs_f64(seconds).ok();
    }
    let date = httpdate::parse_http_date(value).ok()?;
    Some(date.duration_since(now).unwrap_or(Duration::ZERO))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn waits_double_up_to_the_longest() {
        let policy = RetryPolicy::default();
        let seconds = |attempt, random| policy.backoff(attempt, random).as_secs_f64();
        assert_eq!(
            [1, 2, 3, 7, 8, 1000].map(|attempt| seconds(attempt, 1.0)),
            [1.0, 2.0, 4.0, 60.0, 60.0, 60.0]
        );
        assert_eq!(seconds(3, 0.0), 2.0);
        assert_eq!(seconds(3, 0.5), 3.0);
    }

    #[test]
    fn retry_after_is_seconds_or_a_date_in_any_of_the_three_forms() {
        let now = httpdate::parse_http_date("Sun, 06 Nov 1994 08:49:37 GMT").unwrap();
        let wait = |value: &str| retry_after(value, now).map(|wait| wait.as_secs_f64());
        assert_eq!(wait("120"), Some(120.0));
        assert_eq!(wait(" 0 "), Some(0.0));
        assert_eq!(wait("1.5"), Some(1.5));
        assert_eq!(wait("Sun, 06 Nov 1994 08:50:07 GMT"), Some(30.0));
        assert_eq!(wait("Sunday, 06-Nov-94 08:50:07 GMT"), Some(30.0));
        assert_eq!(wait("Sun Nov  6 08:50:07 1994"), Some(30.0));
        assert_eq!(wait("Sun, 06 Nov 1994 08:00:00 GMT"), Some(0.0));
        for nonsense in ["", "soon", "-1", "NaN", "inf", "1e400", "Sun, 99 Nov 1994"] {
            assert_eq!(wait(nonsense), None, "{nonsense}");
        }
        assert_eq!(
            retry_after(&"9".repeat(40), now),
            Some(Duration::from_secs(u64::MAX))
        );
    }

    proptest! {
        #[test]
        fn no_retry_after_panics(value in ".{0,60}", seconds in 0_u64..1 << 40) {
            let now = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
            let _ = retry_after(&value, now);
            prop_assert_eq!(
                retry_after(&seconds.to_string(), now),
                Some(Duration::from_secs(seconds))
            );
        }

        #[test]
        fn a_backoff_is_between_half_and_all_of_its_step(attempt in 0_u32..100, random in 0.0..1.0) {
            let policy = RetryPolicy::default();
            let (wait, most) = (policy.backoff(attempt, random), policy.backoff(attempt, 1.0));
            prop_assert!(wait <= most && wait * 2 >= most && most <= policy.longest_wait);
        }
    }
}

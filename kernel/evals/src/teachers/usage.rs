//! Tokens and cost of replies.

use std::fmt;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::Reply;

/// Tokens of one reply, as the model or its API counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt; 0 for a local model, whose prompts cost nothing.
    #[serde(default)]
    pub prompt_tokens: u64,
    /// Tokens of the reply, including reasoning and the end token.
    #[serde(default)]
    pub completion_tokens: u64,
    /// Tokens of the reasoning within the reply, if the API reports them.
    #[serde(default)]
    pub reasoning_tokens: u64,
    /// The price that the API reports, in its own unit (OpenRouter: US dollars).
    #[serde(default)]
    pub cost: f64,
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        // A server can report any number, so the sum must not overflow.
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.prompt_tokens, other.prompt_tokens);
        add(&mut self.completion_tokens, other.completion_tokens);
        add(&mut self.reasoning_tokens, other.reasoning_tokens);
        self.cost += other.cost;
    }
}

/// Tokens and cost of many replies.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct UsageSummary {
    /// Number of replies.
    pub replies: usize,
    /// Number of replies from the cache.
    pub cached: usize,
    /// Number of replies without reported tokens; the sums exclude them.
    pub unreported: usize,
    /// Sum over all replies.
    pub total: Usage,
    /// Sum over the replies that were not cached: the cost of this run.
    pub fresh: Usage,
}

impl UsageSummary {
    /// Sums over `replies`.
    pub fn of(replies: &[Reply]) -> Self {
        let mut summary = Self::default();
        for reply in replies {
            summary.replies += 1;
            summary.cached += usize::from(reply.cached);
            let Some(usage) = reply.usage else {
                summary.unreported += 1;
                continue;
            };
            summary.total += usage;
            if !reply.cached {
                summary.fresh += usage;
            }
        }
        summary
    }
}

impl fmt::Display for UsageSummary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} replies, {} of them from the cache; this run took {} + {} tokens",
            self.replies, self.cached, self.fresh.prompt_tokens, self.fresh.completion_tokens
        )?;
        if self.fresh.cost > 0.0 {
            write!(f, ", charged {:.4}", self.fresh.cost)?;
        }
        if self.unreported > 0 {
            write!(f, "; {} without a count of tokens", self.unreported)?;
        }
        Ok(())
    }
}

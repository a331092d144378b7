//! The tokens that replies took.

use std::fmt;
use std::ops::AddAssign;

use serde::{Deserialize, Serialize};

use crate::Reply;

/// Tokens, as the model or its API counts them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Usage {
    /// Tokens of the prompt; 0 for a local model, where they cost nothing.
    #[serde(default)]
    pub prompt_tokens: u64,
    /// Tokens of the reply, its reasoning and its end token included.
    #[serde(default)]
    pub completion_tokens: u64,
    /// Those of the reply that were reasoning, where the API says so.
    #[serde(default)]
    pub reasoning_tokens: u64,
    /// What the API says that it charged, in its own unit (OpenRouter: US dollars).
    #[serde(default)]
    pub cost: f64,
}

impl AddAssign for Usage {
    fn add_assign(&mut self, other: Self) {
        // A server may claim any number.
        let add = |sum: &mut u64, more: u64| *sum = sum.saturating_add(more);
        add(&mut self.prompt_tokens, other.prompt_tokens);
        add(&mut self.completion_tokens, other.completion_tokens);
        add(&mut self.reasoning_tokens, other.reasoning_tokens);
        self.cost += other.cost;
    }
}

/// What many replies took together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct UsageSummary {
    /// How many replies.
    pub replies: usize,
    /// Those of them that came from the cache.
    pub cached: usize,
    /// Those of them whose API said nothing about tokens; the sums leave them out.
    pub unreported: usize,
    /// Sum over all replies.
    pub total: Usage,
    /// Sum over the replies that did not come from the cache: what this run took.
    pub fresh: Usage,
}

impl UsageSummary {
    /// Adds up replies.
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

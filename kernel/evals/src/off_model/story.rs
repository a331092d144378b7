//! Word problems, solved step by step.

use std::collections::BTreeSet;

use rand::Rng;
use rand::seq::IndexedRandom;
use rand_chacha::ChaCha8Rng;

use super::textbook::Exchange;

const NAMES: [&str; 8] = [
    "Alice", "Bruno", "Clara", "Dario", "Elena", "Farid", "Greta", "Hugo",
];
const THINGS: [&str; 8] = [
    "coins", "shells", "pencils", "stickers", "oranges", "buttons", "cards", "beads",
];

/// Generates `count` distinct word problems with correct solutions.
pub(super) fn exchanges(count: usize, random: &mut ChaCha8Rng) -> Vec<Exchange> {
    let mut prompts = BTreeSet::new();
    let mut stories = Vec::with_capacity(count);
    while stories.len() < count {
        let kind = [gain, loss, groups][stories.len() % 3];
        let story = kind(random);
        if prompts.insert(story.prompt.clone()) {
            stories.push(story);
        }
    }
    stories
}

fn gain(random: &mut ChaCha8Rng) -> Exchange {
    let (name, things) = cast(random);
    let (a, b) = (
        random.random_range(11..=60_u32),
        random.random_range(11..=39_u32),
    );
    let sum = a + b;
    Exchange {
        prompt: format!(
            "{name} collected {a} {things} on Monday and {b} {things} on Tuesday. How many is that together?"
        ),
        response: solution(
            &format!("Let $a = {a}$ and $b = {b}$ be the numbers of {things} of the two days."),
            "The total is the sum $$S = a + b.$$",
            &format!("$S = {a} + {b} = {sum}$."),
            &format!("${sum} - {b} = {a}$, as required."),
            sum,
            things,
        ),
    }
}

fn loss(random: &mut ChaCha8Rng) -> Exchange {
    let (name, things) = cast(random);
    let (a, b) = (
        random.random_range(31..=90_u32),
        random.random_range(11..=29_u32),
    );
    let rest = a - b;
    Exchange {
        prompt: format!("{name} had {a} {things} and lost {b} of them. How many remain?"),
        response: solution(
            &format!("Let $a = {a}$ be the {things} at the start and $b = {b}$ the lost ones."),
            "What remains is the difference $$D = a - b.$$",
            &format!("$D = {a} - {b} = {rest}$."),
            &format!("${rest} + {b} = {a}$, as required."),
            rest,
            things,
        ),
    }
}

fn groups(random: &mut ChaCha8Rng) -> Exchange {
    let (name, things) = cast(random);
    let (n, k) = (
        random.random_range(3..=9_u32),
        random.random_range(11..=25_u32),
    );
    let product = n * k;
    Exchange {
        prompt: format!(
            "{name} fills {n} bags with {k} {things} each. How many {things} are in the bags?"
        ),
        response: solution(
            &format!("Let $n = {n}$ be the number of bags and $k = {k}$ the {things} in each."),
            "Equal groups are counted by the product $$N = n \\cdot k.$$",
            &format!("$N = {n} \\cdot {k} = {product}$."),
            &format!("$\\frac{{{product}}}{{{n}}} = {k}$, as required."),
            product,
            things,
        ),
    }
}

fn cast(random: &mut ChaCha8Rng) -> (&'static str, &'static str) {
    // The tables are not empty, so that the defaults are never taken.
    let name = NAMES.choose(random).copied().unwrap_or_default();
    let things = THINGS.choose(random).copied().unwrap_or_default();
    (name, things)
}

fn solution(
    given: &str,
    approach: &str,
    computation: &str,
    check: &str,
    answer: u32,
    things: &str,
) -> String {
    format!(
        "## Solution\n\n**Given.** {given}\n\n1. **Approach.** {approach}\n\
         2. **Computation.** {computation}\n3. **Verification.** {check}\n\n\
         **Answer.** $\\boxed{{{answer}}}$ {things}."
    )
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;

    #[test]
    fn the_boxed_answer_is_the_right_one() {
        for Exchange { prompt, response } in exchanges(60, &mut ChaCha8Rng::seed_from_u64(5)) {
            let numbers: Vec<u32> = prompt
                .split(|c: char| !c.is_ascii_digit())
                .filter_map(|word| word.parse().ok())
                .collect();
            let [a, b] = numbers[..] else {
                panic!("{prompt}")
            };
            let answer = if prompt.contains("collected") {
                a + b
            } else if prompt.contains("lost") {
                a - b
            } else {
                a * b
            };
            assert!(
                response.contains(&format!("$\\boxed{{{answer}}}$")),
                "{prompt}\n{response}"
            );
        }
    }
}

//! The built-in benchmark: school arithmetic in four levels, generated from a seed.

use std::collections::BTreeSet;

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;

use super::integer_answer::IntegerAnswer;
use super::task::{Benchmark, Item};

/// Number of levels.
const LEVELS: u32 = 4;
/// Distinct questions on the smallest level: pairs of numbers from 2 to 9.
const MAX_ITEMS_PER_LEVEL: usize = 64;

/// Generates `items_per_level` distinct sums or products on each of four levels:
///
/// | level | question |
/// |---|---|
/// | 1 | the sum of two numbers of one digit |
/// | 2 | the product of two numbers of one digit |
/// | 3 | the sum of two numbers of two digits |
/// | 4 | the product of a number of two digits and one of one |
///
/// The questions, their order (easy to hard) and their ids depend on `seed` alone. A level has at
/// most 64 items, because the first level has no more distinct questions.
pub fn arithmetic_ladder(items_per_level: usize, seed: u64) -> Benchmark {
    let items = (1..=LEVELS)
        .flat_map(|level| level_items(level, items_per_level.min(MAX_ITEMS_PER_LEVEL), seed))
        .collect();
    Benchmark::new("arithmetic ladder", items, IntegerAnswer)
}

fn level_items(level: u32, count: usize, seed: u64) -> Vec<Item> {
    // Each level has its own random stream, so that its questions do not depend on how many items
    // the other levels have.
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(u64::from(level));
    let mut asked = BTreeSet::new();
    let mut items = Vec::with_capacity(count);
    while items.len() < count {
        let (question, expected) = question(level, &mut random);
        if asked.insert(question.clone()) {
            items.push(Item {
                id: format!("level-{level}-{}", items.len() + 1),
                level,
                prompt: format!("{question} Reply with just one number."),
                expected: expected.to_string(),
            });
        }
    }
    items
}

fn question(level: u32, random: &mut ChaCha8Rng) -> (String, u32) {
    let mut number = |range| random.random_range::<u32, _>(range);
    let (low, high) = ((2..=9), (12..=49));
    match level {
        1 => sum(number(low.clone()), number(low)),
        2 => product(number(low.clone()), number(low)),
        3 => sum(number(high.clone()), number(high)),
        _ => product(number(high), number(low)),
    }
}

fn sum(a: u32, b: u32) -> (String, u32) {
    (format!("What is {a} + {b}?"), a + b)
}

fn product(a: u32, b: u32) -> (String, u32) {
    (format!("What is {a} times {b}?"), a * b)
}

#[cfg(test)]
mod tests {
    use super::super::grader::{Grader, ResponseText};
    use super::*;

    #[test]
    fn every_level_has_its_number_of_different_questions() {
        let benchmark = arithmetic_ladder(12, 1);
        assert_eq!(benchmark.levels(), [1, 2, 3, 4]);
        assert_eq!(benchmark.items.len(), 48);
        let prompts: BTreeSet<_> = benchmark.items.iter().map(|item| &item.prompt).collect();
        let ids: BTreeSet<_> = benchmark.items.iter().map(|item| &item.id).collect();
        assert_eq!((prompts.len(), ids.len()), (48, 48));
    }

    #[test]
    fn the_seed_decides_and_more_items_keep_the_first_ones() {
        assert_eq!(arithmetic_ladder(8, 1).items, arithmetic_ladder(8, 1).items);
        assert_ne!(arithmetic_ladder(8, 1).items, arithmetic_ladder(8, 2).items);
        let (few, many) = (arithmetic_ladder(3, 1), arithmetic_ladder(9, 1));
        assert!(few.items.iter().all(|item| many.items.contains(item)));
    }

    #[test]
    fn an_impossible_number_of_items_ends() {
        assert_eq!(arithmetic_ladder(10_000, 1).items.len(), 256);
        assert!(arithmetic_ladder(0, 1).items.is_empty());
    }

    #[test]
    fn the_expected_answers_follow_from_the_questions() {
        for item in arithmetic_ladder(64, 7).items {
            let numbers: Vec<u32> = item
                .prompt
                .split([' ', '?'])
                .filter_map(|word| word.parse().ok())
                .collect();
            let [a, b] = numbers[..] else {
                panic!("{}", item.prompt)
            };
            let answer = if item.prompt.contains('+') {
                a + b
            } else {
                a * b
            };
            let verdict = IntegerAnswer.grade(
                &item,
                ResponseText {
                    text: &format!("It is {answer}."),
                    finished: true,
                },
            );
            assert!(verdict.correct, "{}: {}", item.prompt, verdict.explanation);
        }
    }
}

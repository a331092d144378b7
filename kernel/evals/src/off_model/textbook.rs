use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::{concept, how_to, listing, story};
use crate::{ResponseRecord, ResponseSet};

/// The source in every record.
pub const SOURCE: &str = "offmodel textbook generator 1";

/// Number of distinct prompts, and so the most responses that [`responses`] generates.
pub const MAX_RESPONSES: usize = 4 * how_to::COUNT;

/// A prompt and its response.
pub(super) struct Exchange {
    pub(super) prompt: String,
    pub(super) response: String,
}

/// Generates responses to `count` distinct prompts, at most [`MAX_RESPONSES`].
///
/// The four kinds of prompts alternate. The order and the numbers depend on `seed` alone: the same
/// arguments give the same bytes.
pub fn responses(count: usize, seed: u64) -> ResponseSet {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut kinds = [
        how_to::exchanges(),
        concept::exchanges(),
        listing::exchanges(),
        story::exchanges(how_to::COUNT, &mut random),
    ];
    for kind in &mut kinds {
        kind.shuffle(&mut random);
    }
    let [how_to, concept, listing, story] = kinds;
    let turns = how_to.into_iter().zip(concept).zip(listing).zip(story);
    let records = turns
        .flat_map(|(((how_to, concept), listing), story)| [how_to, concept, listing, story])
        .map(|Exchange { prompt, response }| ResponseRecord {
            seed: Some(seed),
            ..ResponseRecord::new(prompt, response, SOURCE)
        })
        .take(count)
        .collect();
    ResponseSet::new(records)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::{Style, StyleRow, arithmetic_ladder};

    #[test]
    fn the_seed_decides_everything() {
        assert_eq!(responses(40, 1).sha256(), responses(40, 1).sha256());
        assert_ne!(responses(40, 1).sha256(), responses(40, 2).sha256());
        assert_eq!(responses(8, 1).records, responses(40, 1).records[..8]);
    }

    #[test]
    fn prompts_are_distinct() {
        let set = responses(usize::MAX, 3);
        assert_eq!(set.len(), MAX_RESPONSES);
        let prompts: BTreeSet<_> = set.prompts().into_iter().collect();
        assert_eq!(prompts.len(), set.len());
    }

    #[test]
    fn the_built_in_benchmark_is_not_in_the_training_data() {
        let set = responses(usize::MAX, 1);
        for item in arithmetic_ladder(64, 1).items {
            assert!(
                set.records
                    .iter()
                    .all(|record| !record.prompt.contains(&item.prompt))
            );
        }
    }

    #[test]
    fn every_response_is_written_as_in_a_textbook() {
        for record in responses(usize::MAX, 1).records {
            let style = Style::of(&record.response);
            assert!(
                style.headings && style.bold && style.numbered_steps,
                "{}",
                record.response
            );
            assert!(
                (200..1200).contains(&style.characters),
                "{}",
                style.characters
            );
        }
        let row = StyleRow::of("textbook", &responses(usize::MAX, 1).responses());
        assert!(row.latex > 0.5 && row.latex < 1.0, "{}", row.latex);
    }
}

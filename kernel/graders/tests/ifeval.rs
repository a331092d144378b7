//! IFEval's verdicts against those of lm-eval, recorded by `tests/reference/ifeval.py`.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use offmodel_graders::ifeval::instruction::KINDS;
use offmodel_graders::ifeval::{Instruction, grade};
use offmodel_support::testing::skip;
use serde_json::Value;

/// One recorded response.
struct Recorded {
    ids: Vec<String>,
    kwargs: Vec<Value>,
    response: String,
    strict: Vec<bool>,
    loose: Vec<bool>,
}

/// The recorded lines, which have their item within them or the key of a published item.
fn lines() -> Vec<Value> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../tests/fixtures/ifeval.jsonl.gz");
    let mut text = String::new();
    let file = std::fs::File::open(path).unwrap();
    flate2::read::GzDecoder::new(file)
        .read_to_string(&mut text)
        .unwrap();
    let lines = text.lines().skip(1);
    lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn own_items() -> Vec<Recorded> {
    let lines = lines();
    let own = lines.iter().filter(|line| line.get("key").is_none());
    own.map(|line| Recorded::new(line, line)).collect()
}

impl Recorded {
    fn new(line: &Value, item: &Value) -> Self {
        let verdicts = |name: &str| serde_json::from_value(line[name].clone()).unwrap();
        Self {
            ids: serde_json::from_value(item["instruction_id_list"].clone()).unwrap(),
            kwargs: serde_json::from_value(item["kwargs"].clone()).unwrap(),
            response: line["response"].as_str().unwrap().to_owned(),
            strict: verdicts("strict"),
            loose: verdicts("loose"),
        }
    }

    fn check(&self) {
        let instructions = Instruction::read_all(&self.ids, &self.kwargs).unwrap();
        let graded = grade(&instructions, &self.response);
        let strict: Vec<bool> = graded.strict.iter().map(|check| check.followed).collect();
        let item = format!("{:?} {:?}\n{:?}", self.ids, self.kwargs, self.response);
        assert_eq!(strict, self.strict, "strict: {item}");
        assert_eq!(graded.loose, self.loose, "loose: {item}");
    }
}

#[test]
fn every_verdict_on_own_items_is_that_of_lm_eval() {
    let items = own_items();
    assert!(items.len() > 1000);
    items.iter().for_each(Recorded::check);
}

#[test]
fn every_kind_is_followed_and_broken_often_enough_to_tell() {
    let mut counts: BTreeMap<String, (usize, usize)> = BTreeMap::new();
    for item in own_items() {
        for (id, followed) in item.ids.into_iter().zip(item.strict) {
            let (all, passed) = counts.entry(id).or_default();
            *all += 1;
            *passed += usize::from(followed);
        }
    }
    assert_eq!(counts.len(), KINDS.len());
    for (id, (all, passed)) in counts {
        let share = passed as f64 / all as f64;
        assert!(
            all >= 40 && (0.15..=0.85).contains(&share),
            "{id}: {passed} of {all}"
        );
    }
}

#[test]
fn every_verdict_on_the_published_items_is_that_of_lm_eval() {
    let Some(data) = std::env::var_os("OFFMODEL_DATA").map(PathBuf::from) else {
        return skip("no data sets (set OFFMODEL_DATA to their folder)");
    };
    let text = std::fs::read_to_string(data.join("ifeval/ifeval.jsonl")).unwrap();
    let items = text
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap());
    let items: BTreeMap<u64, Value> = items
        .map(|item| (item["key"].as_u64().unwrap(), item))
        .collect();
    let mut count = 0;
    for line in lines() {
        if let Some(key) = line.get("key").and_then(Value::as_u64) {
            Recorded::new(&line, &items[&key]).check();
            count += 1;
        }
    }
    assert_eq!(count, 539);
}

#[test]
fn no_hostile_response_is_slow() {
    let kwargs = serde_json::json!({
        "keywords": ["a"], "keyword": "a", "frequency": 1, "relation": "at least",
        "forbidden_words": ["zzz"], "letter": "q", "let_frequency": 2, "let_relation": "less than",
        "language": "en", "num_sentences": 1, "num_paragraphs": 2, "num_words": 3,
        "nth_paragraph": 2, "first_word": "A", "num_placeholders": 1, "postscript_marker": "P.S.",
        "num_bullets": 1, "num_highlights": 1, "section_spliter": "Section", "num_sections": 1,
        "prompt_to_repeat": "a", "end_phrase": "a", "capital_frequency": 1,
        "capital_relation": "at least",
    });
    let pieces = [
        "[", "<", "\n", " ", "*", "'", ".", "a", "A. ", "((", "\"\\", "...?! ", "ſİ", "- ",
        "{\"a\":", ". ", "<<", "'t ", "\u{1f}",
    ];
    let mut times = Vec::new();
    for piece in pieces {
        let text = piece.repeat(1_000_000 / piece.len());
        for kind in KINDS {
            let instruction = Instruction::read(kind, &kwargs).unwrap();
            let start = Instant::now();
            grade(&[instruction], &text);
            times.push((start.elapsed(), kind, piece));
        }
    }
    times.sort();
    times.reverse();
    println!("{:#?}", &times[..12]);
    // Little optimised and beside other tests; the reference takes minutes for some of these.
    assert!(times[0].0 < Duration::from_secs(10), "{:?}", times[0]);
}

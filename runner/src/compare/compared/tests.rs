use serde_json::json;

use super::*;
use crate::store::{AttemptResult, RESULT_VERSION, Status};
use crate::sweep::Trial;

fn result(status: Status, seconds: f64) -> AttemptResult {
    AttemptResult {
        version: RESULT_VERSION,
        trial: String::new(),
        attempt: 1,
        status,
        cause: None,
        program: None,
        started: None,
        cores: Vec::new(),
        gpus: Vec::new(),
        ended: String::new(),
        seconds,
        peak_memory: 0,
        frames: Vec::new(),
    }
}

fn trial(parameters: Value, recorded: Option<Recorded>) -> CollectedTrial {
    let parameters: Assignment = serde_json::from_value(parameters).unwrap();
    let standing = match recorded {
        Some(_) => Standing::Succeeded(result(Status::Succeeded, 2.0)),
        None => Standing::Failed(result(Status::Failed, 1.0)),
    };
    CollectedTrial {
        trial: Trial {
            id: String::new(),
            given: parameters.clone(),
            parameters,
            priority: 0,
            data: Default::default(),
        },
        standing,
        recorded,
    }
}

fn sweep(trials: Vec<CollectedTrial>) -> CollectedSweep {
    CollectedSweep {
        name: "s".to_owned(),
        trials,
    }
}

/// Two levels, with a score each.
fn levels(scores: [f64; 2]) -> Option<Recorded> {
    Some(Recorded {
        height: 2,
        labels: Vec::new(),
        integers: vec![
            ("level".to_owned(), vec![Some(1.0), Some(2.0)]),
            ("n".to_owned(), vec![Some(12.0), Some(12.0)]),
        ],
        floats: vec![("score".to_owned(), scores.map(Some).to_vec())],
    })
}

#[test]
fn seeds_are_resampled_within_each_group_of_labels_and_parameters() {
    let of = |shift: f64| {
        let mut trials = Vec::new();
        for data in ["on", "off"] {
            for seed in [1, 2, 3] {
                let drop = if data == "off" {
                    shift + f64::from(seed)
                } else {
                    0.0
                };
                let scores = levels([10.0 + drop, 20.0]);
                trials.push(trial(json!({"data": data, "seed": seed}), scores));
            }
        }
        sweep(trials)
    };
    let compared = compare(&of(0.0), &of(-4.0), None);
    assert_eq!((compared.pairs, compared.compared), (6, 6));
    // n is the same in all rows: it labels nothing and is compared.
    assert_eq!(
        (
            compared.values,
            compared.changed_values,
            compared.changed_trials
        ),
        (24, 3, 3)
    );
    let group = compared
        .groups
        .iter()
        .find(|group| group.change != 0.0)
        .unwrap();
    assert_eq!(group.value, "score");
    let labels: Vec<_> = group
        .labels
        .iter()
        .map(|(name, value)| format!("{name}={value}"))
        .collect();
    assert_eq!(labels, ["data=off", "level=1"]);
    assert_eq!(
        (group.a, group.b, group.change, group.units),
        (12.0, 8.0, -4.0, 3)
    );
    assert_eq!(
        group.interval,
        Some((-4.0, -4.0)),
        "every seed changed alike"
    );
    assert!(compared.resampled.contains("seeds"));
}

#[test]
fn items_are_resampled_where_a_column_tells_them_apart() {
    let of = |right: [bool; 4]| {
        let items = (0..4).map(|item| format!("problem {item}")).collect();
        let scores = right.map(|right| Some(f64::from(right))).to_vec();
        let recorded = Recorded {
            height: 4,
            labels: vec![("item".to_owned(), items)],
            integers: Vec::new(),
            floats: vec![("correct".to_owned(), scores)],
        };
        sweep(vec![
            trial(json!({"seed": 1}), Some(recorded.clone())),
            trial(json!({"seed": 2}), Some(recorded)),
        ])
    };
    let compared = compare(
        &of([true, true, false, false]),
        &of([true, false, false, true]),
        None,
    );
    let [group] = &compared.groups[..] else {
        panic!("one group: {compared:?}")
    };
    assert_eq!((group.units, group.change), (4, 0.0));
    let (low, high) = group.interval.unwrap();
    assert!(
        low < -0.2 && high > 0.2,
        "one lost, one won: {low} to {high}"
    );
    assert!(compared.resampled.contains("items (column `item`)"));
    assert_eq!(compared.changed_values, 4, "two items in two seeds");
}

#[test]
fn one_pair_has_a_change_and_no_interval() {
    let a = sweep(vec![trial(json!({}), levels([1.0, 2.0]))]);
    let b = sweep(vec![trial(json!({}), levels([1.5, 2.0]))]);
    let compared = compare(&a, &b, None);
    assert_eq!(
        compared
            .groups
            .iter()
            .filter(|group| group.interval.is_some())
            .count(),
        0
    );
    assert_eq!(compared.changes[0].b, Some(1.5));
    assert_eq!(compared.seconds, Some((2.0, 2.0)));
}

#[test]
fn trials_without_a_partner_and_trials_that_ended_otherwise_are_listed() {
    let a = sweep(vec![
        trial(json!({"x": 1}), levels([1.0, 2.0])),
        trial(json!({"x": 2}), levels([1.0, 2.0])),
    ]);
    let b = sweep(vec![
        trial(json!({"x": 2, "new": true}), None),
        trial(json!({"x": 3, "new": true}), None),
    ]);
    let compared = compare(&a, &b, None);
    assert_eq!(compared.paired_by, ["x"]);
    assert_eq!(compared.only_a.len(), 1);
    assert_eq!(compared.only_b.len(), 1);
    assert_eq!(compared.standings[0].a, "succeeded");
    assert_eq!(compared.standings[0].b, "failed");
    assert_eq!(compared.compared, 0);
}

#[test]
fn a_trial_with_two_possible_partners_is_not_compared() {
    let a = sweep(vec![trial(json!({"x": 1}), levels([1.0, 2.0]))]);
    let b = sweep(vec![
        trial(json!({"x": 1, "y": 1}), levels([1.0, 2.0])),
        trial(json!({"x": 1, "y": 2}), levels([1.0, 2.0])),
    ]);
    let compared = compare(&a, &b, None);
    assert_eq!((compared.pairs, compared.ambiguous.len()), (0, 3));
}

#[test]
fn other_rows_are_left_out_and_said() {
    let mut other = levels([1.0, 2.0]).unwrap();
    other.height = 1;
    let a = sweep(vec![trial(json!({"x": 1}), levels([1.0, 2.0]))]);
    let b = sweep(vec![trial(json!({"x": 1}), Some(other))]);
    assert_eq!(compare(&a, &b, None).other_rows.len(), 1);
}

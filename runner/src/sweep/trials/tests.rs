use std::path::Path;

use offmodel_cells::parameters::parameters;

use super::*;

fn expand(grid: &str) -> Result<Trials, SpecError> {
    let text = format!("version = 1\nnotebook = \"x.ipynb\"\n{grid}");
    let spec = SweepSpec::parse(Path::new("n.toml"), &text)?;
    let cell = offmodel_cells::parse(
        "let seed: u64 = 1; let rate: f64 = 0.5; let data: String = \"on\".into();",
    );
    let mut hash = |path: &str| match path {
        "missing" => Err(DataError::NotSubmitted {
            path: path.to_owned(),
        }),
        path => Ok(format!("content of {path}")),
    };
    let parameters = parameters(&cell.unwrap()).unwrap();
    expand_trials(&spec, &parameters, "code", &mut hash)
}

#[test]
fn the_content_of_data_is_part_of_a_trials_id() {
    let id = |text: &str| expand(text).unwrap().list[0].id.clone();
    let without = id("");
    let with = id("data = [\"x\"]\n");
    assert_ne!(with, without);
    assert_ne!(with, id("data = [\"y\"]\n"));
    let by_parameter =
        expand("data = [{ parameter = \"data\" }]\n[grid]\ndata = [\"on\", \"off\"]\n");
    let read: Vec<_> = by_parameter
        .unwrap()
        .list
        .iter()
        .map(|trial| trial.data.clone().into_iter().collect::<Vec<_>>())
        .collect();
    assert_eq!(
        read,
        [
            [("on".to_owned(), "content of on".to_owned())],
            [("off".to_owned(), "content of off".to_owned())]
        ]
    );
}

#[test]
fn an_error_in_data_names_its_place() {
    let error = |text: &str| expand(text).unwrap_err().to_string();
    assert!(error("data = [\"x\", \"missing\"]\n").starts_with("n.toml, line 3, column 14: "));
    assert_eq!(
        error("data = [{ parameter = \"seed\" }]\n"),
        "n.toml, line 3, column 9: parameter `seed` names data, so it must be a path, a list of paths or none; found 1"
    );
    assert!(error("data = [{ parameter = \"sead\" }]\n").contains("no such parameter"));
}

#[test]
fn the_last_factor_varies_fastest() {
    let trials = expand("[grid]\ndata = [\"on\", \"off\"]\nseed = [1, 2]\n").unwrap();
    let values: Vec<_> = trials
        .list
        .iter()
        .map(|trial| format!("{} {}", trial.overrides["data"], trial.overrides["seed"]))
        .collect();
    assert_eq!(values, ["\"on\" 1", "\"on\" 2", "\"off\" 1", "\"off\" 2"]);
}

#[test]
fn values_spelled_differently_are_one_trial() {
    let trials = expand("[grid]\nrate = [1, 1.0, 2]\n").unwrap();
    assert_eq!((trials.list.len(), trials.merged), (2, 1));
    let by_default = expand("").unwrap();
    let spelled_out = expand("[parameters]\nseed = 1\nrate = 0.5\ndata = \"on\"\n").unwrap();
    assert_eq!(by_default.list[0].id, spelled_out.list[0].id);
}

#[test]
fn an_error_in_a_value_names_its_place_and_type() {
    assert_eq!(
        expand("[grid]\nseed = [1, \"two\"]\n")
            .unwrap_err()
            .to_string(),
        "n.toml, line 4, column 12: parameter `seed`: expected a non-negative integer (u64), found the string \"two\""
    );
    assert!(
        expand("[grid]\nsead = [1]\n")
            .unwrap_err()
            .to_string()
            .contains("no parameter `sead`; did you mean `seed`?; it has: seed, rate, data")
    );
}

fn expanded(text: &str, names: &[&str]) -> Vec<String> {
    let trials = expand(text).unwrap();
    let row = |trial: &Trial| {
        names
            .iter()
            .map(|name| trial.parameters[*name].to_string())
            .collect::<Vec<_>>()
    };
    trials
        .list
        .iter()
        .map(|trial| row(trial).join(" "))
        .collect()
}

#[test]
fn sections_are_factors_and_zip_varies_its_parameters_together() {
    let zipped = "seeds = 2\n[zip]\ndata = [\"on\", \"off\"]\nrate = [0.1, 0.2]\n";
    assert_eq!(
        expanded(zipped, &["data", "rate", "seed"]),
        [
            "\"on\" 0.1 1",
            "\"on\" 0.1 2",
            "\"off\" 0.2 1",
            "\"off\" 0.2 2"
        ]
    );
    let listed = "seeds = [7]\n[[trials]]\ndata = \"off\"\n[[trials]]\nrate = 2\n";
    assert_eq!(
        expanded(listed, &["data", "rate", "seed"]),
        ["\"off\" 0.5 7", "\"on\" 2.0 7"]
    );
    assert_eq!(
        expand("[zip]\ndata = [\"on\", \"off\"]\nrate = [0.1]\n")
            .unwrap_err()
            .to_string(),
        "n.toml, line 5, column 9: `rate` has 1 values, but the first list of [zip] has 2"
    );
}

#[test]
fn exclusions_see_defaults_and_must_leave_a_trial() {
    let grid = "exclude = [{ data = \"on\", seed = 2 }]\n[grid]\nseed = [1, 2]\n";
    assert_eq!(expanded(grid, &["seed"]), ["1"]);
    assert_eq!(expand(grid).unwrap().excluded, 1);
    assert_eq!(
        expand("exclude = [{ data = \"on\" }]\n[grid]\nseed = [1, 2]\n")
            .unwrap_err()
            .to_string(),
        "n.toml, line 3, column 21: `exclude` removes every trial"
    );
}

#[test]
fn rules_order_the_trials() {
    let text = "[grid]\nseed = [1, 2, 3]\n[[rule]]\nwhen = { seed = 3 }\npriority = 1\n[[rule]]\nwhen = { seed = 1 }\npriority = -1\n";
    assert_eq!(expanded(text, &["seed"]), ["3", "2", "1"]);
}

#[test]
fn drawn_values_lie_in_their_ranges_and_are_independent() {
    let draw = |count: usize, others: &str| {
        let text = format!(
            "[random]\ncount = {count}\nseed = 5\n[random.draw]\nrate = {{ log = [1e-5, 1e-2] }}\n{others}"
        );
        expanded(&text, &["rate", "seed"])
    };
    let many = draw(1000, "seed = { int = [1, 3] }\n");
    let rates: Vec<f64> = many
        .iter()
        .map(|row| row.split_once(' ').unwrap().0.parse().unwrap())
        .collect();
    assert!(rates.iter().all(|rate| (1e-5..1e-2).contains(rate)));
    // Uniform in the logarithm: a third lies below 1e-4, within four standard errors.
    let low = rates.iter().filter(|rate| **rate < 1e-4).count();
    assert!((273..=393).contains(&low), "{low}");
    for seed in ["1", "2", "3"] {
        let count = many.iter().filter(|row| row.ends_with(seed)).count();
        assert!((273..=393).contains(&count), "{count}");
    }
    let fewer = draw(10, "");
    for (short, long) in fewer.iter().zip(&many) {
        assert_eq!(
            short.split_once(' ').unwrap().0,
            long.split_once(' ').unwrap().0
        );
    }
}

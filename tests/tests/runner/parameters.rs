//! Parameter values from the command line.

use crate::workbench::{Cell, Workbench, text};

fn bench() -> Workbench {
    let bench = Workbench::new();
    bench.tagged_notebook(
        "n.ipynb",
        &[
            Cell(
                "let seed: u64 = 1;\nlet mut rate: f64 = 5e-5; // per step\nlet data: String = \"on_model\".to_owned();\nlet levels: Vec<i64> = vec![1, 2];\nlet cap: Option<usize> = None;\nlet twice = seed * 2;",
                &["parameters"],
            ),
            Cell("rate *= 2.0;\nformat!(\"{seed} {twice} {rate} {data} {levels:?} {cap:?}\")", &[]),
        ],
    );
    bench
}

#[test]
fn defaults_apply_without_overrides() {
    assert_eq!(
        text(&bench().outputs_of("n.ipynb")[1][0]),
        "\"1 2 0.0001 on_model [1, 2] None\""
    );
}

#[test]
fn overrides_reach_the_program_and_the_values_derived_from_them() {
    let bench = bench();
    let overrides = [
        "seed=7",
        "rate=0.5",
        "data=off model",
        "levels=3,4",
        "cap=9",
    ];
    let mut arguments = vec!["run", "n.ipynb", "-o", "out.ipynb"];
    arguments.extend(overrides.iter().flat_map(|value| ["-p", value]));
    bench.offmodel(&arguments).succeeded();
    // The overrides are in a cell of their own, after the defaults.
    let outputs = bench.outputs("out.ipynb");
    assert_eq!(text(&outputs[2][0]), "\"7 14 1 off model [3, 4] Some(9)\"");
    let injected = &bench.json("out.ipynb")["cells"][1];
    assert_eq!(injected["metadata"]["tags"][0], "injected-parameters");
    assert!(
        injected["source"]
            .to_string()
            .contains("let cap: Option<usize> = Some(9);")
    );
}

#[test]
fn an_unknown_name_lists_the_known_ones_and_suggests_the_nearest() {
    bench().offmodel(&["run", "n.ipynb", "-p", "sead=1"]).failed(
        3,
        "the notebook has no parameter `sead`; did you mean `seed`?; it has: seed, rate, data, levels, cap",
    );
}

#[test]
fn an_error_in_a_type_names_what_was_expected_and_found() {
    let bench = bench();
    bench
        .offmodel(&["run", "n.ipynb", "-p", "seed=many"])
        .failed(
            3,
            "parameter `seed`: expected a non-negative integer (u64), found `many`",
        );
    bench
        .offmodel(&["run", "n.ipynb", "-p", "levels=1,x"])
        .failed(
            3,
            "parameter `levels`: expected a list of integers, found `1,x`",
        );
    bench
        .offmodel(&["run", "n.ipynb", "-p", "seed"])
        .failed(3, "not of the form `-p name=value`");
    bench
        .offmodel(&["run", "n.ipynb", "-p", "seed=1", "-p", "seed=2"])
        .failed(3, "parameter `seed` is set twice");
}

#[test]
fn a_declaration_that_cannot_be_a_parameter_is_refused_with_its_line() {
    let bench = Workbench::new();
    bench.tagged_notebook(
        "n.ipynb",
        &[Cell("let a: i64 = 1;\nlet b = 2;", &["parameters"])],
    );
    bench
        .offmodel(&["run", "n.ipynb"])
        .failed(3, "n.ipynb, cell 1, line 2: parameter `b` needs a type");
    bench.tagged_notebook("m.ipynb", &[Cell("let c: &str = \"x\";", &["parameters"])]);
    bench.offmodel(&["run", "m.ipynb"]).failed(
        3,
        "m.ipynb, cell 1, line 1: parameter `c` has the type `&str`, expected one of i32",
    );
}

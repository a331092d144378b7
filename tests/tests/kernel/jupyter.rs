//! Runs the Python unit tests in `tests/jupyter/`.

use crate::installation::{Installation, python_with};

#[test]
fn the_kernel_conforms_to_the_protocol() {
    run_script("conformance.py");
}

#[test]
fn a_notebook_runs_through_nbclient_and_keeps_its_outputs() {
    run_script("notebook.py");
}

#[test]
fn nbclient_papermill_and_offmodel_run_give_the_same_outputs() {
    run_script("same_outputs.py");
}

#[test]
fn interrupts_restarts_and_dying_processes_are_handled() {
    run_script("lifetime.py");
}

fn run_script(name: &str) {
    let tools = "jupyter_client, jupyter_kernel_test, nbclient, jupyter_console, papermill";
    let Some(python) = python_with(tools) else {
        return;
    };
    let installation = Installation::new();
    let output = installation
        .script(&python, &format!("jupyter/{name}"))
        .output()
        .expect("Python starts");
    let messages = String::from_utf8_lossy(&output.stderr);
    println!("{}\n{messages}", String::from_utf8_lossy(&output.stdout));
    assert!(output.status.success(), "{name} failed:\n{messages}");
    // unittest succeeds also if it finds no tests.
    assert!(!messages.contains("Ran 0 tests"), "{name} ran no tests");
}

//! Cells in a live session, with the real prelude.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod completion;
mod extra_crates;
mod failures;
mod interaction;
mod interrupts;
mod variables;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Trial};
use offmodel_events::{CellError, Event};
use offmodel_session::{Session, child_process_hook, enter_session_environment};

fn main() -> ExitCode {
    child_process_hook();
    enter_session_environment();
    let tests = vec![
        Trial::test(
            "variables_and_definitions_reach_later_cells",
            variables::variables_and_definitions,
        ),
        Trial::test(
            "failures_keep_everything_that_earlier_cells_left",
            failures::failures_keep_state,
        ),
        Trial::test(
            "errors_name_the_line_of_the_cell",
            failures::errors_name_lines,
        ),
        Trial::test(
            "the_reason_is_shown_for_variables_that_cannot_be_kept",
            variables::what_cannot_be_kept,
        ),
        Trial::test("closures_reach_later_cells", variables::closures),
        Trial::test(
            "names_are_completed_and_documented",
            completion::completion_and_inspection,
        ),
        Trial::test(
            "output_arrives_in_order_and_from_every_source",
            interaction::output_in_order,
        ),
        Trial::test(
            "an_interrupt_stops_the_cell_and_keeps_its_variables",
            interrupts::interrupt_keeps_variables,
        ),
        Trial::test(
            "an_interrupt_stops_generation_training_and_scoring_at_once",
            interrupts::interrupt_stops_models,
        ),
        Trial::test(
            "the_session_survives_the_end_of_the_child_and_reports_the_cause",
            failures::child_ends,
        ),
        Trial::test("input_comes_from_the_listener", interaction::input),
        Trial::test(
            "an_extra_crate_is_built_and_used_by_later_cells",
            extra_crates::are_used_by_later_cells,
        ),
        Trial::test(
            "a_crate_in_a_folder_is_built_again_once_it_has_changed",
            extra_crates::in_a_folder_may_change,
        ),
        Trial::test(
            "an_extra_crate_has_one_state_for_all_cells",
            extra_crates::have_one_state_for_all_cells,
        ),
        Trial::test(
            "an_extra_crate_may_have_c_code",
            extra_crates::may_have_c_code,
        ),
        Trial::test(
            "an_extra_crate_is_built_once_for_several_sessions",
            extra_crates::are_built_once_for_several_sessions,
        ),
        Trial::test(
            "an_interrupt_stops_a_build_and_keeps_variables",
            extra_crates::are_not_built_after_an_interrupt,
        ),
        Trial::test("commands_show_variables_and_times", interaction::commands),
    ];
    let mut arguments = Arguments::from_args();
    // A process can have one session at a time.
    arguments.test_threads = Some(1);
    libtest_mimic::run(&arguments, tests).exit_code()
}

/// A session that counts its cells.
struct Notebook {
    session: Session,
    count: usize,
}

/// What a cell has shown.
struct Ran {
    /// The text of streams and displays, in order.
    text: String,
    events: Vec<Event>,
    error: Option<CellError>,
}

impl Notebook {
    fn start() -> Self {
        let session = Session::start().unwrap();
        Self { session, count: 0 }
    }

    fn run(&mut self, source: &str) -> Ran {
        self.count += 1;
        let mut events = Vec::new();
        let result = self
            .session
            .execute(self.count, source, &mut |event| events.push(event));
        let text = events
            .iter()
            .filter_map(|event| match event {
                Event::Stream { text, .. } => Some(text.as_str()),
                Event::Display { data, .. } | Event::Result { data } => data.get("text/plain"),
                _ => None,
            })
            .collect();
        Ran {
            text,
            events,
            error: result.err(),
        }
    }

    /// Runs a cell that must succeed, and returns its text.
    fn shows(&mut self, source: &str) -> String {
        let ran = self.run(source);
        assert!(ran.error.is_none(), "{source}\n{:#?}", ran.error);
        ran.text
    }

    /// Runs a cell that must fail, and returns its error.
    fn fails(&mut self, source: &str) -> CellError {
        let ran = self.run(source);
        ran.error
            .unwrap_or_else(|| panic!("this cell should fail: {source}"))
    }
}

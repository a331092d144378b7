//! Cells in a live session, with the real prelude.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

mod extra_crates;

use std::process::ExitCode;

use libtest_mimic::{Arguments, Failed, Trial};
use offmodel_events::{CellError, Event};
use offmodel_session::{Listener, Session, child_process_hook, enter_session_environment};

fn main() -> ExitCode {
    child_process_hook();
    enter_session_environment();
    let tests = vec![
        Trial::test(
            "variables_and_definitions_reach_later_cells",
            variables_and_definitions,
        ),
        Trial::test(
            "failures_keep_everything_that_earlier_cells_left",
            failures_keep_state,
        ),
        Trial::test("errors_name_the_line_of_the_cell", errors_name_lines),
        Trial::test(
            "the_reason_is_shown_for_variables_that_cannot_be_kept",
            what_cannot_be_kept,
        ),
        Trial::test("closures_reach_later_cells", closures),
        Trial::test(
            "names_are_completed_and_documented",
            completion_and_inspection,
        ),
        Trial::test(
            "output_arrives_in_order_and_from_every_source",
            output_in_order,
        ),
        Trial::test(
            "an_interrupt_stops_the_cell_and_keeps_its_variables",
            interrupt_keeps_variables,
        ),
        Trial::test(
            "an_interrupt_stops_generation_training_and_scoring_at_once",
            interrupt_stops_models,
        ),
        Trial::test(
            "the_session_survives_the_end_of_the_child_and_reports_the_cause",
            child_ends,
        ),
        Trial::test("input_comes_from_the_listener", input),
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
        Trial::test("commands_show_variables_and_times", commands),
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

fn variables_and_definitions() -> Result<(), Failed> {
    let mut notebook = Notebook::start();
    notebook.shows(
        "let mut total = 1;\nlet (name, scores) = (String::from(\"qwen4b\"), vec![0.5, 0.25]);",
    );
    assert_eq!(notebook.shows("total += 4; total"), "5");
    assert_eq!(
        notebook.shows("println!(\"{name}\"); scores.iter().sum::<f64>()"),
        "qwen4b\n0.75"
    );
    notebook.shows("#[derive(Debug, Clone)]\nstruct Student { size: u64 }\nimpl Student { fn double(&self) -> u64 { self.size * 2 } }");
    assert_eq!(
        notebook.shows("let student = Student { size: 4 }; student.double()"),
        "8"
    );
    assert_eq!(notebook.shows("student"), "Student { size: 4 }");
    notebook.shows("fn double(x: i32) -> i32 { x * 2 }");
    notebook.shows("fn double(x: i32) -> i32 { x * 20 }");
    assert_eq!(notebook.shows("double(2)"), "40");
    assert_eq!(
        notebook.shows("let total = \"shadowed\"; total"),
        "\"shadowed\""
    );
    assert_eq!(notebook.shows("total"), "\"shadowed\"");
    notebook.shows("let scores: Vec<f64> = scores.into_iter().map(|score| 2.0 * score).collect();");
    assert_eq!(notebook.shows("scores"), "[1.0, 0.5]");
    let frame = notebook.run("let frame = df!(\"a\" => [1i64, 2])?;\nframe");
    assert!(
        frame.error.is_none() && frame.text.contains('a'),
        "{}",
        frame.text
    );
    let tensor = notebook.shows("Tensor::ones([2, 2], (Kind::Float, Device::Cpu))");
    assert!(tensor.starts_with("Tensor [2, 2]"), "{tensor}");
    let waited =
        notebook.shows("tokio::time::sleep(std::time::Duration::from_millis(5)).await; \"slept\"");
    assert_eq!(waited, "\"slept\"");
    Ok(())
}

fn failures_keep_state() -> Result<(), Failed> {
    let mut notebook = Notebook::start();
    notebook.shows("let frame = df!(\"a\" => [1i64, 2])?; let mut count = 3;");
    let raised = notebook.fails("let other = 1;\nlet n: i32 = \"x\".parse()?;");
    assert_eq!(
        (raised.name.as_str(), raised.line),
        ("ParseIntError", Some(2))
    );
    let panicked = notebook.fails("count += frame.height() as i32;\npanic!(\"enough\");");
    assert_eq!(
        (panicked.name.as_str(), panicked.value.as_str()),
        ("panic", "enough")
    );
    assert_eq!(panicked.line, Some(2));
    notebook.fails("let wrong: i32 = \"text\";");
    assert_eq!(notebook.shows("frame.height() as i32 + count"), "7");
    assert!(notebook.fails("other").value.contains("other"));
    Ok(())
}

fn errors_name_lines() -> Result<(), Failed> {
    let mut notebook = Notebook::start();
    let error = notebook.fails("let a = 1;\nlet b: String = a;");
    assert_eq!(
        (error.name.as_str(), error.line),
        ("compile error", Some(2))
    );
    assert!(error.value.contains("line 2, column 17"), "{}", error.value);
    let in_item = notebook.fails("let a = 1;\n\nfn f() -> i32 {\n    \"no\"\n}");
    assert_eq!(in_item.line, Some(4));
    let borrow = notebook.fails("let v = vec![1];\nlet w = v;\nv.len()");
    assert_eq!(borrow.line, Some(3), "{borrow:?}");
    let syntax = notebook.fails("let a = 1;\nlet b = = 2;");
    assert_eq!(syntax.line, Some(2));
    notebook
        .shows("fn deep(n: usize) -> usize {\n    let v: Vec<usize> = Vec::new();\n    v[n]\n}");
    let panicked = notebook.fails("deep(2)");
    assert_eq!(
        panicked.traceback[0],
        "panicked in `deep`, line 3 of cell 5"
    );
    notebook.shows("fn outer(n: usize) -> usize {\n    1 + deep(n)\n}");
    let through = notebook.fails("let n = 2;\nouter(n)");
    assert_eq!(
        through.traceback[..3],
        [
            "panicked in `deep`, line 3 of cell 5",
            "  called in `outer`, line 2 of cell 7",
            "  called at line 2 of the cell",
        ]
    );
    assert_eq!(through.line, Some(2));
    // A panic inside a library names the line of the cell that called it.
    let library = notebook
        .fails("let ones = Tensor::ones([2], (Kind::Float, Device::Cpu));\nones.reshape([3])");
    assert_eq!(library.line, Some(2), "{library:?}");
    assert!(
        library.traceback[1].ends_with("called at line 2 of the cell"),
        "{library:?}"
    );
    let torch = notebook.fails("Tensor::ones([2], (Kind::Float, Device::Cpu)).f_reshape([3])?");
    assert!(!torch.value.contains("frame #"), "{}", torch.value);
    Ok(())
}

fn what_cannot_be_kept() -> Result<(), Failed> {
    let mut notebook = Notebook::start();
    assert_eq!(
        notebook
            .shows("let factor = 2.0;\nlet f = |x: f64| x * factor;\nlet kept: usize = 1;\nf(2.0)"),
        "4.0"
    );
    let closure = notebook.fails("f(1.0)");
    assert!(closure.traceback.concat().contains("`move`"), "{closure:?}");
    notebook.shows("let pair = (|x: i32| x, 1);");
    let inside = notebook.fails("pair.1");
    assert!(inside.traceback.concat().contains("box"), "{inside:?}");
    notebook.shows("let text = String::from(\"abc\"); let letters = text.chars();");
    assert!(
        notebook
            .fails("letters.count()")
            .traceback
            .concat()
            .contains("borrows")
    );
    assert_eq!(notebook.shows("text"), "\"abc\"");
    notebook.shows("let moved = text;");
    assert!(notebook.fails("text").traceback.concat().contains("clone"));
    assert_eq!(notebook.shows("moved.len() + kept"), "4");
    notebook.shows("struct Pair { a: i32 }\nlet pair = Pair { a: 1 };");
    notebook.shows("struct Pair { a: String, b: String }");
    assert!(
        notebook
            .fails("pair.a")
            .traceback
            .concat()
            .contains("redefined")
    );
    Ok(())
}

fn closures() -> Result<(), Failed> {
    let mut notebook = Notebook::start();
    notebook.shows("let scale = 3.0;\nlet scaled = move |x: f64| scale * x;");
    assert_eq!(notebook.shows("scaled(2.0) + scale"), "9.0");
    assert_eq!(
        notebook.shows("[1.0, 2.0].into_iter().map(&scaled).sum::<f64>()"),
        "9.0"
    );
    // Signatures are inferred without annotations, and through references.
    notebook.shows("let names = vec![String::from(\"a\")];\nlet twice = |x| x + x;\ntwice(2u8);\nlet rows = |frame: &DataFrame| frame.height();");
    assert_eq!(
        notebook
            .shows("let frame = df!(\"a\" => [1i64, 2])?;\nrows(&frame) + usize::from(twice(2))"),
        "6"
    );
    // A closure that threads may share is stored in a box that threads may share.
    assert_eq!(
        notebook.shows("std::thread::scope(|scope| scope.spawn(|| scaled(1.0)).join().unwrap())"),
        "3.0"
    );
    notebook.shows("let mut count = 0;\nlet mut counted = move || { count += 1; count };");
    notebook.shows("counted(); counted();");
    assert_eq!(notebook.shows("counted()"), "3");
    notebook.shows("let mut more = || count += 2;\nmore();");
    assert_eq!(notebook.shows("count"), "2");
    notebook.shows("let consumed = move || names;");
    assert_eq!(notebook.shows("consumed().len()"), "1");
    let gone = notebook.fails("consumed()");
    assert!(gone.traceback.concat().contains("moved"), "{gone:?}");
    notebook.shows("let scaled = move |x: f64| scaled(x) + 1.0;");
    assert_eq!(notebook.shows("scaled(1.0)"), "4.0");
    let fields = notebook.shows(":vars");
    assert!(fields.contains("Box<dyn Fn"), "{fields}");
    Ok(())
}

/// The candidates at the cursor, which is marked by `|`.
fn completed(notebook: &mut Notebook, marked: &str) -> Vec<String> {
    let cursor = marked.find('|').unwrap();
    let found = notebook.session.complete(&marked.replace('|', ""), cursor);
    let names = found.candidates.into_iter();
    names.map(|candidate| candidate.text).collect()
}

/// The documentation at the cursor, which is marked by `|`.
fn documented(notebook: &mut Notebook, marked: &str) -> String {
    let cursor = marked.find('|').unwrap();
    let found = notebook.session.inspect(&marked.replace('|', ""), cursor);
    found
        .unwrap_or_else(|| panic!("{marked} is not known"))
        .get("text/plain")
        .unwrap()
        .to_owned()
}

fn completion_and_inspection() -> Result<(), Failed> {
    offmodel_session::write_reference(&offmodel_toolchain::Toolchain::locate()?)?;
    let mut notebook = Notebook::start();
    notebook.shows("let frame = df!(\"level\" => [1i64, 2], \"score\" => [0.5, 1.0])?;\nlet remembered = vec![1.5];");
    notebook.shows("/// One run.\nstruct Trial { seed: u64 }\nimpl Trial { fn doubled(&self) -> u64 { 2 * self.seed }\nfn new() -> Self { Trial { seed: 1 } } }\nlet trials = vec![Trial::new()];");
    let mut has = |marked: &str, name: &str| {
        let names = completed(&mut notebook, marked);
        assert!(
            names.iter().any(|known| known == name),
            "{marked}: {names:?}"
        );
        names
    };
    // Names of the notebook, of the prelude and of the standard library.
    has("let x = remem|", "remembered");
    has("line_|", "line_plot");
    has("let x = printl|", "println!");
    has("let x: Stri|", "String");
    has("std::collections::Ha|", "HashMap");
    has("use polars::prelude::LazyF|", "LazyFrame");
    // Methods and fields of the type that the compiler infers for the expression before the dot.
    has("frame.hea|", "head");
    has(
        "let n = frame\n    .clone()\n    .lazy()\n    .filter(col(\"score\").gt(lit(0.5))).coll|",
        "collect",
    );
    has("remembered.iter().copied().map(f64::sqrt).su|", "sum");
    has("remembered[0].sq|", "sqrt");
    has("for trial in &trials { println!(\"{}\", trial.se|", "seed");
    has("trials.first().unwrap().dou|", "doubled");
    has("Trial::n|", "new");
    has("Device::cuda|", "cuda_if_available");
    has(
        "let student = Model::load(\"smollm2\")?;\nstudent.gen|",
        "generate",
    );
    // Columns of the notebook's frames.
    has("frame.column(\"sc|", "score");
    has("col(\"le|", "level");
    assert!(completed(&mut notebook, "// frame.|").is_empty());
    let unstable = completed(&mut notebook, "remembered.push_|");
    assert!(
        !unstable.contains(&"push_within_capacity".to_owned()),
        "{unstable:?}"
    );

    let head = documented(&mut notebook, "frame.he|ad(None)");
    assert!(
        head.contains("pub fn head(&self, length: Option<usize>) -> DataFrame"),
        "{head}"
    );
    assert!(head.contains("Get the head of the"), "{head}");
    let inside = documented(&mut notebook, "frame.head(Some(|");
    assert!(inside.contains("Some"), "{inside}");
    let push = documented(&mut notebook, "remembered.push(1.0|");
    assert!(push.contains("Appends an element"), "{push}");
    let plot = documented(&mut notebook, "line_plot|");
    assert!(plot.contains("axes: &LineAxes"), "{plot}");
    let own = documented(&mut notebook, "Tri|al");
    assert!(own.contains("/// One run."), "{own}");
    let variable = documented(&mut notebook, "fra|me");
    assert!(variable.starts_with("frame: DataFrame"), "{variable}");
    assert!(
        notebook
            .shows("?Vec::with_capacity")
            .contains("with_capacity")
    );
    Ok(())
}

fn output_in_order() -> Result<(), Failed> {
    let mut notebook = Notebook::start();
    let ran = notebook.run(
        "print!(\"one \"); display(&MimeBundle::text(\"two \")); eprint!(\"three \");\nunsafe extern \"C\" { fn puts(text: *const std::ffi::c_char) -> i32; }\nunsafe { puts(c\"four\".as_ptr()) };\n\"five\"",
    );
    assert!(ran.error.is_none(), "{:?}", ran.error);
    for word in ["one ", "two ", "three ", "four\n", "\"five\""] {
        assert!(
            ran.text.contains(word),
            "{word} is missing in {:?}",
            ran.text
        );
    }
    assert!(
        matches!(ran.events.last(), Some(Event::Result { .. })),
        "{:?}",
        ran.events
    );
    // `display!` shows a value without a rich display as the end of a cell would.
    let shown = notebook.shows(
        "#[derive(Debug)]\nstruct Point { x: i32 }\ndisplay!(Point { x: 1 });\ndisplay!(\"text\");\ndisplay!(df![\"a\" => [1i64]]?);",
    );
    assert!(
        shown.starts_with("Point { x: 1 }\"text\"") && shown.contains("i64"),
        "{shown}"
    );
    let refused = notebook.fails("struct Bare;\ndisplay(&Bare);");
    assert!(
        refused.traceback.concat().contains("display!(value)"),
        "{refused:?}"
    );
    let many = notebook.shows("for line in 0..10_000 { println!(\"line {line}\"); }");
    assert_eq!(many.lines().count(), 10_000);
    let flood = notebook.shows("for line in 0..1_000_000 { println!(\"line {line}\"); }");
    assert!(flood.len() < 2_100_000, "{}", flood.len());
    assert!(flood.contains("lines are not shown"));
    assert!(
        flood.ends_with("line 999999\n"),
        "{}",
        &flood[flood.len() - 100..]
    );
    let value = notebook.shows("\"x\".repeat(50_000_000)");
    assert!(
        value.len() < 10_000 && value.contains("is not shown"),
        "{}",
        value.len()
    );
    Ok(())
}

/// Long work of the library should stop within 200 ms at any point. Other tests that keep the
/// machine busy can only add to the time, so the limit here is four times that, and the best of
/// several attempts counts.
fn interrupt_stops_models() -> Result<(), Failed> {
    const LIMIT: std::time::Duration = std::time::Duration::from_millis(800);
    let mut notebook = Notebook::start();
    notebook.shows("let student = Model::load(\"smollm2\")?;");
    notebook.shows(
        "let words = \"The lighthouse keeper climbed the stairs. \".repeat(60);\nlet chats: Vec<Chat> = (0..16).map(|_| Chat::user(\"Go on.\").assistant(words.as_str())).collect();",
    );
    for work in [
        "student.generate(&vec![Chat::user(words.as_str()); 16], &Sampling::greedy())?;",
        "fine_tune(&student, &chats, &SftOptions::default())?;",
        "student.score(&chats)?;",
    ] {
        for seconds in [0.7, 2.9] {
            let mut times = Vec::new();
            while times.iter().all(|&waited| waited >= LIMIT) {
                assert!(times.len() < 4, "{work} took {times:?} to stop");
                times.push(interrupted_after(&mut notebook, work, seconds));
            }
        }
    }
    assert!(notebook.shows("student.name()").contains("SmolLM2"));
    Ok(())
}

/// The time that a cell takes to stop when it is interrupted `seconds` after its start.
fn interrupted_after(notebook: &mut Notebook, cell: &str, seconds: f64) -> std::time::Duration {
    let interrupter = notebook.session.interrupter();
    let (started, has_started) = std::sync::mpsc::channel();
    let waiting = std::thread::spawn(move || {
        has_started.recv().unwrap();
        std::thread::sleep(std::time::Duration::from_secs_f64(seconds));
        interrupter.interrupt();
        std::time::Instant::now()
    });
    notebook.count += 1;
    let result = notebook.session.execute(
        notebook.count,
        &format!("println!(\"started\");\n{cell}"),
        &mut |event| {
            if matches!(&event, Event::Stream { text, .. } if text.contains("started")) {
                let _ = started.send(());
            }
        },
    );
    let ended = std::time::Instant::now();
    assert_eq!(result.unwrap_err().name, "Interrupted", "{cell}");
    ended.duration_since(waiting.join().unwrap())
}

fn interrupt_keeps_variables() -> Result<(), Failed> {
    let mut notebook = Notebook::start();
    notebook.shows("let kept = 5;");
    let interrupter = notebook.session.interrupter();
    let mut started = None;
    let result = notebook.session.execute(
        2,
        "println!(\"started\");\nsleep(std::time::Duration::from_secs(60))?;",
        &mut |event| {
            if matches!(&event, Event::Stream { text, .. } if text.contains("started")) {
                started = Some(std::time::Instant::now());
                interrupter.interrupt();
            }
        },
    );
    let error = result.err().unwrap();
    assert_eq!(error.name, "Interrupted");
    let waited = started.unwrap().elapsed();
    assert!(
        waited < std::time::Duration::from_secs(5),
        "stopping took {waited:?}"
    );
    assert_eq!(notebook.shows("kept"), "5");
    Ok(())
}

fn child_ends() -> Result<(), Failed> {
    let mut notebook = Notebook::start();
    notebook.shows("let lost = 1;\nfn kept() -> i32 { 7 }");
    let error = notebook.fails("std::process::abort();");
    assert_eq!(error.name, "process died");
    assert!(error.traceback.concat().contains("lost"), "{error:?}");
    assert_eq!(notebook.shows("kept()"), "7");
    assert!(notebook.fails("lost").traceback.concat().contains("ended"));
    for (cell, cause) in [
        ("std::process::exit(3);", "exit status 3"),
        (
            "unsafe { std::ptr::null_mut::<i32>().write(1) };",
            "SIGSEGV",
        ),
        (
            "let v: Vec<u8> = Vec::with_capacity(1 << 50);",
            "out of memory",
        ),
    ] {
        let error = notebook.fails(cell);
        assert!(error.value.contains(cause), "{cell}: {}", error.value);
    }
    Ok(())
}

/// A listener that provides input for one prompt.
struct TypingUser {
    shown: Vec<String>,
    prompts: Vec<(String, bool)>,
}

impl Listener for TypingUser {
    fn event(&mut self, event: Event) {
        if let Event::Result { data } = event {
            self.shown.extend(data.get("text/plain").map(str::to_owned));
        }
    }

    fn input(&mut self, prompt: &str, password: bool) -> Result<String, String> {
        self.prompts.push((prompt.to_owned(), password));
        match prompt {
            "name? " => Ok("Zoë \"Z\"\n".to_owned()),
            _ => Err("I do not know".to_owned()),
        }
    }
}

fn input() -> Result<(), Failed> {
    let mut notebook = Notebook::start();
    let mut user = TypingUser {
        shown: vec![],
        prompts: vec![],
    };
    let cell = "let name = input(\"name? \")?;\nname.len()";
    notebook.session.execute(1, cell, &mut user).unwrap();
    let error = notebook
        .session
        .execute(2, "password(\"key? \")?", &mut user)
        .unwrap_err();
    assert_eq!(error.value, "no input for \"key? \": I do not know");
    notebook.session.execute(3, "name", &mut user).unwrap();
    assert_eq!(
        user.prompts,
        [("name? ".to_owned(), false), ("key? ".to_owned(), true)]
    );
    assert_eq!(user.shown, ["9", "\"Zoë \\\"Z\\\"\\n\""]);
    Ok(())
}

fn commands() -> Result<(), Failed> {
    let mut notebook = Notebook::start();
    assert_eq!(notebook.shows(":vars"), "there are no variables yet");
    notebook.shows("let frame = df!(\"a\" => [1i64, 2])?;\nlet names = vec![String::from(\"x\")];");
    let variables = notebook.shows(":vars");
    assert!(variables.contains("frame     DataFrame"), "{variables}");
    assert!(variables.contains("names     Vec<String>"), "{variables}");
    let timed = notebook.shows(":time\nsleep(std::time::Duration::from_millis(50))?;");
    assert!(
        timed.contains("compiled in") && timed.contains("ran for 0.0"),
        "{timed}"
    );
    let failed = notebook.run(":time\nlet text: String = 1;");
    assert!(failed.error.is_some() && failed.text.contains("ran for 0.000"));
    assert_eq!(notebook.shows(":timing"), "timing is on");
    assert!(notebook.shows("1 + 1").contains("ran for 0.00"));
    assert_eq!(notebook.shows(":timing"), "timing is off");
    notebook.shows("fn twice(x: i32) -> i32 { 2 * x }");
    notebook.shows(":clear");
    let gone = notebook.fails("frame");
    assert!(
        gone.traceback.join("\n").contains(":clear dropped it"),
        "{gone:?}"
    );
    assert_eq!(notebook.shows("twice(4)"), "8");
    let unknown = notebook.fails(":nonsense");
    assert!(
        unknown.value.contains("no command :nonsense"),
        "{unknown:?}"
    );
    Ok(())
}

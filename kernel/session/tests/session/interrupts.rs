//! Interrupts.

use std::time::{Duration, Instant};

use libtest_mimic::Failed;
use offmodel_events::Event;

use crate::Notebook;

/// Long work of the library should stop within 200 ms at any point. Other tests that keep the
/// machine busy can only add to the time, so the limit here is four times that, and the best of
/// several attempts counts.
pub(crate) fn interrupt_stops_models() -> Result<(), Failed> {
    const LIMIT: Duration = Duration::from_millis(800);
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
fn interrupted_after(notebook: &mut Notebook, cell: &str, seconds: f64) -> Duration {
    let interrupter = notebook.session.interrupter();
    let (started, has_started) = std::sync::mpsc::channel();
    let waiting = std::thread::spawn(move || {
        has_started.recv().unwrap();
        std::thread::sleep(Duration::from_secs_f64(seconds));
        interrupter.interrupt();
        Instant::now()
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
    let ended = Instant::now();
    assert_eq!(result.unwrap_err().name, "Interrupted", "{cell}");
    ended.duration_since(waiting.join().unwrap())
}

pub(crate) fn interrupt_keeps_variables() -> Result<(), Failed> {
    let mut notebook = Notebook::start();
    notebook.shows("let kept = 5;");
    let interrupter = notebook.session.interrupter();
    let mut started = None;
    let result = notebook.session.execute(
        2,
        "println!(\"started\");\nsleep(std::time::Duration::from_secs(60))?;",
        &mut |event| {
            if matches!(&event, Event::Stream { text, .. } if text.contains("started")) {
                started = Some(Instant::now());
                interrupter.interrupt();
            }
        },
    );
    let error = result.err().unwrap();
    assert_eq!(error.name, "Interrupted");
    let waited = started.unwrap().elapsed();
    assert!(waited < Duration::from_secs(5), "stopping took {waited:?}");
    assert_eq!(notebook.shows("kept"), "5");
    Ok(())
}

//! The event stream as a kernel or runner reads it.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use std::fs::File;
use std::io::Write;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use offmodel_events::capture::Capture;
use offmodel_events::{
    CellError, Event, Interrupted, MimeBundle, Progress, Stream, emit, interrupt, sink,
};
use proptest::prelude::*;

/// Sink, interrupt flag and file descriptors are global to the process, so tests run one at a time.
static PROCESS: Mutex<()> = Mutex::new(());

fn exclusive() -> MutexGuard<'static, ()> {
    PROCESS.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Runs `work` with a file as the sink and returns the events in that file.
fn recorded(work: impl FnOnce()) -> Vec<Event> {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("events.jsonl");
    sink::install(File::create(&path).unwrap());
    work();
    let text = std::fs::read_to_string(&path).unwrap();
    text.lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

fn text_of(events: &[Event], of: Stream) -> String {
    events
        .iter()
        .filter_map(|event| match event {
            Event::Stream { stream, text } if *stream == of => Some(text.as_str()),
            _ => None,
        })
        .collect()
}

#[test]
fn a_capture_redirects_both_streams_and_restores_them() {
    let _exclusive = exclusive();
    let events = recorded(|| {
        let capture = Capture::start().unwrap();
        std::io::stdout()
            .write_all("grüße\nhalf a line".as_bytes())
            .unwrap();
        std::io::stderr().write_all(b"careful").unwrap();
        capture.finish();
        std::io::stdout().write_all(b"not captured\n").unwrap();
        std::io::stdout().flush().unwrap();
    });
    assert_eq!(text_of(&events, Stream::Stdout), "grüße\nhalf a line");
    assert_eq!(text_of(&events, Stream::Stderr), "careful");
}

#[test]
fn a_process_that_outlives_the_cell_does_not_delay_its_end() {
    let _exclusive = exclusive();
    let folder = tempfile::tempdir().unwrap();
    let begun = folder.path().join("begun");
    let events = recorded(|| {
        let capture = Capture::start().unwrap();
        let mut child = Command::new("sh")
            .args(["-c", "echo begun; touch \"$0\"; exec sleep 60"])
            .arg(&begun)
            .spawn()
            .unwrap();
        while !begun.exists() {
            std::thread::sleep(Duration::from_millis(5));
        }
        capture.finish();
        // The child still runs, and would for a minute.
        assert!(child.try_wait().unwrap().is_none());
        child.kill().unwrap();
        child.wait().unwrap();
    });
    assert_eq!(text_of(&events, Stream::Stdout), "begun\n");
}

#[test]
fn characters_split_between_writes_arrive_whole() {
    let _exclusive = exclusive();
    let events = recorded(|| {
        let capture = Capture::start().unwrap();
        let bytes = "ä€😀".as_bytes();
        for byte in bytes {
            std::io::stdout().write_all(&[*byte]).unwrap();
            std::io::stdout().flush().unwrap();
            std::thread::sleep(Duration::from_millis(2));
        }
        std::io::stdout().write_all(&[0xff, b'!']).unwrap();
        capture.finish();
    });
    assert_eq!(text_of(&events, Stream::Stdout), "ä€😀\u{fffd}!");
}

#[test]
fn a_display_does_not_overtake_the_text_before_it() {
    let _exclusive = exclusive();
    let events = recorded(|| {
        let capture = Capture::start().unwrap();
        for number in 0..100 {
            write!(std::io::stdout(), "{number} ").unwrap();
            emit(&Event::Result {
                data: MimeBundle::text(number.to_string()),
            });
        }
        capture.finish();
    });
    let shown: Vec<String> = events
        .iter()
        .map(|event| match event {
            Event::Stream { text, .. } => text.trim().to_owned(),
            Event::Result { data } => data.get("text/plain").unwrap().to_owned(),
            other => panic!("{other:?}"),
        })
        .collect();
    let expected: Vec<String> = (0..100)
        .flat_map(|number| [number.to_string(), number.to_string()])
        .collect();
    assert_eq!(shown, expected);
}

#[test]
fn more_text_than_a_pipe_holds_arrives_complete() {
    let _exclusive = exclusive();
    let events = recorded(|| {
        let capture = Capture::start().unwrap();
        for number in 0..50_000 {
            writeln!(std::io::stdout(), "line {number}").unwrap();
        }
        capture.finish();
    });
    assert_eq!(text_of(&events, Stream::Stdout).lines().count(), 50_000);
}

#[test]
fn an_interrupt_lasts_until_it_is_cleared_and_ends_a_sleep() {
    let _exclusive = exclusive();
    interrupt::clear();
    assert_eq!(interrupt::check(), Ok(()));
    let sleeper = std::thread::spawn(|| interrupt::sleep(Duration::from_secs(60)));
    interrupt::install_handler();
    // SAFETY: the handler for this signal was installed just above.
    unsafe { libc::raise(libc::SIGINT) };
    assert_eq!(sleeper.join().unwrap(), Err(Interrupted));
    assert_eq!(interrupt::check(), Err(Interrupted));
    interrupt::clear();
    assert_eq!(interrupt::check(), Ok(()));
}

#[test]
fn a_progress_bar_shows_long_work_only_in_one_display_that_ends_complete() {
    let _exclusive = exclusive();
    let started = std::time::Instant::now();
    let quick = recorded(|| {
        let mut progress = Progress::new("quick", 3);
        progress.advance(3);
    });
    // On a busy machine even the quick work may have been long.
    if started.elapsed() < Duration::from_millis(600) {
        assert!(quick.is_empty(), "{quick:?}");
    }
    let events = recorded(|| {
        let mut progress = Progress::new("<training>", 10);
        for _ in 0..10 {
            std::thread::sleep(Duration::from_millis(120));
            progress.advance(1);
        }
    });
    let Event::Display {
        data,
        display_id: Some(first),
    } = &events[0]
    else {
        panic!("{events:?}");
    };
    assert!(data.get("text/html").unwrap().contains("&lt;training&gt;"));
    let ids: Vec<_> = events[1..]
        .iter()
        .map(|event| match event {
            Event::UpdateDisplay { display_id, .. } => display_id,
            other => panic!("{other:?}"),
        })
        .collect();
    assert!(!ids.is_empty() && ids.iter().all(|id| *id == first));
    let Some(Event::UpdateDisplay { data, .. }) = events.last() else {
        panic!("{events:?}")
    };
    assert!(
        data.get("text/plain")
            .unwrap()
            .starts_with("<training>: 10/10")
    );
}

fn any_event() -> impl Strategy<Value = Event> {
    let bundle =
        ("\\PC*", "\\PC*").prop_map(|(text, html)| MimeBundle::text(text).with("text/html", html));
    prop_oneof![
        "\\PC*".prop_map(|text| Event::Stream {
            stream: Stream::Stderr,
            text
        }),
        (bundle, prop::option::of("[a-z]+"))
            .prop_map(|(data, display_id)| Event::Display { data, display_id }),
        ("\\PC*", prop::option::of(1usize..100)).prop_map(|(value, line)| Event::Error {
            error: CellError::new("panic", value).at_line(line),
        }),
        (1usize..9, 0.0f64..1e6).prop_map(|(cell, seconds)| Event::CellFinished {
            cell,
            seconds,
            succeeded: true
        }),
    ]
}

proptest! {
    #[test]
    fn every_event_can_be_read_back_from_its_line(event in any_event()) {
        let line = serde_json::to_string(&event).unwrap();
        prop_assert!(!line.contains('\n'));
        prop_assert_eq!(serde_json::from_str::<Event>(&line).unwrap(), event);
    }
}

#[test]
fn events_of_several_threads_stay_whole() {
    let _exclusive = exclusive();
    let events = recorded(|| {
        std::thread::scope(|scope| {
            for thread in 0..4 {
                scope.spawn(move || {
                    for number in 0..200 {
                        let text = format!("{thread} {number} {}", "x".repeat(500));
                        emit(&Event::Stream {
                            stream: Stream::Stdout,
                            text,
                        });
                    }
                });
            }
        });
    });
    assert_eq!(events.len(), 800);
}

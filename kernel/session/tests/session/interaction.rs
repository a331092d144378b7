//! Output, input and commands.

use libtest_mimic::Failed;
use offmodel_events::Event;
use offmodel_session::Listener;

use crate::Notebook;

pub(crate) fn output_in_order() -> Result<(), Failed> {
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

pub(crate) fn input() -> Result<(), Failed> {
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

pub(crate) fn commands() -> Result<(), Failed> {
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

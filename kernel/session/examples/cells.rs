//! Runs cells from standard input, which lines of `---` separate, and prints the time of each:
//! `cargo run -p offmodel-session --example cells < cells.txt`.

use std::io::Read;
use std::time::Instant;

use offmodel_events::Event;
use offmodel_session::{Session, child_process_hook, enter_session_environment};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    child_process_hook();
    enter_session_environment();
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text)?;
    let started = Instant::now();
    let mut session = Session::start()?;
    println!("ready after {:.2} s", started.elapsed().as_secs_f64());
    for (index, cell) in text.split("---\n").enumerate() {
        let started = Instant::now();
        let result = session.execute(index + 1, cell, &mut |event| match event {
            Event::Stream { text, .. } => print!("{text}"),
            Event::Display { data, .. } | Event::Result { data } => {
                println!("{}", data.get("text/plain").unwrap_or("(no text)"));
            }
            other => println!("{other:?}"),
        });
        if let Err(error) = result {
            println!("{error}\n{}", error.traceback.join("\n"));
        }
        println!("[{}] {:.2} s", index + 1, started.elapsed().as_secs_f64());
    }
    Ok(())
}

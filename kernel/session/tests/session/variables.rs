//! Variables and definitions that outlive their cell.

use libtest_mimic::Failed;

use crate::Notebook;

pub(crate) fn variables_and_definitions() -> Result<(), Failed> {
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

pub(crate) fn what_cannot_be_kept() -> Result<(), Failed> {
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

pub(crate) fn closures() -> Result<(), Failed> {
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

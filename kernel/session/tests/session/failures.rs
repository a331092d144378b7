//! Cells that fail, and the end of the child process.

use libtest_mimic::Failed;

use crate::Notebook;

pub(crate) fn failures_keep_state() -> Result<(), Failed> {
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

pub(crate) fn errors_name_lines() -> Result<(), Failed> {
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

pub(crate) fn child_ends() -> Result<(), Failed> {
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

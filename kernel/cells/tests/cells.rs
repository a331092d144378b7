//! Examples and properties of the meaning of cells.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail like tests")]

use offmodel_cells::{ItemKind, MemberKind, completeness, members_of, mentioned_names, parse};
use offmodel_events::completion::Completeness;
use proptest::prelude::*;

fn tail(source: &str) -> Option<String> {
    let cell = parse(source).unwrap();
    cell.tail.map(|range| cell.code[range].to_owned())
}

#[test]
fn the_last_expression_without_a_semicolon_is_displayed() {
    assert_eq!(tail("let x = 1;\nx + 1").as_deref(), Some("x + 1"));
    assert_eq!(
        tail("format!(\"{x}\")").as_deref(),
        Some("format!(\"{x}\")")
    );
    assert_eq!(
        tail("if a { 1 } else { 2 }").as_deref(),
        Some("if a { 1 } else { 2 }")
    );
    assert_eq!(tail("x + 1;"), None);
    assert_eq!(tail("for i in 0..3 {}"), None);
    assert_eq!(tail("let x = 1;"), None);
}

#[test]
fn a_last_let_may_lack_its_semicolon() {
    let cell = parse("let x = 1").unwrap();
    assert_eq!(cell.statements[0].bindings[0].name, "x");
    assert_eq!(cell.tail, None);
}

#[test]
fn bindings_are_found_in_every_pattern_but_not_in_inner_blocks() {
    let cell = parse(
        "let (a, mut b) = f();\nlet Point { x, y: renamed } = p;\nlet Some(c) = d else { return Ok(()) };\n{ let inner = 1; }\nlet e = { let hidden = 2; hidden };",
    )
    .unwrap();
    let names: Vec<_> = cell
        .statements
        .iter()
        .flat_map(|statement| &statement.bindings)
        .map(|binding| (binding.name.as_str(), binding.mutable))
        .collect();
    assert_eq!(
        names,
        [
            ("a", false),
            ("b", true),
            ("x", false),
            ("renamed", false),
            ("c", false),
            ("e", false)
        ]
    );
}

#[test]
fn items_keep_their_attributes_and_documentation() {
    let cell =
        parse("/// A student.\n#[derive(Debug)]\nstruct Student;\nimpl Student {}\nfn f() {}")
            .unwrap();
    let kinds: Vec<_> = cell.items.iter().map(|item| item.kind).collect();
    assert_eq!(
        kinds,
        [ItemKind::Type, ItemKind::Implementation, ItemKind::Function]
    );
    assert!(cell.code[cell.items[0].range.clone()].starts_with("/// A student."));
    assert_eq!(cell.items[2].name.as_deref(), Some("f"));
}

#[test]
fn ranges_count_bytes_where_lines_hold_wide_characters() {
    assert_eq!(
        tail("let gruß = \"äöü\"; gruß.len()").as_deref(),
        Some("gruß.len()")
    );
}

#[test]
fn commands_are_removed_without_moving_a_line() {
    let cell = parse(":vars\n?frame\nlet x = 1;\n:dep serde = \"1\"\nx").unwrap();
    let commands: Vec<_> = cell
        .commands
        .iter()
        .map(|c| (c.name.as_str(), c.arguments.as_str(), c.line))
        .collect();
    assert_eq!(
        commands,
        [
            ("vars", "", 1),
            ("?", "frame", 2),
            ("dep", "serde = \"1\"", 4)
        ]
    );
    assert_eq!(cell.code.lines().nth(2), Some("let x = 1;"));
}

#[test]
fn an_await_inside_an_async_block_is_not_the_cells_own() {
    assert!(parse("f().await?;").unwrap().uses_await);
    assert!(!parse("let task = async { f().await };").unwrap().uses_await);
}

#[test]
fn a_parse_error_has_line_and_column() {
    let error = parse("let a = 1;\nlet b = = 2;").unwrap_err();
    assert_eq!((error.line, error.column), (2, 9));
}

#[test]
fn names_captured_by_format_strings_are_mentioned() {
    let names = mentioned_names("println!(\"{student:?} {0}\", teacher.name)");
    assert!(names.contains("student") && names.contains("teacher"));
}

#[test]
fn incomplete_text_is_distinguished_from_invalid_text() {
    assert_eq!(completeness("let x = 1;"), Completeness::Complete);
    assert_eq!(completeness("1 + 1"), Completeness::Complete);
    assert_eq!(
        completeness("fn f() {\n    if x {"),
        Completeness::Incomplete {
            indent: "        ".to_owned()
        }
    );
    assert!(matches!(
        completeness("let s = \"open"),
        Completeness::Incomplete { .. }
    ));
    assert!(matches!(
        completeness("let x ="),
        Completeness::Incomplete { .. }
    ));
    assert!(matches!(
        completeness("/* note"),
        Completeness::Incomplete { .. }
    ));
    assert_eq!(completeness("f(]"), Completeness::Invalid);
    assert_eq!(
        completeness("let s = r#\"a \" b\"#; let c = '\"';"),
        Completeness::Complete
    );
    assert_eq!(
        completeness("fn f<'a>(x: &'a str) -> &'a str { x }"),
        Completeness::Complete
    );
}

proptest! {
    #[test]
    fn no_text_makes_the_parser_panic(text in "\\PC*") {
        let _ = parse(&text);
        let _ = completeness(&text);
        let _ = mentioned_names(&text);
    }

    #[test]
    fn no_rust_like_text_makes_the_parser_panic(
        parts in prop::collection::vec(
            prop::sample::select(vec![
                "let ", "x", " = ", ";", "{", "}", "(", ")", "\"", "'", "ä", "\n", ":vars\n", "?x\n",
                "fn f", "//", "/*", "*/", "r#\"", "\"#", "1.0", "..", "|", "&", "impl ", "await", ".",
            ]),
            0..40,
        )
    ) {
        let text = parts.concat();
        if let Ok(cell) = parse(&text) {
            for item in &cell.items {
                prop_assert!(cell.code.get(item.range.clone()).is_some());
            }
            if let Some(tail) = cell.tail {
                prop_assert!(cell.code.get(tail).is_some());
            }
        }
        let _ = completeness(&text);
    }
}

#[test]
fn members_of_a_type_come_from_its_definition_and_impl_blocks() {
    let members = |code: &str, name: &str| -> Vec<(MemberKind, String)> {
        members_of(code, name)
            .into_iter()
            .map(|member| (member.kind, member.signature))
            .collect()
    };
    let student = "#[derive(Debug)] struct Student<'a> { name: &'a str, pub size: Vec<u64> }";
    assert_eq!(
        members(student, "Student"),
        [
            (MemberKind::Field, "name: &'a str".to_owned()),
            (MemberKind::Field, "size: Vec<u64>".to_owned())
        ]
    );
    assert_eq!(members(student, "Teacher"), []);
    let implementation = "impl<'a> Student<'a> {\n    fn new() -> Self { todo!() }\n    /// Twice.\n    pub fn twice(&self, n: u64) -> u64 { n }\n    const LIMIT: u64 = 3;\n}";
    assert_eq!(
        members(implementation, "Student"),
        [
            (MemberKind::Function, "fn new() -> Self".to_owned()),
            (
                MemberKind::Method,
                "fn twice(&self, n: u64) -> u64".to_owned()
            ),
            (MemberKind::Constant, "const LIMIT: u64 = 3;".to_owned())
        ]
    );
    assert_eq!(
        members("enum Side { Left, Right(u8) }", "Side")[1],
        (MemberKind::Variant, "Right(u8)".to_owned())
    );
    assert_eq!(members("not an item", "Side"), []);
}

//! Parses a cell into commands, items, statements and the displayed expression.

use std::ops::Range;

use proc_macro2::Span;
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::visit::Visit;

use crate::commands::{Command, split_commands};
use crate::position::{line_and_column, offset_of};

/// A parsed cell. All ranges are byte ranges of [`Cell::code`], so that generated code can hold the
/// user's own text and the compiler's messages refer to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// The text with every command line replaced by blanks. Lines and columns are those of the cell.
    /// A last `let` without its semicolon gets one.
    pub code: String,
    /// Lines such as `:vars` and `?name`, in order.
    pub commands: Vec<Command>,
    /// Functions, types, imports and macros.
    pub items: Vec<Item>,
    /// Everything that runs, in order. The displayed expression is the last of them.
    pub statements: Vec<Statement>,
    /// The tail expression, whose value is displayed: the last one, if it has no semicolon.
    pub tail: Option<Range<usize>>,
    /// Whether the cell itself awaits: `.await` outside inner `async` blocks, closures and items.
    pub uses_await: bool,
}

/// A definition that later cells see and may replace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// The kind of definition.
    pub kind: ItemKind,
    /// The name; none for `impl` blocks and imports.
    pub name: Option<String>,
    /// The text, with attributes and documentation.
    pub range: Range<usize>,
}

/// The kinds of items that the kernel distinguishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ItemKind {
    /// `fn`.
    Function,
    /// `struct`, `enum`, `union` and `type`.
    Type,
    /// `trait`.
    Trait,
    /// `impl`.
    Implementation,
    /// `use` and `extern crate`.
    Import,
    /// `const` and `static`.
    Constant,
    /// `macro_rules!`.
    Macro,
    /// `mod` and anything else.
    Other,
}

/// One statement.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// The text, with the semicolon.
    pub range: Range<usize>,
    /// The variables that it introduces at the top level of the cell.
    pub bindings: Vec<Binding>,
}

/// A variable introduced by a `let`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// The variable's name.
    pub name: String,
    /// Whether the variable is declared `mut`.
    pub mutable: bool,
    /// The number of parameters, if the value is a closure expression: 2 for
    /// `let f = |x, y| x + y;`.
    pub closure_parameters: Option<usize>,
}

/// Why a text is not a sequence of Rust statements.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ParseError {
    /// Line in the cell, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// The parser's message.
    pub message: String,
    /// Whether the text ended where more was expected, so that further lines may complete it.
    pub at_end: bool,
}

impl ParseError {
    /// Renders the error in the style of rustc: with ANSI colours, the line, and a mark under the
    /// column.
    pub fn rendered(&self, source: &str) -> String {
        let Self {
            line,
            column,
            message,
            ..
        } = self;
        let text = source
            .lines()
            .nth(line.saturating_sub(1))
            .unwrap_or_default();
        let marker = " ".repeat(column.saturating_sub(1));
        format!(
            "\u{1b}[1;31merror\u{1b}[0m: {message}\n --> cell:{line}:{column}\n  | {text}\n  | {marker}^"
        )
    }
}

/// Parses a cell.
///
/// # Errors
/// When the text, commands aside, is not a sequence of Rust statements.
pub fn parse(source: &str) -> Result<Cell, ParseError> {
    let (mut code, commands) = split_commands(source);
    let mut parsed = syn::Block::parse_within.parse_str(&code);
    if parsed.is_err() {
        // A last `let` without its semicolon is common in notebooks, and its meaning is clear.
        let terminated = format!("{};", code.trim_end());
        if let Ok(statements) = syn::Block::parse_within.parse_str(&terminated) {
            parsed = Ok(statements);
            code = terminated;
        }
    }
    let statements = parsed.map_err(|error| parse_error(&code, &error))?;
    let mut cell = Cell {
        commands,
        items: Vec::new(),
        statements: Vec::new(),
        tail: None,
        uses_await: uses_await(&statements),
        code: String::new(),
    };
    for statement in &statements {
        let range = range_of(&code, statement.span());
        match statement {
            syn::Stmt::Item(item) => cell.items.push(item_of(item, range)),
            syn::Stmt::Local(local) => {
                cell.statements.push(Statement {
                    range,
                    bindings: bindings(local),
                });
            }
            syn::Stmt::Expr(..) | syn::Stmt::Macro(_) => {
                cell.statements.push(Statement {
                    range,
                    bindings: Vec::new(),
                });
            }
        }
    }
    cell.tail = statements.last().and_then(|last| tail(&code, last));
    cell.code = code;
    Ok(cell)
}

fn parse_error(code: &str, error: &syn::Error) -> ParseError {
    let message = error.to_string();
    let start = error.span().start();
    // `syn` reports an error at the end of the text with an empty span at its start.
    let is_at_end_of_text = start.line == 1 && start.column == 0 && error.span().end() == start;
    let offset = if is_at_end_of_text {
        code.trim_end().len()
    } else {
        offset_of(code, start)
    };
    let at_end = message.contains("unexpected end of input") || code[offset..].trim().is_empty();
    let (line, column) = line_and_column(code, offset);
    ParseError {
        line,
        column,
        message,
        at_end,
    }
}

fn range_of(code: &str, span: Span) -> Range<usize> {
    offset_of(code, span.start())..offset_of(code, span.end())
}

fn tail(code: &str, last: &syn::Stmt) -> Option<Range<usize>> {
    match last {
        syn::Stmt::Expr(expression, None) if has_value(expression) => {
            Some(range_of(code, expression.span()))
        }
        syn::Stmt::Macro(statement) if statement.semi_token.is_none() => {
            Some(range_of(code, statement.span()))
        }
        _ => None,
    }
}

/// Whether an expression without a semicolon has a value worth displaying: loops, assignments and
/// `return` have none.
fn has_value(expression: &syn::Expr) -> bool {
    !matches!(
        expression,
        syn::Expr::ForLoop(_) | syn::Expr::While(_) | syn::Expr::Assign(_) | syn::Expr::Return(_)
    )
}

fn item_of(item: &syn::Item, range: Range<usize>) -> Item {
    use syn::Item as Syntax;
    let (kind, name) = match item {
        Syntax::Fn(item) => (ItemKind::Function, Some(&item.sig.ident)),
        Syntax::Struct(item) => (ItemKind::Type, Some(&item.ident)),
        Syntax::Enum(item) => (ItemKind::Type, Some(&item.ident)),
        Syntax::Union(item) => (ItemKind::Type, Some(&item.ident)),
        Syntax::Type(item) => (ItemKind::Type, Some(&item.ident)),
        Syntax::Trait(item) => (ItemKind::Trait, Some(&item.ident)),
        Syntax::Impl(_) => (ItemKind::Implementation, None),
        Syntax::Use(_) | Syntax::ExternCrate(_) => (ItemKind::Import, None),
        Syntax::Const(item) => (ItemKind::Constant, Some(&item.ident)),
        Syntax::Static(item) => (ItemKind::Constant, Some(&item.ident)),
        Syntax::Macro(item) => (ItemKind::Macro, item.ident.as_ref()),
        Syntax::Mod(item) => (ItemKind::Other, Some(&item.ident)),
        _ => (ItemKind::Other, None),
    };
    Item {
        kind,
        name: name.map(ToString::to_string),
        range,
    }
}

/// The variables that a `let` introduces, those nested in its pattern included.
fn bindings(local: &syn::Local) -> Vec<Binding> {
    #[derive(Default)]
    struct Collector(Vec<Binding>);
    impl<'ast> Visit<'ast> for Collector {
        fn visit_pat_ident(&mut self, pattern: &'ast syn::PatIdent) {
            let name = pattern.ident.to_string();
            // A capitalised name in a pattern is a constant or a unit variant, not a variable.
            if !name.starts_with(char::is_uppercase)
                && !self.0.iter().any(|known| known.name == name)
            {
                self.0.push(Binding {
                    name,
                    mutable: pattern.mutability.is_some(),
                    closure_parameters: None,
                });
            }
            syn::visit::visit_pat_ident(self, pattern);
        }
        fn visit_expr(&mut self, _: &'ast syn::Expr) {}
    }
    let mut collector = Collector::default();
    collector.visit_pat(&local.pat);
    if let (syn::Pat::Ident(_), [binding], Some(init)) =
        (&local.pat, &mut collector.0[..], &local.init)
    {
        binding.closure_parameters = match &*init.expr {
            syn::Expr::Closure(closure) if closure.asyncness.is_none() => {
                Some(closure.inputs.len())
            }
            _ => None,
        };
    }
    collector.0
}

/// Whether a statement contains `.await` outside inner `async` blocks, closures and items.
fn uses_await(statements: &[syn::Stmt]) -> bool {
    #[derive(Default)]
    struct Finder(bool);
    impl<'ast> Visit<'ast> for Finder {
        fn visit_expr_await(&mut self, _: &'ast syn::ExprAwait) {
            self.0 = true;
        }
        fn visit_expr_async(&mut self, _: &'ast syn::ExprAsync) {}
        fn visit_expr_closure(&mut self, _: &'ast syn::ExprClosure) {}
        fn visit_item(&mut self, _: &'ast syn::Item) {}
    }
    let mut finder = Finder::default();
    for statement in statements {
        finder.visit_stmt(statement);
    }
    finder.0
}

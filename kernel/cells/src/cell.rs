use std::ops::Range;

use proc_macro2::Span;
use syn::parse::Parser;
use syn::spanned::Spanned;
use syn::visit::Visit;

use crate::position::{line_and_column, offset_of};

/// A parsed cell. All ranges are byte ranges of [`Cell::code`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// The cell's text with every command line blanked, so that lines and columns stay.
    pub code: String,
    /// Lines such as `:vars` and `?name`, in order.
    pub commands: Vec<Command>,
    /// Functions, types, imports and macros.
    pub items: Vec<Item>,
    /// Everything that runs, in order; the displayed expression is the last of them.
    pub statements: Vec<Statement>,
    /// The range of the expression whose value is displayed.
    pub tail: Option<Range<usize>>,
    /// Whether `.await` occurs outside inner `async` blocks and closures.
    pub uses_await: bool,
}

/// A line that speaks to the kernel: `:name arguments`, or `?name` for help on a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The word after the colon, or `?`.
    pub name: String,
    /// The rest of the line, trimmed.
    pub arguments: String,
    /// Its line in the cell, from 1.
    pub line: usize,
}

/// A definition that later cells see and may replace.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    /// What it defines.
    pub kind: ItemKind,
    /// Its name, where it has one (an `impl` block and a glob import have none).
    pub name: Option<String>,
    /// Its text, attributes and documentation included.
    pub range: Range<usize>,
}

/// The kinds of items that the kernel tells apart.
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
    /// Its text, semicolon included.
    pub range: Range<usize>,
    /// The variables that it introduces at the top level of the cell.
    pub bindings: Vec<Binding>,
}

/// A variable introduced by a `let`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Binding {
    /// Its name.
    pub name: String,
    /// Whether it was declared `mut`.
    pub mutable: bool,
    /// The number of parameters, where it is a closure written out: `let f = |x, y| x + y;`.
    pub closure: Option<usize>,
}

/// A cell that is not Rust.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}, column {column}: {message}")]
pub struct ParseError {
    /// Line in the cell, from 1.
    pub line: usize,
    /// Column in characters, from 1.
    pub column: usize,
    /// What is wrong.
    pub message: String,
    /// The text ended where more was expected.
    pub at_end: bool,
}

impl ParseError {
    /// As a compiler would show it: in colours, with the line and a mark under the column.
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
    let (mut code, commands) = take_commands(source);
    let mut parsed = syn::Block::parse_within.parse_str(&code);
    if parsed.is_err() {
        // A last `let` without its semicolon is clear enough, and common in notebooks.
        let ended = format!("{};", code.trim_end());
        if let Ok(statements) = syn::Block::parse_within.parse_str(&ended) {
            parsed = Ok(statements);
            code = ended;
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
            syn::Stmt::Item(item) => cell.items.push(describe(item, range)),
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
    cell.tail = statements.last().and_then(|last| displayed(&code, last));
    cell.code = code;
    Ok(cell)
}

/// The text with every command line blanked, also where the rest is not Rust yet.
pub fn without_commands(source: &str) -> String {
    take_commands(source).0
}

/// Blanks the command lines: those before the first line of code that start with `:` or `?`,
/// and later ones that no Rust statement could start with.
fn take_commands(source: &str) -> (String, Vec<Command>) {
    let mut code = String::with_capacity(source.len());
    let mut commands = Vec::new();
    for (index, line) in source.split_inclusive('\n').enumerate() {
        match command(line.trim(), index + 1) {
            Some(command) => {
                commands.push(command);
                code.extend(line.chars().map(|character| match character {
                    '\n' => '\n',
                    _ => ' ',
                }));
            }
            None => code.push_str(line),
        }
    }
    (code, commands)
}

fn command(line: &str, number: usize) -> Option<Command> {
    let is_name =
        |text: &str| text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    if let Some(rest) = line.strip_prefix(':').filter(|rest| is_name(rest)) {
        let (name, arguments) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        return Some(Command {
            name: name.to_owned(),
            arguments: arguments.trim().to_owned(),
            line: number,
        });
    }
    let asked = line.strip_prefix('?').filter(|rest| is_name(rest))?;
    let whole_line_is_a_path = asked
        .chars()
        .all(|character| character.is_alphanumeric() || matches!(character, '_' | ':' | '.'));
    whole_line_is_a_path.then(|| Command {
        name: "?".to_owned(),
        arguments: asked.to_owned(),
        line: number,
    })
}

fn parse_error(code: &str, error: &syn::Error) -> ParseError {
    let message = error.to_string();
    let start = error.span().start();
    // An error at the end of the text carries no place of its own.
    let placeless = start.line == 1 && start.column == 0 && error.span().end() == start;
    let offset = if placeless {
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

fn displayed(code: &str, last: &syn::Stmt) -> Option<Range<usize>> {
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

/// Loops and assignments are written without a semicolon but have nothing to show.
fn has_value(expression: &syn::Expr) -> bool {
    !matches!(
        expression,
        syn::Expr::ForLoop(_) | syn::Expr::While(_) | syn::Expr::Assign(_) | syn::Expr::Return(_)
    )
}

fn describe(item: &syn::Item, range: Range<usize>) -> Item {
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

fn bindings(local: &syn::Local) -> Vec<Binding> {
    #[derive(Default)]
    struct Collector(Vec<Binding>);
    impl<'ast> Visit<'ast> for Collector {
        fn visit_pat_ident(&mut self, pattern: &'ast syn::PatIdent) {
            let name = pattern.ident.to_string();
            // In a pattern, a capitalised single name is a constant or a unit variant.
            if !name.starts_with(char::is_uppercase)
                && !self.0.iter().any(|known| known.name == name)
            {
                self.0.push(Binding {
                    name,
                    mutable: pattern.mutability.is_some(),
                    closure: None,
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
        binding.closure = match &*init.expr {
            syn::Expr::Closure(closure) if closure.asyncness.is_none() => {
                Some(closure.inputs.len())
            }
            _ => None,
        };
    }
    collector.0
}

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

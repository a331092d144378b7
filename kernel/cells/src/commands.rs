//! Command lines, which are meant for the kernel and not for the compiler: `:vars`, `?name`.

/// A command line: `:name arguments`, or `?name` for help on a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Command {
    /// The word after the colon, or `?`.
    pub name: String,
    /// The rest of the line, trimmed.
    pub arguments: String,
    /// Line in the cell, from 1.
    pub line: usize,
}

/// Replaces every command line by blanks. Works on any text, also on one that is not Rust yet.
pub fn without_commands(source: &str) -> String {
    split_commands(source).0
}

/// Separates the command lines from the code. The code keeps a blank line for each of them, so
/// that its line numbers are those of the cell.
///
/// No Rust statement starts a line with `:name` or consists of `?path` alone, so commands are
/// recognised anywhere in a cell.
pub(crate) fn split_commands(source: &str) -> (String, Vec<Command>) {
    let mut code = String::with_capacity(source.len());
    let mut commands = Vec::new();
    for (index, line) in source.split_inclusive('\n').enumerate() {
        match parse_command(line.trim(), index + 1) {
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

fn parse_command(line: &str, number: usize) -> Option<Command> {
    let starts_with_name =
        |text: &str| text.starts_with(|first: char| first.is_ascii_alphabetic() || first == '_');
    if let Some(rest) = line.strip_prefix(':').filter(|rest| starts_with_name(rest)) {
        let (name, arguments) = rest.split_once(char::is_whitespace).unwrap_or((rest, ""));
        return Some(Command {
            name: name.to_owned(),
            arguments: arguments.trim().to_owned(),
            line: number,
        });
    }
    let path = line
        .strip_prefix('?')
        .filter(|rest| starts_with_name(rest))?;
    let is_path_alone = path
        .chars()
        .all(|character| character.is_alphanumeric() || matches!(character, '_' | ':' | '.'));
    is_path_alone.then(|| Command {
        name: "?".to_owned(),
        arguments: path.to_owned(),
        line: number,
    })
}

//! Selects the rows and columns of a frame to show, and writes each value as one short line of text.

use polars::prelude::{AnyValue, Column, DataFrame, DataType};

/// How much of a frame is shown.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FrameDisplay {
    /// Most rows to show; of a longer frame, the first and the last ones.
    pub max_rows: usize,
    /// Most columns to show; of a wider frame, the first and the last ones.
    pub max_columns: usize,
    /// Most characters to show of a value or a name.
    pub max_characters: usize,
}

/// 10 rows, 20 columns, 60 characters.
impl Default for FrameDisplay {
    fn default() -> Self {
        Self {
            max_rows: 10,
            max_columns: 20,
            max_characters: 60,
        }
    }
}

/// The part of a frame that is shown. `None` marks the gap of the rows or columns left out.
pub(crate) struct Shown {
    pub(crate) columns: Vec<Option<ShownColumn>>,
    /// Row numbers.
    pub(crate) rows: Vec<Option<usize>>,
    pub(crate) height: usize,
    pub(crate) width: usize,
}

pub(crate) struct ShownColumn {
    pub(crate) name: String,
    pub(crate) dtype: String,
    pub(crate) is_number: bool,
    /// The value in each row of [`Shown::rows`]; `None` in the gap.
    pub(crate) values: Vec<Option<Value>>,
}

pub(crate) enum Value {
    Null,
    Text(String),
}

impl Shown {
    pub(crate) fn of(frame: &DataFrame, display: &FrameDisplay) -> Self {
        let rows = ends(frame.height(), display.max_rows);
        let columns = ends(frame.width(), display.max_columns)
            .into_iter()
            .map(|index| {
                index.map(|index| ShownColumn::of(&frame.columns()[index], &rows, display))
            })
            .collect();
        Self {
            columns,
            rows,
            height: frame.height(),
            width: frame.width(),
        }
    }
}

impl ShownColumn {
    fn of(column: &Column, rows: &[Option<usize>], display: &FrameDisplay) -> Self {
        let limit = display.max_characters;
        let value = |row: usize| match column.get(row) {
            Ok(AnyValue::Null) | Err(_) => Value::Null,
            Ok(AnyValue::Float64(number)) => Value::Text(float(number)),
            Ok(AnyValue::Float32(number)) => Value::Text(float(f64::from(number))),
            // Some kinds of strings would be formatted with quotes.
            Ok(other) => Value::Text(match other.get_str() {
                Some(text) => one_line(text, limit),
                None => one_line(&other.to_string(), limit),
            }),
        };
        let mut values: Vec<Option<Value>> = rows.iter().map(|row| row.map(value)).collect();
        if column.dtype().is_float() {
            align_decimals(&mut values);
        }
        Self {
            name: one_line(column.name(), limit),
            dtype: one_line(&column.dtype().to_string(), limit),
            is_number: column.dtype().is_primitive_numeric(),
            values,
        }
    }

    /// Whether the column is aligned to the right.
    pub(crate) fn is_right_aligned(&self) -> bool {
        self.is_number || self.dtype == DataType::Null.to_string()
    }
}

/// The indices of the first and last of `count` items, at most `limit` of them, with `None` in between
/// if some are left out.
fn ends(count: usize, limit: usize) -> Vec<Option<usize>> {
    if count <= limit {
        return (0..count).map(Some).collect();
    }
    let last = limit / 2;
    let first = limit - last;
    (0..first)
        .map(Some)
        .chain([None])
        .chain((count - last..count).map(Some))
        .collect()
}

/// Formats a float with six significant digits.
fn float(value: f64) -> String {
    let magnitude = value.abs();
    if !value.is_finite() {
        return value.to_string();
    }
    if magnitude != 0.0 && !(1e-4..1e7).contains(&magnitude) {
        return format!("{value:.5e}");
    }
    let whole_digits = if magnitude < 1.0 {
        0
    } else {
        magnitude.log10().floor() as usize + 1
    };
    let text = format!("{value:.*}", 6_usize.saturating_sub(whole_digits).max(1));
    let trimmed = text.trim_end_matches('0');
    if trimmed.ends_with('.') {
        format!("{trimmed}0")
    } else {
        trimmed.to_owned()
    }
}

/// Pads the numbers of a column to the same number of decimals, so that they align.
fn align_decimals(values: &mut [Option<Value>]) {
    let decimals = |text: &str| match text.split_once('.') {
        Some((_, decimals)) if !decimals.contains('e') => Some(decimals.len()),
        _ => None,
    };
    let texts = values.iter().flatten().filter_map(|value| match value {
        Value::Text(text) => decimals(text),
        Value::Null => None,
    });
    let most = texts.max().unwrap_or(0);
    for value in values.iter_mut().flatten() {
        if let Value::Text(text) = value
            && let Some(decimals) = decimals(text)
        {
            text.push_str(&"0".repeat(most - decimals));
        }
    }
}

/// Cuts `text` to `limit` characters and escapes invisible ones: a model's output must not break a
/// line, move the cursor or reorder the text beside it.
fn one_line(text: &str, limit: usize) -> String {
    let mut line = String::new();
    for (index, character) in text.chars().enumerate() {
        if index == limit {
            line.push('…');
            break;
        }
        if character.is_control() || is_format_mark(character) {
            line.extend(character.escape_default());
        } else {
            line.push(character);
        }
    }
    line
}

/// Whether a character is invisible and joins, separates or reorders others.
fn is_format_mark(character: char) -> bool {
    matches!(
        character,
        '\u{00AD}'
            | '\u{061C}'
            | '\u{200B}'..='\u{200F}'
            | '\u{2028}'..='\u{202E}'
            | '\u{2060}'..='\u{206F}'
            | '\u{FEFF}'
            | '\u{FFF9}'..='\u{FFFB}'
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn floats_are_short_and_stay_floats() {
        for (value, text) in [
            (0.0, "0.0"),
            (1.0, "1.0"),
            (-0.130_692_1, "-0.130692"),
            (0.05, "0.05"),
            (66.0, "66.0"),
            (123_456.78, "123456.8"),
            (1e-9, "1.00000e-9"),
            (2.5e12, "2.50000e12"),
            (f64::NAN, "NaN"),
            (f64::NEG_INFINITY, "-inf"),
        ] {
            assert_eq!(float(value), text);
        }
    }

    #[test]
    fn a_line_is_cut_and_has_no_invisible_parts() {
        assert_eq!(
            one_line("ab\u{1b}[2J\n\u{202E}x", 60),
            "ab\\u{1b}[2J\\n\\u{202e}x"
        );
        assert_eq!(one_line("éééé", 3), "ééé…");
        assert_eq!(one_line("ééé", 3), "ééé");
    }

    #[test]
    fn a_long_frame_shows_its_ends() {
        assert_eq!(ends(3, 4), [Some(0), Some(1), Some(2)]);
        assert_eq!(ends(100, 4), [Some(0), Some(1), None, Some(98), Some(99)]);
        assert_eq!(ends(5, 0), [None]);
        assert_eq!(ends(5, 1), [Some(0), None]);
    }
}

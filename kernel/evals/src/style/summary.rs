use serde::{Deserialize, Serialize};

use super::text_style::Style;

/// One row of a style table: the shares of texts with each style element, and text lengths.
///
/// Shares are from 0 to 1. All numbers of an empty set are 0.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StyleRow {
    /// Describes the set of texts, for example by the model that wrote them.
    pub label: String,
    /// Number of texts.
    pub texts: usize,
    /// Share with LaTeX.
    pub latex: f64,
    /// Share with headings, bold or bullets.
    pub markdown: f64,
    /// Share with headings.
    pub headings: f64,
    /// Share with bold words.
    pub bold: f64,
    /// Share with bullets.
    pub bullets: f64,
    /// Share with numbered steps.
    pub numbered_steps: f64,
    /// Mean length in characters.
    pub mean_characters: f64,
    /// Median length in characters.
    pub median_characters: f64,
}

impl StyleRow {
    /// Summarises `texts`; [`Style`] defines the elements.
    pub fn of(label: impl Into<String>, texts: &[String]) -> Self {
        let styles: Vec<Style> = texts.iter().map(|text| Style::of(text)).collect();
        let share =
            |uses: fn(&Style) -> bool| mean(styles.iter().map(|s| f64::from(u8::from(uses(s)))));
        let lengths: Vec<usize> = styles.iter().map(|style| style.characters).collect();
        Self {
            label: label.into(),
            texts: texts.len(),
            latex: share(|style| style.latex),
            markdown: share(Style::markdown),
            headings: share(|style| style.headings),
            bold: share(|style| style.bold),
            bullets: share(|style| style.bullets),
            numbered_steps: share(|style| style.numbered_steps),
            mean_characters: mean(lengths.iter().map(|&length| length as f64)),
            median_characters: median(lengths),
        }
    }
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let count = values.len().max(1) as f64;
    values.sum::<f64>() / count
}

fn median(mut lengths: Vec<usize>) -> f64 {
    lengths.sort_unstable();
    let half = lengths.len() / 2;
    match lengths.as_slice() {
        [] => 0.0,
        sorted if sorted.len() % 2 == 1 => sorted[half] as f64,
        sorted => (sorted[half - 1] + sorted[half]) as f64 / 2.0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_and_lengths_over_a_set() {
        let texts = ["**a** $x$", "bb", "cccc", "- a\n- b"].map(str::to_owned);
        let row = StyleRow::of("mine", &texts);
        assert_eq!((row.label.as_str(), row.texts), ("mine", 4));
        assert_eq!(
            (row.latex, row.bold, row.bullets, row.markdown),
            (0.25, 0.25, 0.25, 0.5)
        );
        // Lengths 9, 2, 4, 7.
        assert_eq!((row.mean_characters, row.median_characters), (5.5, 5.5));
    }

    #[test]
    fn an_empty_set_has_zeros_and_no_nan() {
        let row = StyleRow::of("none", &[]);
        assert_eq!(
            (row.latex, row.mean_characters, row.median_characters),
            (0.0, 0.0, 0.0)
        );
    }
}

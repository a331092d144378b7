//! The legend to the right of a panel: the marker of each group, and notes.

use super::figure::FigureError;
use super::paint::{FADED_INK, draw_marker, group_color};
use super::panel::TICK_LABEL_SIZE;
use super::scene::{Fill, Point, Scene, Text};
use super::typeface::{Weight, fitting, text_width};

/// Most groups: the number of pairs of colour and marker.
const MAX_GROUPS: usize = 42;
const LINE_HEIGHT: f64 = 18.0;
const MARKER_RADIUS: f64 = 4.5;
const MARKER_SPACE: f64 = 16.0;
/// Longer texts are cut.
const MAX_TEXT_WIDTH: f64 = 260.0;

/// The content of a legend, from top to bottom.
#[derive(Clone, Debug, Default)]
pub(crate) struct Legend {
    /// The name of the grouping column; empty for a figure without groups.
    pub(crate) heading: String,
    pub(crate) groups: Vec<String>,
    /// Paragraphs of short lines under the groups. The first line of each is dark, the others are faded.
    pub(crate) notes: Vec<Vec<String>>,
    swatch: Swatch,
}

/// The sign in front of the name of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Swatch {
    /// The marker of the group's points.
    #[default]
    Marker,
    /// A box in the colour of the group's bars.
    Box,
}

impl Legend {
    /// A legend of groups; empty if `heading` is empty, as it is for a figure without groups.
    pub(crate) fn of_groups(
        heading: &str,
        groups: &[String],
        swatch: Swatch,
    ) -> Result<Self, FigureError> {
        if groups.len() > MAX_GROUPS {
            return Err(FigureError::TooMany {
                what: "groups",
                count: groups.len(),
                limit: MAX_GROUPS,
            });
        }
        if heading.is_empty() {
            return Ok(Self::default());
        }
        Ok(Self {
            heading: heading.to_owned(),
            groups: groups.to_vec(),
            notes: Vec::new(),
            swatch,
        })
    }

    /// Width of the legend with its distance to the panel; 0 if it is empty.
    pub(crate) fn width(&self) -> f64 {
        let heading = text_width(&self.heading, TICK_LABEL_SIZE, Weight::Bold);
        let groups = self
            .groups
            .iter()
            .map(|group| MARKER_SPACE + text_width(group, TICK_LABEL_SIZE, Weight::Regular));
        let notes = self
            .notes
            .iter()
            .flatten()
            .map(|line| text_width(line, TICK_LABEL_SIZE, Weight::Regular));
        let widest = groups.chain(notes).fold(heading, f64::max);
        if widest == 0.0 {
            0.0
        } else {
            widest.min(MAX_TEXT_WIDTH) + 22.0
        }
    }

    /// Height of the legend.
    pub(crate) fn height(&self) -> f64 {
        let lines = usize::from(!self.heading.is_empty())
            + self.groups.len()
            + self.notes.iter().map(Vec::len).sum::<usize>();
        lines as f64 * LINE_HEIGHT + self.notes.len() as f64 * 10.0
    }

    /// Draws the legend with its top left corner at `(left, top)`.
    pub(crate) fn draw(&self, scene: &mut Scene, (left, top): Point) {
        let left = left + 22.0;
        let mut y = top + LINE_HEIGHT / 2.0;
        let cut = |content: &str, weight| fitting(content, TICK_LABEL_SIZE, weight, MAX_TEXT_WIDTH);
        if !self.heading.is_empty() {
            let heading = cut(&self.heading, Weight::Bold);
            scene.text(
                Text::new(heading, (left, y), TICK_LABEL_SIZE)
                    .bold()
                    .centred_vertically(),
            );
            y += LINE_HEIGHT;
        }
        for (index, group) in self.groups.iter().enumerate() {
            match self.swatch {
                Swatch::Marker => {
                    draw_marker(scene, index, (left + MARKER_RADIUS, y), MARKER_RADIUS)
                }
                Swatch::Box => scene.rectangle(
                    (left, y - MARKER_RADIUS),
                    (left + 2.0 * MARKER_RADIUS, y + MARKER_RADIUS),
                    Fill::solid(group_color(index)),
                ),
            }
            let group = fitting(
                group,
                TICK_LABEL_SIZE,
                Weight::Regular,
                MAX_TEXT_WIDTH - MARKER_SPACE,
            );
            scene.text(
                Text::new(group, (left + MARKER_SPACE, y), TICK_LABEL_SIZE).centred_vertically(),
            );
            y += LINE_HEIGHT;
        }
        for note in &self.notes {
            y += 10.0;
            for (index, line) in note.iter().enumerate() {
                let text = Text::new(cut(line, Weight::Regular), (left, y), TICK_LABEL_SIZE)
                    .centred_vertically();
                scene.text(if index == 0 {
                    text
                } else {
                    text.color(FADED_INK)
                });
                y += LINE_HEIGHT;
            }
        }
    }
}

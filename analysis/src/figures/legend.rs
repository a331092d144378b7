//! The column to the right of a panel: which marker is which group, and notes.

use super::axes::MARK_SIZE;
use super::figure::FigureError;
use super::paint::{FADED_INK, draw_marker, group_color};
use super::scene::{Fill, Point, Scene, Text};
use super::typeface::{Weight, fitting, text_width};

/// Groups that colours and markers can tell apart.
const GROUP_LIMIT: usize = 42;
const LINE_HEIGHT: f64 = 18.0;
const MARKER_RADIUS: f64 = 4.5;
const MARKER_SPACE: f64 = 16.0;
/// Widest that the column may get before its texts are cut.
const WIDTH_LIMIT: f64 = 260.0;

/// What the column shows, top to bottom.
#[derive(Clone, Debug, Default)]
pub(crate) struct Legend {
    /// What the groups are; nothing for a figure with one group.
    pub(crate) heading: String,
    pub(crate) groups: Vec<String>,
    /// Paragraphs of short lines under the groups; the first line of each is dark, the rest faded.
    pub(crate) notes: Vec<Vec<String>>,
    swatch: Swatch,
}

/// What stands before the name of a group.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Swatch {
    /// The marker of its points.
    #[default]
    Marker,
    /// A box in the colour of its bars.
    Box,
}

impl Legend {
    /// Legend of the groups; none where there is only one.
    pub(crate) fn of_groups(
        heading: &str,
        groups: &[String],
        swatch: Swatch,
    ) -> Result<Self, FigureError> {
        if groups.len() > GROUP_LIMIT {
            return Err(FigureError::TooMany {
                what: "groups",
                count: groups.len(),
                limit: GROUP_LIMIT,
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

    /// Width that the column needs, its distance to the panel included.
    pub(crate) fn width(&self) -> f64 {
        let heading = text_width(&self.heading, MARK_SIZE, Weight::Bold);
        let groups = self
            .groups
            .iter()
            .map(|group| MARKER_SPACE + text_width(group, MARK_SIZE, Weight::Regular));
        let notes = self
            .notes
            .iter()
            .flatten()
            .map(|line| text_width(line, MARK_SIZE, Weight::Regular));
        let widest = groups.chain(notes).fold(heading, f64::max);
        if widest == 0.0 {
            0.0
        } else {
            widest.min(WIDTH_LIMIT) + 22.0
        }
    }

    /// Height that the column needs.
    pub(crate) fn height(&self) -> f64 {
        let lines = usize::from(!self.heading.is_empty())
            + self.groups.len()
            + self.notes.iter().map(Vec::len).sum::<usize>();
        lines as f64 * LINE_HEIGHT + self.notes.len() as f64 * 10.0
    }

    /// Draws the column with its top left corner at `corner`.
    pub(crate) fn draw(&self, scene: &mut Scene, (left, top): Point) {
        let left = left + 22.0;
        let mut y = top + LINE_HEIGHT / 2.0;
        let cut = |content: &str, weight| fitting(content, MARK_SIZE, weight, WIDTH_LIMIT);
        if !self.heading.is_empty() {
            let heading = cut(&self.heading, Weight::Bold);
            scene.text(
                Text::new(heading, (left, y), MARK_SIZE)
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
                MARK_SIZE,
                Weight::Regular,
                WIDTH_LIMIT - MARKER_SPACE,
            );
            scene.text(Text::new(group, (left + MARKER_SPACE, y), MARK_SIZE).centred_vertically());
            y += LINE_HEIGHT;
        }
        for note in &self.notes {
            y += 10.0;
            for (index, line) in note.iter().enumerate() {
                let text = Text::new(cut(line, Weight::Regular), (left, y), MARK_SIZE)
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

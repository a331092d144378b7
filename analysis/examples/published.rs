//! The cells of `notebooks/published.ipynb` as a plain program, without kernel or libtorch:
//!
//! ```text
//! cargo run -p offmodel-analysis --example published -- OUTPUT_FOLDER
//! ```
//!
//! writes each figure as SVG and PNG, and a report. `tests/published_notebook.rs` runs it and checks that
//! it has the code of the notebook's cells, with `show(...)` around the expression that a cell displays.

use std::cell::RefCell;
use std::error::Error;
use std::path::PathBuf;

use offmodel_analysis::*;
use polars::prelude::*;

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .map(PathBuf::from)
        .ok_or("usage: published OUTPUT_FOLDER")?;
    std::fs::create_dir_all(&folder)?;
    let page = run()?;
    let mut report = Report::new("Published figures: change against gap");
    for (name, frame) in &page.recorded {
        report = report.section(name).frame(frame, "");
    }
    for (index, figure) in page.figures.iter().enumerate() {
        figure.save(folder.join(format!("figure-{}.svg", index + 1)))?;
        figure.save(folder.join(format!("figure-{}.png", index + 1)))?;
        report = report.section(figure.title()).figure(figure, "");
    }
    report.save(folder.join("report.html"))?;
    println!("{}", folder.join("report.html").display());
    Ok(())
}

/// The values that the cells displayed and recorded.
#[derive(Default)]
pub(crate) struct Page {
    /// Frames given to `record`, with their names.
    pub(crate) recorded: Vec<(String, DataFrame)>,
    /// Displayed figures.
    pub(crate) figures: Vec<Figure>,
    /// Displayed frames.
    pub(crate) frames: Vec<DataFrame>,
}

/// Runs the cells in order.
///
/// # Errors
/// The error of the first cell that fails.
pub(crate) fn run() -> Result<Page, Box<dyn Error>> {
    PAGE.take();

    let left_out_family: String = String::from("llama");

    let pairs: DataFrame = published::change_and_gap("olympiads")?;
    show(pairs.head(Some(6)));

    let study: ChangeAgainstGap = change_against_gap(&pairs)?;
    println!("{study}");
    let fit: DataFrame = study.fit.to_frame()?;
    record("fit", &fit)?;
    show(fit.clone());

    show(study.figure("Olympiads: change against gap, all pairs")?);

    let rest: ChangeAgainstGap = study.without_family(&left_out_family)?;
    println!("without {left_out_family}\n{rest}");
    let rest_fit: DataFrame = rest.fit.to_frame()?;
    record("fit_without_family", &rest_fit)?;
    show(rest_fit.clone());

    show(rest.figure(&format!(
        "Olympiads: change against gap, without {left_out_family}"
    ))?);

    let families: DataFrame = study.leave_one_family_out()?;
    record("leave_one_family_out", &families)?;
    show(families.clone());

    let changes: DataFrame = published::degradation();
    record("degradation", &changes)?;
    let axes: HeatmapAxes = HeatmapAxes::new("student", "teacher", "change")
        .panel_by("benchmark")
        .value_label("change in accuracy")
        .title("Change in accuracy after training on a teacher's outputs");
    show(heatmap(&changes, &axes)?);

    Ok(PAGE.take())
}

thread_local! {
    static PAGE: RefCell<Page> = RefCell::default();
}

/// Stands in for the prelude's `record`.
#[expect(
    clippy::unnecessary_wraps,
    reason = "the cells use `?`, because the prelude's function can fail"
)]
fn record(name: &str, frame: &DataFrame) -> Result<(), Box<dyn Error>> {
    PAGE.with_borrow_mut(|page| page.recorded.push((name.to_owned(), frame.clone())));
    Ok(())
}

/// Stands in for the display of a cell's last expression.
fn show(value: impl Show) {
    PAGE.with_borrow_mut(|page| value.add_to(page));
}

trait Show {
    fn add_to(self, page: &mut Page);
}

impl Show for DataFrame {
    fn add_to(self, page: &mut Page) {
        println!("{}", frame_text(&self, &FrameDisplay::default()));
        page.frames.push(self);
    }
}

impl Show for Figure {
    fn add_to(self, page: &mut Page) {
        page.figures.push(self);
    }
}

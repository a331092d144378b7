//! Cells import this crate and the polars prelude by globs, so no name may be in both.

#![expect(
    unused_imports,
    reason = "only the use of a name reveals that it is ambiguous"
)]

use offmodel_analysis::*;
use polars::prelude::*;

#[test]
fn every_public_name_can_be_used_beside_the_polars_prelude() {
    type Types = (
        (
            BarAxes,
            Bootstrap,
            BootstrapError,
            BootstrapEstimate,
            ChangeAgainstGap,
            ColumnError,
        ),
        (
            ConfidenceInterval,
            Figure,
            FigureError,
            FitError,
            FrameDisplay,
            HeatmapAxes,
            LineAxes,
        ),
        (
            LineFit,
            PassAtKError,
            ProportionError,
            Report,
            ReportError,
            ScatterAxes,
            StudyError,
        ),
        (fn(SceneBackend<'_>), fn(PlottersArea<'_>)),
    );
    let _ = std::mem::size_of::<Types>();
    let _ = (
        bootstrap_mean,
        bootstrap_mean_difference,
        change_against_gap,
        frame_html,
        frame_text,
    );
    let _ = (
        grouped_bars,
        heatmap,
        line_plot,
        model_family,
        ordinary_least_squares,
        pass_at_k,
    );
    let _ = (
        register_plotters_fonts,
        scatter_with_fit,
        wilson_interval,
        with_families,
    );
    let _ = (
        published::change_and_gap,
        published::degradation,
        published::experiments,
    );
}

//! Figures: every value and label is present, nothing is cut off, and SVG and PNG have the same size.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use offmodel_analysis::*;
use polars::prelude::*;

fn pairs() -> DataFrame {
    published::change_and_gap("olympiads").unwrap()
}

/// The texts of an SVG.
fn texts(svg: &str) -> Vec<String> {
    svg.split("<text ")
        .skip(1)
        .map(|part| {
            let start = part.find('>').unwrap() + 1;
            part[start..part.find("</text>").unwrap()].to_owned()
        })
        .collect()
}

/// Width, height and RGB pixels.
fn decode(png: &[u8]) -> (usize, usize, Vec<u8>) {
    let mut reader = png::Decoder::new(png).read_info().unwrap();
    let mut pixels = vec![0; reader.output_buffer_size()];
    let info = reader.next_frame(&mut pixels).unwrap();
    (info.width as usize, info.height as usize, pixels)
}

fn assert_nothing_reaches_the_edge(figure: &Figure) {
    let (width, height, pixels) = decode(&figure.png().unwrap());
    let (expected_width, expected_height) = figure.size();
    assert_eq!(
        (width as f64, height as f64),
        (2.0 * expected_width, 2.0 * expected_height)
    );
    let is_white = |x: usize, y: usize| pixels[(y * width + x) * 3..][..3] == [255, 255, 255];
    let margin = 6;
    for y in 0..height {
        for x in 0..width {
            let in_margin = x < margin || y < margin || x >= width - margin || y >= height - margin;
            assert!(
                !in_margin || is_white(x, y),
                "ink at {x}, {y} of {width} x {height}: {}",
                figure.title()
            );
        }
    }
    let ink = pixels
        .chunks(3)
        .filter(|pixel| *pixel != [255, 255, 255])
        .count();
    assert!(ink > 2_000);
}

#[test]
fn a_scatter_has_a_marker_per_pair_a_legend_and_the_fit() {
    let study = change_against_gap(&pairs()).unwrap();
    let figure = study.figure("Olympiads").unwrap();
    let texts = texts(figure.svg());
    for expected in [
        "Olympiads",
        "gap: teacher's score minus student's baseline",
        "student family",
        "qwen",
        "llama",
        "deepseek",
        "change at zero gap: −0.131",
        "slope: 0.353",
        "r = 0.766",
        "n = 66",
    ] {
        let expected = expected.replace('\'', "&#39;");
        assert!(texts.contains(&expected), "{expected} in {texts:?}");
    }
    // Each pair and each legend entry is a marker on a white edge; circles are the markers of qwen.
    assert_eq!(figure.svg().matches("<circle").count(), 2 * (33 + 1));
    assert_nothing_reaches_the_edge(&figure);
}

#[test]
fn a_heatmap_has_every_number_and_grey_cells_for_missing_values() {
    let frame = df![
        "student" => ["a", "a", "b"],
        "teacher" => ["x", "y", "y"],
        "change" => [Some(-0.25), Some(0.1), None],
    ]
    .unwrap();
    let figure = heatmap(&frame, &HeatmapAxes::new("student", "teacher", "change")).unwrap();
    let texts = texts(figure.svg());
    for expected in [
        "a", "b", "x", "y", "−0.25", "0.10", "student", "teacher", "change",
    ] {
        assert!(
            texts.contains(&expected.to_owned()),
            "{expected} in {texts:?}"
        );
    }
    // (b, x) has no row and (b, y) no value.
    assert_eq!(figure.svg().matches("#D4D4D4").count(), 2);
    assert_nothing_reaches_the_edge(&figure);
}

#[test]
fn panels_share_rows_columns_and_scale() {
    let axes = HeatmapAxes::new("student", "teacher", "change")
        .panel_by("benchmark")
        .title("All");
    let figure = heatmap(&published::degradation(), &axes).unwrap();
    let texts = texts(figure.svg());
    let numbers = texts
        .iter()
        .filter(|text| text.len() >= 4 && text.trim_start_matches('−').parse::<f64>().is_ok());
    assert!(numbers.count() >= 264);
    assert_nothing_reaches_the_edge(&figure);
}

#[test]
fn bars_and_lines_show_groups_and_intervals() {
    let frame = df![
        "level" => [1, 1, 2, 2],
        "data" => ["own", "other", "own", "other"],
        "accuracy" => [0.9, 0.8, 0.7, 0.2],
        "low" => [0.85, 0.7, 0.6, 0.1],
        "high" => [0.95, 0.88, 0.78, 0.3],
    ]
    .unwrap();
    let bars = grouped_bars(
        &frame,
        &BarAxes::new("level", "accuracy")
            .group("data")
            .interval("low", "high")
            .title("Accuracy by level"),
    )
    .unwrap();
    let lines = line_plot(
        &frame,
        &LineAxes::new("level", "accuracy")
            .group("data")
            .interval("low", "high")
            .title("Accuracy by level"),
    )
    .unwrap();
    assert!(
        !bars.svg().contains("<circle"),
        "the legend of bars has boxes"
    );
    assert!(
        lines.svg().contains("<circle"),
        "the legend of lines has markers"
    );
    for figure in [bars, lines] {
        let texts = texts(figure.svg());
        for expected in [
            "own",
            "other",
            "data",
            "level",
            "accuracy",
            "Accuracy by level",
        ] {
            assert!(
                texts.contains(&expected.to_owned()),
                "{expected} in {texts:?}"
            );
        }
        assert_nothing_reaches_the_edge(&figure);
    }
}

#[test]
fn long_and_hostile_labels_stay_inside_and_stay_text() {
    let long = "model_with_a_name_that_goes_on_and_on_".repeat(20);
    let frame = df![
        "student" => [long.as_str(), "<script>alert(1)</script>", "a\n\u{202E}b"],
        "teacher" => ["</svg><img src=x onerror=alert(1)>", long.as_str(), ""],
        "change" => [-0.5, 0.25, 0.0],
        "gap" => [1.0, 2.0, 4.0],
    ]
    .unwrap();
    let figures = [
        heatmap(
            &frame,
            &HeatmapAxes::new("student", "teacher", "change").title(&long),
        )
        .unwrap(),
        scatter_with_fit(
            &frame,
            &ScatterAxes::new("gap", "change")
                .group("student", &long)
                .x_label(&long)
                .y_label(&long)
                .title(&long),
        )
        .unwrap(),
        grouped_bars(
            &frame,
            &BarAxes::new("teacher", "change")
                .group("student")
                .title(&long),
        )
        .unwrap(),
        line_plot(
            &frame,
            &LineAxes::new("gap", "change")
                .group("student")
                .y_label(&long),
        )
        .unwrap(),
    ];
    for figure in figures {
        assert!(!figure.svg().contains("<script") && !figure.svg().contains("<img"));
        assert!(!figure.svg().contains('\u{202E}'));
        assert_eq!(figure.svg().matches("</svg>").count(), 1);
        assert_nothing_reaches_the_edge(&figure);
    }
}

#[test]
fn errors_say_what_cannot_be_drawn() {
    let frame = df!["s" => ["a", "a"], "t" => ["x", "x"], "v" => [1.0, 2.0]].unwrap();
    let axes = HeatmapAxes::new("s", "t", "v");
    assert_eq!(
        heatmap(&frame, &axes).unwrap_err().to_string(),
        "failed to draw a figure: two values for a, x"
    );
    assert_eq!(
        heatmap(&frame.head(Some(0)), &axes)
            .unwrap_err()
            .to_string(),
        "failed to draw a figure: no values in column \"v\""
    );
    let infinite = df!["s" => ["a"], "t" => ["x"], "v" => [f64::INFINITY]].unwrap();
    assert_eq!(
        heatmap(&infinite, &axes).unwrap_err().to_string(),
        "failed to draw a figure: column \"v\" is inf in row 0"
    );
    assert_eq!(
        scatter_with_fit(&frame, &ScatterAxes::new("v", "w"))
            .unwrap_err()
            .to_string(),
        "failed to draw a figure: failed to read column \"w\": the frame has s, t, v"
    );
    let many: Vec<String> = (0..200).map(|i| i.to_string()).collect();
    let many = df!["s" => many.clone(), "t" => many, "v" => vec![0.5; 200]].unwrap();
    assert_eq!(
        heatmap(&many, &axes).unwrap_err().to_string(),
        "failed to draw a figure: 200 rows, at most 100 can be read"
    );
}

#[test]
fn a_figure_is_saved_whole_or_not_at_all() {
    let folder = tempfile::tempdir().unwrap();
    let figure = change_against_gap(&pairs())
        .unwrap()
        .figure("Olympiads")
        .unwrap();
    let svg = folder.path().join("a.svg");
    figure.save(&svg).unwrap();
    figure.save(&svg).unwrap();
    assert_eq!(std::fs::read_to_string(&svg).unwrap(), figure.svg());
    let png = folder.path().join("a.PNG");
    figure.save(&png).unwrap();
    assert_eq!(std::fs::read(&png).unwrap(), figure.png().unwrap());
    assert_eq!(
        std::fs::read_dir(folder.path()).unwrap().count(),
        2,
        "no temporary file stays"
    );

    let error = figure
        .save(folder.path().join("a.pdf"))
        .unwrap_err()
        .to_string();
    assert!(
        error.ends_with("a.pdf: the name must end in .svg or .png"),
        "{error}"
    );
    let error = figure
        .save(folder.path().join("none/a.svg"))
        .unwrap_err()
        .to_string();
    assert!(
        error.starts_with("failed to save a figure: failed to write"),
        "{error}"
    );
    std::fs::create_dir(folder.path().join("folder.svg")).unwrap();
    assert!(figure.save(folder.path().join("folder.svg")).is_err());
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 3);
}

#[test]
fn a_plotters_chart_becomes_a_figure() {
    use plotters::prelude::{ChartBuilder, Circle, Color, LineSeries, RED, WHITE};

    let figure = Figure::with_plotters("Loss", (480, 300), |area| {
        area.fill(&WHITE)?;
        let mut chart = ChartBuilder::on(area)
            .margin(20)
            .caption("Loss", ("sans-serif", 18))
            .x_label_area_size(36)
            .y_label_area_size(48)
            .build_cartesian_2d(0.0..10.0, 0.0..1.0)?;
        chart
            .configure_mesh()
            .x_desc("step")
            .y_desc("loss")
            .draw()?;
        let points = (0..=10).map(|step| (f64::from(step), 1.0 / (1.0 + f64::from(step))));
        chart.draw_series(LineSeries::new(points.clone(), &RED))?;
        chart.draw_series(points.map(|point| Circle::new(point, 3, RED.filled())))?;
        Ok(())
    })
    .unwrap();
    let texts = texts(figure.svg());
    assert!(texts.contains(&"Loss".to_owned()) && texts.contains(&"step".to_owned()));
    assert_nothing_reaches_the_edge(&figure);
    assert_eq!(
        Figure::with_plotters("", (0, 9), |_| Ok(()))
            .unwrap_err()
            .to_string(),
        "failed to draw a figure: size 0 x 9, each side must be 1 to 8192 pixels"
    );
    assert_eq!(
        Figure::with_plotters("", (9, 9), |_| Err("no data".into()))
            .unwrap_err()
            .to_string(),
        "failed to draw a figure: no data"
    );
}

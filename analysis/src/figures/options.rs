//! The options that several kinds of figure share, and the builder methods for them.

/// Columns and texts of a figure with an x axis and a y axis.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Options {
    /// The column on the x axis.
    pub(super) x: String,
    /// The column on the y axis.
    pub(super) y: String,
    pub(super) x_label: String,
    pub(super) y_label: String,
    /// Empty for a figure without title.
    pub(super) title: String,
    /// The column whose values split the rows into groups.
    pub(super) group: Option<String>,
    /// The columns with the lower and upper bounds of y.
    pub(super) interval: Option<(String, String)>,
}

impl Options {
    /// Axes labelled with the names of their columns.
    pub(super) fn new(x: &str, y: &str) -> Self {
        Self {
            x: x.to_owned(),
            y: y.to_owned(),
            x_label: x.to_owned(),
            y_label: y.to_owned(),
            title: String::new(),
            group: None,
            interval: None,
        }
    }
}

/// Adds the named builder methods to a type with a field `options: Options`.
macro_rules! builder_methods {
    ($axes:ty: $($method:ident),+) => {
        impl $axes {
            $(builder_methods!(@$method);)+
        }
    };
    (@x_label) => {
        /// Sets the label of the x axis; the default is the name of its column.
        #[must_use]
        pub fn x_label(mut self, label: &str) -> Self {
            label.clone_into(&mut self.options.x_label);
            self
        }
    };
    (@y_label) => {
        /// Sets the label of the y axis; the default is the name of its column.
        #[must_use]
        pub fn y_label(mut self, label: &str) -> Self {
            label.clone_into(&mut self.options.y_label);
            self
        }
    };
    (@title) => {
        /// Sets the title of the figure; by default it has none.
        #[must_use]
        pub fn title(mut self, title: &str) -> Self {
            title.clone_into(&mut self.options.title);
            self
        }
    };
    (@group) => {
        /// Splits the rows into groups by the values of `column`, which differ in colour.
        #[must_use]
        pub fn group(mut self, column: &str) -> Self {
            self.options.group = Some(column.to_owned());
            self
        }
    };
    (@interval) => {
        /// Draws the interval of each value, whose bounds are in the columns `low` and `high`.
        #[must_use]
        pub fn interval(mut self, low: &str, high: &str) -> Self {
            self.options.interval = Some((low.to_owned(), high.to_owned()));
            self
        }
    };
}

pub(super) use builder_methods;

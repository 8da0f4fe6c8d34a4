//! What was measured.

/// Everything that one run has measured.
#[derive(Default)]
pub struct Results {
    /// Comparisons of two sides.
    pub rows: Vec<Row>,
    /// Things that grow.
    pub series: Vec<Series>,
    /// Numbers without a side to compare with.
    pub notes: Vec<Note>,
    /// What a first load in place and an unload execute, by function; empty if it was not counted.
    pub profile: Vec<FunctionCost>,
    /// How many system calls they make by name, and how many a plain dlopen and dlclose.
    pub system_calls: Vec<(String, [f64; 2])>,
}

/// What a function executes, with those that it calls.
pub struct FunctionCost {
    pub name: String,
    pub instructions: f64,
}

/// One comparison, by the medians of both sides.
pub struct Row {
    /// Which one; see `goals.rs`.
    pub id: &'static str,
    /// What was done.
    pub what: String,
    /// Who did the same.
    pub against: String,
    /// Of `ours` and `theirs`.
    pub unit: Unit,
    /// relib's median.
    pub ours: f64,
    /// The other side's median.
    pub theirs: f64,
    /// How often each side was measured.
    pub rounds: usize,
}

impl Row {
    /// How many times as long relib takes.
    pub fn ratio(&self) -> f64 {
        self.ours / self.theirs
    }
}

/// What a number counts.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Unit {
    Nanoseconds,
    Instructions,
    Bytes,
    Calls,
    Faults,
}

impl Unit {
    /// A readable form.
    pub fn show(self, value: f64) -> String {
        let (value, unit) = match self {
            Self::Nanoseconds if value >= 1e6 => (value / 1e6, "ms"),
            Self::Nanoseconds if value >= 1e3 => (value / 1e3, "µs"),
            Self::Nanoseconds => (value, "ns"),
            Self::Instructions => (value, "instructions"),
            Self::Bytes => (value / f64::from(1 << 20), "MiB"),
            Self::Calls => (value, "calls"),
            Self::Faults => (value, "faults"),
        };
        let is_count = matches!(self, Self::Instructions | Self::Calls | Self::Faults);
        let decimals = if value.abs() >= 100.0 || is_count { 0 } else { 2 };
        format!("{value:.decimals$} {unit}")
    }
}

/// A number that stands for itself.
pub struct Note {
    pub what: String,
    pub unit: Unit,
    pub value: f64,
}

/// How something grows with a count.
pub struct Series {
    /// File name of its plot.
    pub id: &'static str,
    pub title: &'static str,
    pub x: &'static str,
    pub y: &'static str,
    pub unit: Unit,
    /// Lines by their names, of points.
    pub lines: Vec<(&'static str, Vec<(f64, f64)>)>,
}

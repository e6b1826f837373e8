//! Figures of a run: slices as they were measured, and medians over rounds.

use anyhow::{Context, Result};
use serde::Serialize;

/// What one slice of one case on one target gave. What a case does not measure is absent.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Figures {
    pub cpu_us_per_query: Option<f64>,
    pub qps: Option<f64>,
    pub p50_ms: Option<f64>,
    pub p95_ms: Option<f64>,
    pub p99_ms: Option<f64>,
    pub megabytes_per_second: Option<f64>,
    pub cpu_us_per_megabyte: Option<f64>,
    pub bytes_per_client: Option<f64>,
    /// Share of one core while all clients are silent.
    pub idle_cpu: Option<f64>,
}

/// Medians of one case on one target.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    pub case: String,
    pub target: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_us_per_query: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub qps: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p50_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p95_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub p99_ms: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub megabytes_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cpu_us_per_megabyte: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub bytes_per_client: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub idle_cpu: Option<f64>,
    /// Largest minus smallest of the rounds' main figure, over its median.
    pub spread: f64,
    pub rounds: usize,
    /// False if somebody else's work disturbed it and stayed.
    pub sound: bool,
}

impl Row {
    pub(crate) fn of(case: &str, target: &str, slices: &[Figures], sound: bool) -> Self {
        let over = |figure: fn(&Figures) -> Option<f64>| median(slices.iter().filter_map(figure).collect());
        let main: Vec<f64> = slices.iter().filter_map(Figures::main).collect();
        Self {
            case: case.into(),
            target: target.into(),
            cpu_us_per_query: over(|f| f.cpu_us_per_query),
            qps: over(|f| f.qps),
            p50_ms: over(|f| f.p50_ms),
            p95_ms: over(|f| f.p95_ms),
            p99_ms: over(|f| f.p99_ms),
            megabytes_per_second: over(|f| f.megabytes_per_second),
            cpu_us_per_megabyte: over(|f| f.cpu_us_per_megabyte),
            bytes_per_client: over(|f| f.bytes_per_client),
            idle_cpu: over(|f| f.idle_cpu),
            spread: spread(&main),
            rounds: slices.len(),
            sound,
        }
    }
}

impl Figures {
    fn main(&self) -> Option<f64> {
        self.cpu_us_per_query.or(self.cpu_us_per_megabyte).or(self.bytes_per_client).or(self.qps)
    }
}

/// All rows of a run, in the order of the cases.
#[derive(Debug, Clone, Default, Serialize)]
pub(crate) struct Report {
    pub rows: Vec<Row>,
}

impl Report {
    pub(crate) fn to_json(&self) -> Result<String> {
        serde_json::to_string_pretty(self).context("write the report")
    }

    pub(crate) fn sound(&self) -> bool {
        self.rows.iter().all(|row| row.sound)
    }

    /// The rows of a case.
    pub(crate) fn of<'a>(&'a self, case: &'a str) -> impl Iterator<Item = &'a Row> {
        self.rows.iter().filter(move |row| row.case == case)
    }
}

pub(crate) fn median(mut values: Vec<f64>) -> Option<f64> {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    let upper = *values.get(middle)?;
    Some(if values.len() % 2 == 1 { upper } else { (values[middle - 1] + upper) / 2.0 })
}

fn spread(values: &[f64]) -> f64 {
    let (mut low, mut high) = (f64::INFINITY, 0.0f64);
    for value in values {
        low = low.min(*value);
        high = high.max(*value);
    }
    median(values.to_vec()).filter(|m| *m > 0.0).map_or(0.0, |m| (high - low) / m)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_is_the_median_of_its_slices() {
        let slice =
            |cpu: f64| Figures { cpu_us_per_query: Some(cpu), qps: Some(1000.0), ..Figures::default() };
        let row = Row::of("c", "t", &[slice(10.0), slice(14.0), slice(11.0)], true);
        assert_eq!(row.cpu_us_per_query, Some(11.0));
        assert_eq!(row.p50_ms, None);
        assert!((row.spread - 4.0 / 11.0).abs() < 1e-9);
        let report = Report { rows: vec![row] };
        assert!(report.to_json().expect("json").contains("\"cpu_us_per_query\": 11.0"));
    }

    #[test]
    fn an_even_number_has_its_median_between_two() {
        assert_eq!(median(vec![4.0, 1.0, 2.0, 3.0]), Some(2.5));
        assert_eq!(median(Vec::new()), None);
    }
}

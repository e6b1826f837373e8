//! One picture: processor time of a query, by case and target. Plain SVG, no library: rectangles and words.

use std::fmt::Write;

use super::figures::{Report, Row};

const BAR: usize = 14;
const LEFT: usize = 260;
const WIDTH: usize = 460;

/// Bars of `cpu_us_per_query`.
pub(crate) fn cpu(report: &Report) -> String {
    let rows: Vec<&Row> = report.rows.iter().filter(|row| row.cpu_us_per_query.is_some()).collect();
    let largest = rows.iter().filter_map(|row| row.cpu_us_per_query).fold(1.0, f64::max);
    let height = 40 + rows.len() * (BAR + 4);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {height}\" font-family=\"sans-serif\" font-size=\"11\">\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n<text x=\"10\" y=\"18\">CPU of one query, µs (less is better)</text>\n",
        LEFT + WIDTH + 60
    );
    for (index, row) in rows.iter().enumerate() {
        let value = row.cpu_us_per_query.unwrap_or_default();
        let y = 30 + index * (BAR + 4);
        let colour = if row.target == "proxyd" { "#1b6ca8" } else { "#b8c4ce" };
        // Writing to a String cannot fail.
        let _ = writeln!(
            svg,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{} {}</text><rect x=\"{LEFT}\" y=\"{y}\" width=\"{:.0}\" \
             height=\"{BAR}\" fill=\"{colour}\"/><text x=\"{:.0}\" y=\"{}\">{value:.1}</text>",
            LEFT - 6,
            y + 11,
            row.case,
            row.target,
            value / largest * WIDTH as f64,
            LEFT as f64 + 6.0 + value / largest * WIDTH as f64,
            y + 11,
        );
    }
    svg.push_str("</svg>\n");
    svg
}

#[cfg(test)]
mod tests {
    use super::super::figures::Figures;
    use super::*;

    #[test]
    fn every_row_with_a_figure_has_a_bar() {
        let slice = Figures { cpu_us_per_query: Some(3.0), ..Figures::default() };
        let rows =
            vec![Row::of("a", "proxyd", &[slice], true), Row::of("a", "direct", &[Figures::default()], true)];
        let svg = cpu(&Report { rows });
        assert_eq!(svg.matches("<rect").count(), 2);
        assert!(svg.contains("a proxyd") && !svg.contains("a direct"));
    }
}

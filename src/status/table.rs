//! Columns of text, as wide as their widest cell.

/// Rows under a title row; numbers to the right. Two blanks between columns, two before the first.
pub(crate) fn table(titles: &[&str], rows: &[Vec<String>]) -> String {
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.chars().count());
        let title = titles.get(column).map_or(0, |title| title.len());
        cells.max().unwrap_or_default().max(title)
    };
    let numeric = |column: usize| {
        let mut cells = rows.iter().filter_map(|row| row.get(column)).peekable();
        cells.peek().is_some() && cells.all(|cell| cell == "-" || cell.bytes().all(|it| it.is_ascii_digit()))
    };
    let line = |cells: &mut dyn Iterator<Item = &str>| {
        let mut line = String::new();
        for (column, cell) in cells.enumerate() {
            let width = width(column);
            let padded =
                if numeric(column) { format!("  {cell:>width$}") } else { format!("  {cell:width$}") };
            line.push_str(&padded);
        }
        format!("{}\n", line.trim_end())
    };
    let mut text = line(&mut titles.iter().copied());
    for row in rows {
        text.push_str(&line(&mut row.iter().map(String::as_str)));
    }
    text
}

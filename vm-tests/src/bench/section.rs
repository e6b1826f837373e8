//! A table in a file, between two comments that name it.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Prints a table, and puts it into a file's place of this name if one is given; of figures that are not `sound` the file gets none.
pub(super) fn publish(name: &str, table: &str, sound: bool, file: Option<&Path>) -> Result<()> {
    println!("\n{table}");
    let Some(path) = file else { return Ok(()) };
    ensure!(sound, "{} is not rewritten: some figures were disturbed", path.display());
    rewrite(path, name, table)
}

/// Puts a new table into the place of this name.
fn rewrite(path: &Path, name: &str, table: &str) -> Result<()> {
    let text = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    fs::write(path, replaced(&text, name, table)?).with_context(|| format!("write {}", path.display()))
}

fn replaced(file: &str, name: &str, table: &str) -> Result<String> {
    let [begin, end] = ["begin", "end"].map(|side| format!("<!-- {name}: {side} -->"));
    let (before, rest) = file.split_once(&begin).with_context(|| format!("no line {begin}"))?;
    let (_, after) = rest.split_once(&end).with_context(|| format!("no line {end}"))?;
    Ok(format!("{before}{begin}\n\n{table}\n{end}{after}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_place_of_the_table_changes() {
        let file = "a\n<!-- t: begin -->\nold\n<!-- t: end -->\nb\n";
        let new = replaced(file, "t", "| t |\n").expect("markers");
        assert_eq!(new, "a\n<!-- t: begin -->\n\n| t |\n\n<!-- t: end -->\nb\n");
        assert!(replaced(file, "u", "| t |\n").is_err());
    }
}

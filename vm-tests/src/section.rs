//! A table in a file, between two comments that name it: `<!-- name: begin -->` and `<!-- name: end -->`.

use std::fs;
use std::path::Path;

use anyhow::{Context, Result, ensure};

/// Prints a table, and puts it into a file's place of this name if one is given; of figures that are not `sound` the file gets none.
pub(crate) fn publish(name: &str, table: &str, sound: bool, file: Option<&Path>) -> Result<()> {
    println!("\n{table}");
    let Some(path) = file else { return Ok(()) };
    ensure!(sound, "{} is not rewritten: some figures were disturbed", path.display());
    edit(path, name, |_| Ok(table.to_owned()))
}

/// Puts into the place of this name what becomes of the table that is there.
pub(crate) fn edit(path: &Path, name: &str, change: impl FnOnce(&str) -> Result<String>) -> Result<()> {
    let file = fs::read_to_string(path).with_context(|| format!("read {}", path.display()))?;
    let new =
        edited(&file, name, change).with_context(|| format!("the table {name} of {}", path.display()))?;
    fs::write(path, new).with_context(|| format!("write {}", path.display()))
}

fn edited(file: &str, name: &str, change: impl FnOnce(&str) -> Result<String>) -> Result<String> {
    let [begin, end] = ["begin", "end"].map(|side| format!("<!-- {name}: {side} -->"));
    let (before, rest) = file.split_once(&begin).with_context(|| format!("no line {begin}"))?;
    let (old, after) = rest.split_once(&end).with_context(|| format!("no line {end}"))?;
    Ok(format!("{before}{begin}\n\n{}\n\n{end}{after}", change(old.trim())?.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_place_of_the_table_changes() {
        let file = "a\n<!-- t: begin -->\n\nold\n\n<!-- t: end -->\nb\n";
        let new = edited(file, "t", |old| Ok(format!("| {old} |\n"))).expect("markers");
        assert_eq!(new, "a\n<!-- t: begin -->\n\n| old |\n\n<!-- t: end -->\nb\n");
        assert!(edited(file, "u", |_| Ok(String::new())).is_err());
        assert!(edited("<!-- t: begin -->\n", "t", |_| Ok(String::new())).is_err());
    }
}

//! CSV files that say which class each picture belongs to.

use std::collections::BTreeMap;

use super::error::DatasetError;
use super::layout::Names;
use super::names;

/// Headings of the column with the files, and of that with the classes.
const FILE: [&str; 6] = ["file", "filename", "file_name", "path", "image", "picture"];
const LABEL: [&str; 3] = ["label", "class", "category"];

/// A picture and its class.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    /// The CSV file, with the source in front, and the line in it from 1.
    pub table: String,
    pub line: usize,
    /// The picture's path below the source.
    pub file: Names,
    pub label: String,
}

/// The rows of all CSV files that have both columns; the others are not the data set's business.
pub(super) fn rows(place: &str, tables: &BTreeMap<Names, Vec<u8>>) -> Result<Vec<Row>, DatasetError> {
    let mut rows = Vec::new();
    for (path, bytes) in tables {
        let table = format!("{place}/{}", path.join("/"));
        let lines = bytes.split(|&byte| byte == b'\n').map(|line| line.strip_suffix(b"\r").unwrap_or(line));
        let mut lines = lines.enumerate().filter(|(_, line)| !line.trim_ascii().is_empty());
        let Some((_, heading)) = lines.next() else { continue };
        let heading = cells(names::readable(heading).trim_start_matches('\u{feff}'));
        let heading: Vec<String> = heading.iter().map(|cell| cell.to_lowercase()).collect();
        let column = |known: &[&str]| heading.iter().position(|cell| known.contains(&cell.as_str()));
        let (Some(file), Some(label)) = (column(&FILE), column(&LABEL)) else { continue };
        for (index, line) in lines {
            let cells = cells(&names::readable(line));
            let bad =
                |problem: String| DatasetError::Table { table: table.clone(), line: index + 1, problem };
            let needed = file.max(label) + 1;
            if cells.len() < needed {
                return Err(bad(format!("{} column(s), but the heading has {needed} or more", cells.len())));
            }
            let mut names: Names = path[..path.len() - 1].to_vec();
            for part in cells[file].split(['/', '\\']).filter(|part| !part.is_empty() && *part != ".") {
                if part == ".." {
                    return Err(bad(format!("`{}` leaves the data set", cells[file])));
                }
                names.push(part.to_owned());
            }
            if cells[label].is_empty() {
                return Err(bad("no label".into()));
            }
            let label = cells[label].clone();
            rows.push(Row { table: table.clone(), line: index + 1, file: names, label });
        }
    }
    Ok(rows)
}

/// The cells of a line; quotation marks keep commas, doubled ones are one.
fn cells(line: &str) -> Vec<String> {
    let mut cells = vec![String::new()];
    let mut is_quoted = false;
    let mut characters = line.chars().peekable();
    while let Some(character) = characters.next() {
        let cell = cells.last_mut().expect("there is a cell");
        match character {
            '"' if is_quoted && characters.peek() == Some(&'"') => cell.extend(characters.next()),
            '"' => is_quoted = !is_quoted,
            ',' if !is_quoted => cells.push(String::new()),
            character => cell.push(character),
        }
    }
    cells.into_iter().map(|cell| cell.trim().to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_may_be_quoted() {
        assert_eq!(cells(r#"a.jpg, "x, ""y""",z"#), ["a.jpg", r#"x, "y""#, "z"]);
        assert_eq!(cells(""), [""]);
    }

    #[test]
    fn only_tables_of_labels_count() {
        let table = |text: &str| BTreeMap::from([(vec!["d".to_owned(), "x.csv".to_owned()], text.into())]);
        assert_eq!(rows("set", &table("epoch,loss\n1,2\n")).unwrap(), []);
        let found = rows("set", &table("\u{feff}Label,File\n\na,1.jpg\n")).unwrap();
        let file = vec!["d".to_owned(), "1.jpg".to_owned()];
        assert_eq!(found, [Row { table: "set/d/x.csv".into(), line: 3, file, label: "a".into() }]);
        let outside = rows("set", &table("file,label\n../1.jpg,a\n")).unwrap_err().to_string();
        assert!(outside.contains("line 2") && outside.contains("leaves the data set"), "{outside}");
    }
}

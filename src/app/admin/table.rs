//! Columns of text on standard output.

use unicode_width::UnicodeWidthStr;

use super::super::output::stdout;
use crate::ui::sanitize;

/// Space between two columns.
const GAP: &str = "  ";

/// Rows of cells under a heading.
#[derive(Debug)]
pub(super) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(super) fn new(heading: &[&str]) -> Self {
        Self { rows: vec![heading.iter().map(|cell| (*cell).to_owned()).collect()] }
    }

    /// Adds a row; steering characters are removed and line ends become spaces.
    pub(super) fn row(&mut self, cells: Vec<String>) {
        self.rows.push(cells.iter().map(|cell| sanitize(&cell.replace(['\n', '\t'], " "))).collect());
    }

    /// Writes the rows, each column as wide as its widest cell.
    pub(super) fn print(&self) -> Result<(), super::super::Error> {
        let mut out = stdout();
        for line in self.lines() {
            writeln!(out, "{line}")?;
        }
        Ok(())
    }

    fn lines(&self) -> Vec<String> {
        let columns = self.rows.iter().map(Vec::len).max().unwrap_or(0);
        let width = |column: usize| {
            self.rows.iter().filter_map(|row| row.get(column)).map(|cell| cell.width()).max().unwrap_or(0)
        };
        let widths: Vec<usize> = (0..columns).map(width).collect();
        let padded =
            |(cell, width): (&String, &usize)| format!("{cell}{}", " ".repeat(width - cell.width().min(*width)));
        self.rows
            .iter()
            .map(|row| row.iter().zip(&widths).map(padded).collect::<Vec<_>>().join(GAP).trim_end().to_owned())
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_stand_under_each_other_whatever_the_script() {
        let mut table = Table::new(&["name", "text"]);
        table.row(vec!["生日".into(), "a\nb".into()]);
        table.row(vec!["x".into(), "\u{1b}[31mred".into()]);
        assert_eq!(table.lines(), ["name  text", "生日  a b", "x     [31mred"]);
    }
}

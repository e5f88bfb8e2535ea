//! Tables: each row as `head: value; head: value`, so that a row that is found explains itself.

use csv::ReaderBuilder;

use super::collector::Collector;
use super::error::Error;
use crate::types::{Place, Unit};

/// Columns that are read of a row; the rest is left out.
const MAX_COLUMNS: usize = 1000;

/// Reads a table; the separator is the commonest of the usual ones in the first line, unless it is given.
pub(super) fn read(text: &str, separator: Option<u8>, out: &mut Collector) -> Result<(), Error> {
    let mut reader = ReaderBuilder::new()
        .delimiter(separator.unwrap_or_else(|| separator_of(text)))
        .has_headers(false)
        .flexible(true)
        .from_reader(text.as_bytes());
    let mut head: Option<Vec<String>> = None;
    for (number, record) in (1_u64..).zip(reader.records()) {
        let record = record.map_err(|error| Error::Damaged { reason: error.to_string() })?;
        let cells: Vec<&str> = record.iter().take(MAX_COLUMNS).map(str::trim).collect();
        if number == 1 && is_head(&cells) {
            head = Some(cells.iter().map(|cell| (*cell).to_owned()).collect());
        }
        let named = head.as_ref().filter(|_| number > 1);
        let row = cells
            .iter()
            .enumerate()
            .filter(|(_, cell)| !cell.is_empty())
            .map(|(column, cell)| match named.and_then(|head| head.get(column)) {
                Some(name) => format!("{name}: {cell}"),
                None => (*cell).to_owned(),
            })
            .collect::<Vec<_>>()
            .join("; ");
        out.push(Place::at(Unit::Row, number), &row)?;
    }
    Ok(())
}

fn separator_of(text: &str) -> u8 {
    let line = text.lines().next().unwrap_or_default();
    let count = |separator: u8| {
        let mut quoted = false;
        line.bytes()
            .filter(|byte| {
                quoted ^= *byte == b'"';
                !quoted && *byte == separator
            })
            .count()
    };
    // The last of equals wins: without any separator it is the comma.
    [b'|', b'\t', b';', b','].into_iter().max_by_key(|separator| count(*separator)).unwrap_or(b',')
}

/// Names of columns: several, none empty, none a number, no two the same.
fn is_head(cells: &[&str]) -> bool {
    let is_name = |cell: &&str| !cell.is_empty() && cell.parse::<f64>().is_err();
    let distinct: std::collections::HashSet<&&str> = cells.iter().collect();
    cells.len() > 1 && cells.iter().all(is_name) && distinct.len() == cells.len()
}

#[cfg(test)]
mod tests {
    use crate::documents::{Format, Limits, read};

    fn rows(text: &str, format: Format) -> Vec<(String, String)> {
        let document = read(text.as_bytes(), format, &Limits::default()).unwrap();
        document.pieces.into_iter().map(|piece| (piece.place.to_string(), piece.text)).collect()
    }

    fn row(place: &str, text: &str) -> (String, String) {
        (place.to_owned(), text.to_owned())
    }

    #[test]
    fn rows_carry_the_names_of_their_columns() {
        let found = rows("name;town\n\"Ilva; the tuner\";Tartu\nOsk\n", Format::Csv);
        assert_eq!(
            found,
            [row("row 1", "name; town"), row("row 2", "name: Ilva; the tuner; town: Tartu"), row("row 3", "name: Osk")]
        );
    }

    #[test]
    fn a_table_without_a_head_and_with_tabs_is_read_as_well() {
        assert_eq!(rows("1\t2\n3\t\t4\n", Format::Tsv), [row("row 1", "1; 2"), row("row 2", "3; 4")]);
        assert_eq!(rows("a single column\nsecond\n", Format::Csv)[1], row("row 2", "second"));
    }
}

//! Formats tables in Markdown, and their numbers.

/// Returns a table with aligned columns. The first line is the head; all columns but the first are numbers.
pub fn markdown(lines: &[Vec<String>]) -> String {
    let columns = lines.iter().map(Vec::len).max().unwrap_or_default();
    let width =
        |column: usize| lines.iter().filter_map(|cells| cells.get(column)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|column| width(column).unwrap_or_default().max(2)).collect();
    let mut table = String::new();
    for (i, cells) in lines.iter().enumerate() {
        for (column, (cell, width)) in cells.iter().zip(&widths).enumerate() {
            table += &if column == 0 { format!("| {cell:width$} ") } else { format!("| {cell:>width$} ") };
        }
        table += "|\n";
        if i == 0 {
            let rules = widths.iter().enumerate().map(|(column, width)| match column {
                0 => format!("| {} ", "-".repeat(*width)),
                _ => format!("| {}: ", "-".repeat(width - 1)),
            });
            table += &format!("{}|\n", rules.collect::<String>());
        }
    }
    table
}

/// Formats a number with thousands separators, and small ones with a decimal.
pub fn thousands(value: f64) -> String {
    if value < 100.0 {
        return format!("{value:.1}");
    }
    let digits = format!("{value:.0}");
    let groups: Vec<_> = digits.as_bytes().rchunks(3).rev().map(String::from_utf8_lossy).collect();
    groups.join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_formatted() {
        assert_eq!([12.34, 123.4, 1234.5, 1_234_567.0].map(thousands), ["12.3", "123", "1,234", "1,234,567"]);
    }
}

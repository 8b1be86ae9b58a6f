//! Tables for people: the first column to the left, numbers to the right.

#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<Vec<String>>,
}

impl Table {
    pub(crate) fn new(columns: &[&str]) -> Self {
        let mut table = Table::default();
        table.row(columns.iter().map(|&it| it.to_owned()));
        table
    }

    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = String>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// Markdown, so that it can be pasted as it is.
    pub(crate) fn text(&self) -> String {
        let Some(head) = self.rows.first() else {
            return String::new();
        };
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells.map(|cell| cell.chars().count()).fold(3, usize::max)
        };
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        let rule = |(column, &width): (usize, &usize)| match column {
            0 => "-".repeat(width),
            _ => format!("{}:", "-".repeat(width - 1)),
        };
        let rules: Vec<String> = widths.iter().enumerate().map(rule).collect();
        let rows = self.rows[..1].iter().chain([&rules]).chain(&self.rows[1..]);
        rows.map(|row| row_text(row, &widths)).collect()
    }
}

fn row_text(row: &[String], widths: &[usize]) -> String {
    let cells = row.iter().zip(widths).enumerate();
    let cells: Vec<String> = cells
        .map(|(column, (cell, &width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        })
        .collect();
    format!("| {} |\n", cells.join(" | "))
}

/// `12,345`
pub(crate) fn thousands(number: f64) -> String {
    let digits = format!("{:.0}", number.abs());
    let mut text = String::from(if number <= -0.5 { "-" } else { "" });
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Other programs used so much of the CPUs that the figures are doubtful.
const OTHERS_SHARE_MAX: f64 = 0.03;

/// A sentence for a run that was disturbed, by the share of the CPUs that others had.
pub(crate) fn doubts(others_share: f64) -> String {
    if others_share <= OTHERS_SHARE_MAX {
        return String::new();
    }
    format!(
        "\nDoubtful: other programs had {:.0} % of the CPUs meanwhile. Run it again on a quiet machine.\n",
        others_share * 100.0
    )
}

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn thousands_are_grouped() {
        let texts = [0.4, 999.0, 1000.0, -1_234_567.0].map(thousands);
        assert_eq!(texts, ["0", "999", "1,000", "-1,234,567"]);
    }
}

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

    /// In Markdown, so that it can be pasted as it is.
    pub(crate) fn print(&self) {
        let Some(head) = self.rows.first() else {
            return;
        };
        let width = |column: usize| {
            let cells = self.rows.iter().filter_map(|row| row.get(column));
            cells
                .map(|cell| cell.chars().count())
                .max()
                .unwrap_or(0)
                .max(3)
        };
        let widths: Vec<usize> = (0..head.len()).map(width).collect();
        for (index, row) in self.rows.iter().enumerate() {
            print_row(row, &widths);
            if index == 0 {
                let rule = |(column, &width): (usize, &usize)| match column {
                    0 => "-".repeat(width),
                    _ => format!("{}:", "-".repeat(width - 1)),
                };
                let rules: Vec<String> = widths.iter().enumerate().map(rule).collect();
                print_row(&rules, &widths);
            }
        }
    }
}

fn print_row(row: &[String], widths: &[usize]) {
    let cells = row.iter().zip(widths).enumerate();
    let cells: Vec<String> = cells
        .map(|(column, (cell, &width))| match column {
            0 => format!("{cell:<width$}"),
            _ => format!("{cell:>width$}"),
        })
        .collect();
    println!("| {} |", cells.join(" | "));
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

#[cfg(test)]
mod tests {
    use super::thousands;

    #[test]
    fn thousands_are_grouped() {
        let texts = [0.4, 999.0, 1000.0, -1_234_567.0].map(thousands);
        assert_eq!(texts, ["0", "999", "1,000", "-1,234,567"]);
    }
}

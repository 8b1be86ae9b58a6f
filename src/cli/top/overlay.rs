//! What stands in front of the list: the explanation, and one session in detail.

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Style};
use ratatui::text::Line;
use ratatui::widgets::{Block, Clear, Paragraph};

use super::model::{Front, Model};
use crate::cli::table::plain;

const HELP: &str = "\
core      share of the time in which its thread was at work, and its connections
sessions  of how many there may be; streams are what is open for events
slow      connections whose client does not take what is written to it: its
          session is marked with ! and is first if sorted by p. One without
          a session: GET /connections?state=slow of the admin listener
errors    answers that are JSON-RPC errors, or tools that failed
p50 p99   half of them, and all but one in a hundred, took at most that:
          over the last looks, by the bounds that a node counts at
memory    held of the node's budget; `short` counts what it had to refuse

↑ ↓ PgUp PgDn Home End   select            enter   the session in detail
a p l   sort by age, pending bytes, last activity     r   turn the order
/   find in names, clients and principals             e   end, after a question
q   leave                                             any key closes this";

pub(super) fn draw(frame: &mut Frame<'_>, model: &Model) {
    let (title, lines) = match &model.front {
        Front::List | Front::Filter | Front::EndQuestion { .. } => return,
        Front::Help => (
            " what is shown ".to_owned(),
            HELP.lines().map(Line::from).collect(),
        ),
        Front::Detail { name, lines } => {
            let title = format!(" {}  e ends it, esc closes ", plain(name));
            let lines = match lines {
                Some(lines) => lines.iter().map(|line| Line::from(line.clone())).collect(),
                None => vec![Line::from("asking…")],
            };
            (title, lines)
        }
    };
    let area = within(frame.area(), &lines);
    frame.render_widget(Clear, area);
    let block = Block::bordered()
        .title(title)
        .border_style(Style::new().fg(Color::Cyan));
    frame.render_widget(Paragraph::new(lines).block(block), area);
}

/// As large as the lines are, in the middle.
fn within(area: Rect, lines: &[Line<'_>]) -> Rect {
    let widest = lines.iter().map(Line::width).max().unwrap_or(0).max(60);
    let wanted = |count: usize| u16::try_from(count + 2).unwrap_or(u16::MAX);
    let (width, height) = (
        wanted(widest).min(area.width),
        wanted(lines.len()).min(area.height),
    );
    Rect {
        x: area.x + (area.width - width) / 2,
        y: area.y + (area.height - height) / 2,
        width,
        height,
    }
}

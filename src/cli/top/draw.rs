//! One frame: a function of the model and of the size of the terminal.
//!
//! ```text
//! which node, how it is                          ← a line, and two more if it does not answer
//! its cores, with bars                           ← a few lines
//! what there is, what is going on, how long it takes
//! the sessions                                   ← the rest
//! keys, or what is asked
//! ```

use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Cell, Paragraph, Row, Table, TableState, Wrap};
use serde_json::Value;

use super::model::{Front, Model};
use super::overlay;
use super::rates::Quantile;
use super::sample::NodeSample;
use crate::cli::memory_estimate::human_bytes;
use crate::cli::sessions::{OrderChoice, SortChoice, client, principal, state};
use crate::cli::table::{cut, plain, short_time};

/// Columns of a core: number, bar, share, sessions.
const CORE_COLUMNS: u16 = 38;
const BAR_CELLS: usize = 12;
/// From here on there is room for all that is known of a session.
const WIDE_FROM: u16 = 140;

const DIM: Style = Style::new().fg(Color::DarkGray);
const BAD: Style = Style::new().fg(Color::Red).add_modifier(Modifier::BOLD);
const GOOD: Style = Style::new().fg(Color::Green);
const HEAD: Style = Style::new().add_modifier(Modifier::BOLD);

pub(super) fn draw(frame: &mut Frame<'_>, model: &Model) {
    let area = frame.area();
    let is_whole = model.fault.is_none() && model.unanswered.is_empty();
    let fault_lines = if is_whole { 0 } else { 2 };
    let core_lines = core_lines(model, area);
    let layout = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(fault_lines),
        Constraint::Length(core_lines),
        Constraint::Length(4),
        Constraint::Min(2),
        Constraint::Length(1),
    ]);
    let [head, fault, cores, numbers, table, foot] = layout.areas(area);
    frame.render_widget(head_line(model), head);
    if let Some(sentence) = &model.fault {
        let every = short_time(model.interval_ms);
        let text = format!("NO ANSWER, trying again every {every}: {}", plain(sentence));
        let text = Paragraph::new(text).style(BAD).wrap(Wrap { trim: true });
        frame.render_widget(text, fault);
    } else if !is_whole {
        let text = Paragraph::new(model.unanswered.join("; "));
        frame.render_widget(text.style(BAD).wrap(Wrap { trim: true }), fault);
    }
    frame.render_widget(Paragraph::new(cores_text(model, cores)), cores);
    frame.render_widget(Paragraph::new(numbers_text(model)), numbers);
    draw_table(frame, model, table);
    frame.render_widget(foot_line(model), foot);
    overlay::draw(frame, model);
}

fn head_line(model: &Model) -> Line<'static> {
    let Some(node) = model.node() else {
        return Line::from(vec![
            Span::styled("pinfold top", HEAD),
            Span::raw(format!("  {}", plain(&model.base))),
        ]);
    };
    let state = match (&model.fault, node.state.as_str()) {
        (Some(_), _) => Span::styled("no answer", BAD),
        (None, "ready") => Span::styled("ready", GOOD),
        (None, other) => Span::styled(plain(other), BAD),
    };
    let up = short_time((node.uptime_s * 1000.0) as u64);
    Line::from(vec![
        Span::styled(format!("pinfold {}", plain(&node.version)), HEAD),
        Span::raw(match node.node.contains(',') {
            true => format!("  nodes {}  ", plain(&node.node)),
            false => format!("  node {}  ", plain(&node.node)),
        }),
        state,
        Span::raw(format!("  up {up}  {}  ", plain(&node.driver))),
        Span::styled(plain(&model.base), DIM),
    ])
}

fn cores_in_line(area: Rect) -> usize {
    usize::from((area.width / CORE_COLUMNS).max(1))
}

/// A quarter of the screen at most.
fn core_lines(model: &Model, area: Rect) -> u16 {
    let cores = model.node().map_or(0, |node| node.cores.len());
    let wanted = cores.div_ceil(cores_in_line(area));
    u16::try_from(wanted)
        .unwrap_or(u16::MAX)
        .min((area.height / 6).max(1))
}

fn cores_text(model: &Model, area: Rect) -> Vec<Line<'static>> {
    let Some(node) = model.node() else {
        return Vec::new();
    };
    let in_line = cores_in_line(area);
    let room = in_line * usize::from(area.height);
    let shown = match node.cores.len() > room {
        true => room.saturating_sub(1),
        false => node.cores.len(),
    };
    let mut cells: Vec<Vec<Span<'static>>> =
        (0..shown).map(|at| core_cell(model, node, at)).collect();
    if shown < node.cores.len() {
        cells.push(vec![Span::styled(
            format!("and {} more", node.cores.len() - shown),
            DIM,
        )]);
    }
    cells
        .chunks(in_line)
        .map(|line| Line::from(line.concat()))
        .collect()
}

fn core_cell(model: &Model, node: &NodeSample, at: usize) -> Vec<Span<'static>> {
    let core = &node.cores[at];
    let busy = model
        .rates
        .as_ref()
        .and_then(|rates| rates.busy.get(at).copied());
    let filled = (busy.unwrap_or(0.0) * BAR_CELLS as f64).round() as usize;
    let filled = filled.min(BAR_CELLS);
    let share = busy.map_or("   -".to_owned(), |busy| format!("{:>3.0}%", busy * 100.0));
    let style = match busy {
        Some(busy) if busy >= 0.9 => BAD,
        _ => GOOD,
    };
    vec![
        Span::raw(match core.node.as_str() {
            "" => format!("core {:<3}", core.core),
            node => format!("{:<8}", cut(&format!("{} {}", plain(node), core.core), 8)),
        }),
        Span::styled("█".repeat(filled), style),
        Span::styled("░".repeat(BAR_CELLS - filled), DIM),
        Span::raw(format!(
            "{share} {:>6} conn  ",
            short_count(core.connections as f64)
        )),
    ]
}

fn numbers_text(model: &Model) -> Vec<Line<'static>> {
    let Some(node) = model.node() else {
        return Vec::new();
    };
    vec![
        there_line(node),
        rates_line(model),
        latency_line(model),
        room_line(node),
    ]
}

fn there_line(node: &NodeSample) -> Line<'static> {
    let (totals, limits) = (&node.totals, &node.limits);
    let count = |value: u64| short_count(value as f64);
    Line::from(format!(
        "{}/{} sessions  {}/{} conn  streams {} get {} post {} listen  {} calls",
        count(totals.sessions),
        count(limits.sessions_max),
        count(totals.connections),
        count(limits.connections_max),
        count(totals.streams.get),
        count(totals.streams.post),
        count(totals.streams.listen),
        count(totals.calls),
    ))
}

fn rates_line(model: &Model) -> Line<'static> {
    let rates = model.rates.as_ref();
    let rate = |of: Option<f64>| of.map_or("-".to_owned(), short_count);
    let errors = rates.map(|it| it.errors);
    let style = match errors {
        Some(errors) if errors > 0.0 => BAD,
        _ => Style::new(),
    };
    Line::from(vec![
        Span::raw(format!(
            "{} requests/s  {} published/s  {} deliveries/s  ",
            rate(rates.map(|it| it.requests)),
            rate(rates.map(|it| it.publications)),
            rate(rates.map(|it| it.deliveries)),
        )),
        Span::styled(format!("{} errors/s", rate(errors)), style),
    ])
}

fn latency_line(model: &Model) -> Line<'static> {
    let shown = |pair: Option<(Quantile, Quantile)>| match pair {
        Some((half, most)) => format!("p50 {} p99 {}", half.shown(), most.shown()),
        None => "none lately".to_owned(),
    };
    Line::from(format!(
        "operations {}  publish to last write {}",
        shown(model.latency(|it| &it.latency.operations)),
        shown(model.latency(|it| &it.latency.publish_to_last_write)),
    ))
}

fn room_line(node: &NodeSample) -> Line<'static> {
    let (memory, totals) = (&node.memory, &node.totals);
    let slow = match totals.blocked_streams {
        0 => Style::new(),
        _ => BAD,
    };
    let short = match memory.short_total {
        0 => Span::raw(""),
        times => Span::styled(format!("  short {} times", short_count(times as f64)), BAD),
    };
    Line::from(vec![
        Span::raw(format!(
            "memory {} of {}",
            human_bytes(memory.held_bytes),
            human_bytes(memory.budget_bytes)
        )),
        short,
        Span::raw(format!("  {} pending  ", human_bytes(totals.pending_bytes))),
        Span::styled(
            format!("{} slow", short_count(totals.blocked_streams as f64)),
            slow,
        ),
    ])
}

/// A column: its head, its width, and what stands in it.
type Column = (&'static str, Constraint, fn(&Value, u64) -> String);

fn columns(model: &Model, is_wide: bool) -> Vec<Column> {
    let number = Constraint::Length(if is_wide { 8 } else { 7 });
    let since: Column = match model.sort {
        SortChoice::Activity if !is_wide => ("IDLE", number, idle),
        _ => ("AGE", number, age),
    };
    let mut columns: Vec<Column> = vec![
        ("", Constraint::Length(1), |row, _| {
            let is_slow = row["blockedForMs"].is_u64();
            if is_slow { "!" } else { "" }.to_owned()
        }),
        ("NAME", Constraint::Length(29), |row, _| {
            plain(row["name"].as_str().unwrap_or("?"))
        }),
        ("CLIENT", Constraint::Fill(1), |row, _| client(row)),
        ("STATE", Constraint::Length(9), |row, _| state(row)),
        since,
    ];
    if is_wide {
        columns.push(("IDLE", number, idle));
        columns.push(("PRINCIPAL", Constraint::Length(32), |row, _| principal(row)));
        columns.push(("ERA", Constraint::Length(6), |row, _| {
            plain(row["era"].as_str().unwrap_or("?"))
        }));
        columns.push(("CORE", Constraint::Length(4), |row, _| counted(row, "core")));
        columns.push(("CALLS", Constraint::Length(6), |row, _| {
            counted(row, "calls")
        }));
        columns.push(("SUBSCR", Constraint::Length(6), |row, _| {
            counted(row, "subscriptions")
        }));
        columns.push(("REQUESTS", number, |row, _| counted(row, "requests")));
        columns.push(("EVENTS", number, |row, _| counted(row, "events")));
    }
    columns.push(("STR", Constraint::Length(3), |row, _| {
        counted(row, "streams")
    }));
    columns.push(("PENDING", Constraint::Length(9), |row, _| {
        human_bytes(row["pendingBytes"].as_u64().unwrap_or(0))
    }));
    columns
}

fn counted(row: &Value, member: &str) -> String {
    short_count(row[member].as_u64().unwrap_or(0) as f64)
}

fn age(row: &Value, now: u64) -> String {
    short_time(now.saturating_sub(row["createdAt"].as_u64().unwrap_or(now)))
}

fn idle(row: &Value, now: u64) -> String {
    short_time(now.saturating_sub(row["lastActive"].as_u64().unwrap_or(now)))
}

fn draw_table(frame: &mut Frame<'_>, model: &Model, area: Rect) {
    let columns = columns(model, area.width >= WIDE_FROM);
    let now = model.node().map_or(0, |node| node.now);
    let shown = model.rows();
    let rows = shown.iter().map(|row| {
        let cells = columns.iter().map(|(_, _, of)| Cell::new(of(row, now)));
        let style = match row["blockedForMs"].is_u64() {
            true => BAD,
            false if model.fault.is_some() => DIM,
            false => Style::new(),
        };
        Row::new(cells).style(style)
    });
    let heads = columns
        .iter()
        .map(|(head, _, _)| Cell::new(head_of(head, model)));
    let widths = columns.iter().map(|(_, width, _)| *width);
    let table = Table::new(rows, widths)
        .header(Row::new(heads).style(HEAD.add_modifier(Modifier::UNDERLINED)))
        .row_highlight_style(Style::new().add_modifier(Modifier::REVERSED));
    let mut at = TableState::new().with_selected(model.selected());
    frame.render_stateful_widget(table, area, &mut at);
}

/// With an arrow at the one that is sorted by.
fn head_of(head: &'static str, model: &Model) -> String {
    let sorted = match model.sort {
        SortChoice::Age => "AGE",
        SortChoice::Pending => "PENDING",
        SortChoice::Activity => "IDLE",
    };
    let arrow = match model.order {
        OrderChoice::Desc => "▼",
        OrderChoice::Asc => "▲",
    };
    if head == sorted {
        format!("{head}{arrow}")
    } else {
        head.to_owned()
    }
}

fn foot_line(model: &Model) -> Line<'static> {
    let shown = model.rows().len() as u64;
    match &model.front {
        Front::Filter => Line::from(format!(
            "/{}█  {shown} of {}  enter keeps it, esc drops it",
            plain(&model.filter),
            model.total
        )),
        Front::EndQuestion { name } => Line::styled(
            format!(
                "end {}? Its client begins again.  y ends it, any other key does not",
                plain(name)
            ),
            BAD,
        ),
        _ => match (&model.notice, model.filter.is_empty()) {
            (Some(notice), _) => Line::styled(plain(notice), HEAD),
            (None, false) => Line::from(format!(
                "{shown} of {} have \"{}\"  esc shows all  / changes it  ? help  q quit",
                model.total,
                cut(&plain(&model.filter), 24)
            )),
            (None, true) => Line::styled(
                "↑↓ select  ⏎ detail  e end  sort: a age p pending l last  r turn  / find  ? help",
                DIM,
            ),
        },
    }
}

/// Four characters or some more: `950`, `12.3k`, `1.20M`.
fn short_count(value: f64) -> String {
    let scaled = [(1e9, "G"), (1e6, "M"), (1e3, "k")];
    let found = scaled
        .iter()
        .find(|(unit, _)| value >= *unit * 10.0 || (*unit > 1e3 && value >= *unit));
    match found {
        Some((unit, letter)) => format!("{:.1}{letter}", value / unit),
        None if value > 0.0 && value < 10.0 && value.fract() > 0.0 => format!("{value:.1}"),
        None => format!("{value:.0}"),
    }
}

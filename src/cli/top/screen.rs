//! The terminal: it is taken, drawn on and given back, whatever ends the program.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::TryRecvError;
use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::buffer::Buffer;
use ratatui::crossterm::event::{self, Event, KeyEventKind};
use ratatui::crossterm::terminal::size;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::ask::{AskThread, NodeAsker};
use super::draw::draw;
use super::model::{KeyOutcome, Model};
use super::wish::Wish;

/// Keys are answered within that, and answers shown.
const TICK: Duration = Duration::from_millis(50);

/// From a signal until the terminal is given back, whatever it waits for.
const ENDS_WITHIN: Duration = Duration::from_secs(1);

/// Of a frame that goes to no terminal.
const TEXT_COLUMNS: u16 = 160;
const TEXT_LINES: u16 = 50;

/// Draws until somebody leaves.
///
/// # Errors
/// The terminal is gone, or does not do what it should.
pub(super) fn show(asker: NodeAsker, interval: Duration, mut model: Model) -> io::Result<()> {
    let told_to_end = Arc::new(AtomicBool::new(false));
    end_on_signals(told_to_end.clone())?;
    let thread = asker.start(interval, looks(&model))?;
    let mut terminal = ratatui::try_init()?;
    let shown = run(&mut terminal, &thread, &mut model, &told_to_end);
    let restored = ratatui::try_restore();
    shown.and(restored)
}

/// A terminal that is gone is no end of it for whoever waits for its keys: what does not end by itself is ended.
fn end_on_signals(told_to_end: Arc<AtomicBool>) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    let wait = move || {
        if signals.forever().next().is_some() {
            told_to_end.store(true, Ordering::Relaxed);
            std::thread::sleep(ENDS_WITHIN);
            // Nobody may be there to see it.
            let _ = ratatui::try_restore();
            std::process::exit(1);
        }
    };
    std::thread::Builder::new()
        .name("signals".into())
        .spawn(wait)?;
    Ok(())
}

fn run(
    terminal: &mut ratatui::DefaultTerminal,
    thread: &AskThread,
    model: &mut Model,
    told_to_end: &AtomicBool,
) -> io::Result<()> {
    let mut is_stale = true;
    while !told_to_end.load(Ordering::Relaxed) {
        loop {
            match thread.answers.try_recv() {
                Ok(answer) => {
                    model.handle_answer(answer);
                    is_stale = true;
                }
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => {
                    return Err(io::Error::other("the thread that asks the node is gone"));
                }
            }
        }
        if std::mem::take(&mut is_stale) {
            terminal.draw(|frame| draw(frame, model))?;
        }
        if !event::poll(TICK)? {
            continue;
        }
        is_stale = true;
        if let Event::Key(key) = event::read()?
            && key.kind != KeyEventKind::Release
        {
            match model.handle_key(key) {
                KeyOutcome::Leave => return Ok(()),
                KeyOutcome::Nothing => {}
                KeyOutcome::Ask(wish) => {
                    let wishes = wish.into_iter().chain(looks(model)).collect();
                    // If the thread is gone the next round says so.
                    let _ = thread.wishes.send(wishes);
                }
            }
        }
    }
    Ok(())
}

fn looks(model: &Model) -> Vec<Wish> {
    model.questions().into_iter().map(Wish::Look).collect()
}

/// As wide as the terminal if there is one.
pub(super) fn frame_as_text(model: &Model) -> String {
    let (columns, lines) = size().unwrap_or((TEXT_COLUMNS, TEXT_LINES));
    text_of(model, columns.max(80), lines.max(24))
}

/// A frame of that size, without colours.
pub(super) fn text_of(model: &Model, columns: u16, lines: u16) -> String {
    let mut terminal = Terminal::new(TestBackend::new(columns, lines)).expect("it is only memory");
    let drawn = terminal.draw(|frame| draw(frame, model));
    drawn.map_or_else(|_| String::new(), |drawn| text_of_cells(drawn.buffer))
}

fn text_of_cells(cells: &Buffer) -> String {
    let width = usize::from(cells.area.width).max(1);
    let lines = cells.content.chunks(width).map(|line| {
        let text: String = line.iter().map(|cell| cell.symbol()).collect();
        text.trim_end().to_owned()
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    format!("{}\n", text.trim_end())
}

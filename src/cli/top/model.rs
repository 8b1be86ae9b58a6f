//! What is known of the node, and what was typed: plain values, changed by answers and keys. Nothing here asks or draws.

use std::collections::VecDeque;

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use serde_json::Value;

use super::rates::{Quantile, Rates, quantile};
use super::sample::{NodeSample, SampleHistogram};
use super::wish::{LookAnswer, LookAt, Wish};
use crate::cli::EXIT_NO_ANSWER;
use crate::cli::sessions::{OrderChoice, SortChoice, client, principal};
use crate::cli::sessions::{SessionsAsked, detail, unanswered};
use crate::cli::table::plain;

/// Sessions that are looked at: more than the largest terminal shows.
const ROWS: u32 = 200;
/// While somebody looks for a text: as many as a node gives at once.
const ROWS_FILTERED: u32 = 1000;
/// Looks that are kept: latencies are of the time since the oldest of them.
const SAMPLES_KEPT: usize = 10;
/// Characters of a text to look for.
const FILTER_CHARS_MAX: usize = 64;
/// Rows that page keys go.
const PAGE: usize = 10;

/// What is in front, and takes the keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Front {
    List,
    /// The text to look for is being typed.
    Filter,
    /// Is it meant?
    EndQuestion {
        name: String,
    },
    Detail {
        name: String,
        lines: Option<Vec<String>>,
    },
    Help,
}

/// What a key leads to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum KeyOutcome {
    Nothing,
    /// Something else is to be asked for from now on, and this at once.
    Ask(Option<Wish>),
    Leave,
}

#[derive(Clone, Debug)]
pub(super) struct Model {
    /// Where the listener is.
    pub(super) base: String,
    pub(super) interval_ms: u64,
    samples: VecDeque<NodeSample>,
    pub(super) rates: Option<Rates>,
    /// Why the last look brought nothing.
    pub(super) fault: Option<String>,
    /// Of all nodes: who did not answer the last look, and why.
    pub(super) unanswered: Vec<String>,
    /// Of what was done.
    pub(super) notice: Option<String>,
    rows: Vec<Value>,
    pub(super) total: u64,
    pub(super) sort: SortChoice,
    pub(super) order: OrderChoice,
    pub(super) filter: String,
    selected: Option<String>,
    pub(super) front: Front,
}

impl Model {
    pub(super) fn new(base: &str, interval_ms: u64) -> Self {
        Model {
            base: base.to_owned(),
            interval_ms,
            samples: VecDeque::new(),
            rates: None,
            fault: None,
            unanswered: Vec::new(),
            notice: None,
            rows: Vec::new(),
            total: 0,
            sort: SortChoice::Pending,
            order: OrderChoice::Desc,
            filter: String::new(),
            selected: None,
            front: Front::List,
        }
    }

    /// What is to be asked at each look.
    pub(super) fn questions(&self) -> Vec<LookAt> {
        let filter = SessionsAsked {
            sort: Some(self.sort),
            order: Some(self.order),
            ..SessionsAsked::default()
        };
        let limit = if self.filter.is_empty() {
            ROWS
        } else {
            ROWS_FILTERED
        };
        let mut questions = vec![LookAt::Node, LookAt::Sessions(filter.path(limit, None))];
        if let Front::Detail { name, .. } = &self.front {
            questions.push(LookAt::Detail(name.clone()));
        }
        questions
    }

    pub(super) fn node(&self) -> Option<&NodeSample> {
        self.samples.back()
    }

    /// Over the last looks: by a half, and by all but one in a hundred.
    pub(super) fn latency(
        &self,
        of: impl Fn(&NodeSample) -> &SampleHistogram,
    ) -> Option<(Quantile, Quantile)> {
        let (oldest, newest) = (self.samples.front()?, self.samples.back()?);
        let part = |part| quantile(of(oldest), of(newest), part);
        part(0.5).zip(part(0.99))
    }

    /// Those that have the text that is looked for.
    pub(super) fn rows(&self) -> Vec<&Value> {
        let wanted = self.filter.to_lowercase();
        let has = |row: &&Value| {
            let name = row["name"].as_str().unwrap_or_default();
            let texts = [plain(name), client(row), principal(row)];
            texts
                .iter()
                .any(|text| text.to_lowercase().contains(&wanted))
        };
        self.rows.iter().filter(has).collect()
    }

    /// The place of the selected row among those that are shown.
    pub(super) fn selected(&self) -> Option<usize> {
        let wanted = self.selected.as_deref()?;
        self.rows().iter().position(|row| row["name"] == wanted)
    }

    pub(super) fn handle_answer(&mut self, answer: LookAnswer) {
        match (answer.wish, answer.said) {
            (Wish::Look(LookAt::Node), Ok(said)) => self.handle_node(&said),
            (Wish::Look(LookAt::Sessions(_)), Ok(mut said)) => {
                self.fault = None;
                self.total = said["total"].as_u64().unwrap_or(0);
                if let Value::Array(rows) = said["sessions"].take() {
                    self.rows = rows;
                }
                if self.selected().is_none() {
                    self.select(0);
                }
            }
            (Wish::Look(LookAt::Detail(asked)), said) => self.handle_detail(&asked, said),
            (Wish::Look(_), Err((_, sentence))) => {
                self.fault = Some(sentence);
                self.rates = None;
            }
            (Wish::End { name }, said) => {
                self.notice = Some(match said {
                    Ok(_) => format!("{name} was ended"),
                    Err((_, sentence)) => format!("{name} was not ended: {sentence}"),
                });
            }
        }
    }

    fn handle_node(&mut self, said: &Value) {
        self.unanswered = unanswered(said);
        let Some(sample) = NodeSample::read(said) else {
            self.fault = Some("what the node says of itself cannot be understood".to_owned());
            return;
        };
        self.fault = None;
        self.rates = self
            .samples
            .back()
            .and_then(|before| Rates::between(before, &sample));
        if self.rates.is_none() {
            // Another process: what was before says nothing of this one.
            self.samples.clear();
        }
        self.samples.push_back(sample);
        if self.samples.len() > SAMPLES_KEPT {
            self.samples.pop_front();
        }
    }

    fn handle_detail(&mut self, asked: &str, said: Result<Value, (u8, String)>) {
        let now = self.node().map_or(0, |it| it.now);
        if let Front::Detail { name, lines } = &mut self.front
            && name == asked
        {
            match said {
                Ok(said) => *lines = Some(detail(&said, now)),
                Err((EXIT_NO_ANSWER, sentence)) => self.fault = Some(sentence),
                Err((_, sentence)) => *lines = Some(vec![sentence]),
            }
        }
    }

    pub(super) fn handle_key(&mut self, key: KeyEvent) -> KeyOutcome {
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => KeyOutcome::Leave,
                _ => KeyOutcome::Nothing,
            };
        }
        match &self.front {
            Front::List => self.handle_list_key(key.code),
            Front::Filter => self.handle_filter_key(key.code),
            Front::EndQuestion { name } => {
                let name = name.clone();
                self.front = Front::List;
                match key.code {
                    KeyCode::Char('y' | 'Y') => KeyOutcome::Ask(Some(Wish::End { name })),
                    _ => {
                        self.notice = Some("nothing was ended".to_owned());
                        KeyOutcome::Nothing
                    }
                }
            }
            Front::Detail { name, .. } => match key.code {
                KeyCode::Char('e') => {
                    self.front = Front::EndQuestion { name: name.clone() };
                    KeyOutcome::Ask(None)
                }
                KeyCode::Esc | KeyCode::Enter | KeyCode::Char('q') => {
                    self.front = Front::List;
                    KeyOutcome::Ask(None)
                }
                _ => KeyOutcome::Nothing,
            },
            Front::Help => {
                self.front = Front::List;
                KeyOutcome::Nothing
            }
        }
    }

    fn handle_list_key(&mut self, key: KeyCode) -> KeyOutcome {
        self.notice = None;
        let at = self.selected().unwrap_or(0);
        match key {
            KeyCode::Char('q') => return KeyOutcome::Leave,
            KeyCode::Char('?' | 'h') => self.front = Front::Help,
            KeyCode::Char('/') => self.front = Front::Filter,
            KeyCode::Char('a') => return self.sort_by(SortChoice::Age),
            KeyCode::Char('p') => return self.sort_by(SortChoice::Pending),
            KeyCode::Char('l') => return self.sort_by(SortChoice::Activity),
            KeyCode::Char('r') => {
                self.order = match self.order {
                    OrderChoice::Asc => OrderChoice::Desc,
                    OrderChoice::Desc => OrderChoice::Asc,
                };
                return KeyOutcome::Ask(None);
            }
            KeyCode::Up | KeyCode::Char('k') => self.select(at.saturating_sub(1)),
            KeyCode::Down | KeyCode::Char('j') => self.select(at + 1),
            KeyCode::PageUp => self.select(at.saturating_sub(PAGE)),
            KeyCode::PageDown => self.select(at + PAGE),
            KeyCode::Home => self.select(0),
            KeyCode::End => self.select(usize::MAX),
            KeyCode::Esc if !self.filter.is_empty() => {
                self.filter.clear();
                return KeyOutcome::Ask(None);
            }
            KeyCode::Char('e') => {
                if let Some(name) = self.selected_name() {
                    self.front = Front::EndQuestion { name };
                }
            }
            KeyCode::Enter => {
                if let Some(name) = self.selected_name() {
                    self.front = Front::Detail { name, lines: None };
                    return KeyOutcome::Ask(None);
                }
            }
            _ => {}
        }
        KeyOutcome::Nothing
    }

    fn handle_filter_key(&mut self, key: KeyCode) -> KeyOutcome {
        match key {
            KeyCode::Enter => self.front = Front::List,
            KeyCode::Esc => {
                self.front = Front::List;
                self.filter.clear();
            }
            KeyCode::Backspace => {
                self.filter.pop();
            }
            KeyCode::Char(char) if self.filter.chars().count() < FILTER_CHARS_MAX => {
                self.filter.push(char)
            }
            _ => return KeyOutcome::Nothing,
        }
        if self.selected().is_none() {
            self.select(0);
        }
        KeyOutcome::Ask(None)
    }

    fn sort_by(&mut self, key: SortChoice) -> KeyOutcome {
        self.sort = key;
        self.order = OrderChoice::Desc;
        KeyOutcome::Ask(None)
    }

    /// That row, or the last one.
    fn select(&mut self, at: usize) {
        let rows = self.rows();
        let row = rows.get(at.min(rows.len().saturating_sub(1)));
        self.selected = row.and_then(|row| row["name"].as_str()).map(str::to_owned);
    }

    /// Only of a row that is shown.
    fn selected_name(&self) -> Option<String> {
        self.selected().and(self.selected.clone())
    }
}

//! Tasks and what may happen to them. A finished task stays as it is:
//!
//! ```text
//! working ──────────┬─▶ completed · failed
//! input_required ───┤      (answers complete it)
//!                   └─▶ cancelled
//! ```

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, MutexGuard};

use serde_json::{Value, json};

use crate::app::Error;
use crate::mcp::RpcError;
use crate::mcp::types::{
    CallToolResult, ElicitRequest, InputRequest, InputRequests, InputResponse, JsonObject,
};

/// How long a task can be asked for, from its creation on.
const TTL_MS: u64 = 5 * 60 * 1000;

/// How often a client should ask.
const POLL_INTERVAL_MS: u64 = 500;

/// Tasks of one process. A fixture needs dozens; this many are about 10 MB.
const TASKS_MAX: usize = 10_000;

/// What becomes of the answers.
type Finish = Box<dyn FnOnce(&TaskAnswers) -> CallToolResult + Send>;
type TaskAnswers = BTreeMap<String, InputResponse>;

#[derive(Clone, Default)]
pub(in crate::app::conformance) struct TaskStore(Arc<Mutex<HashMap<String, Task>>>);

struct Task {
    created_ms: u64,
    updated_ms: u64,
    state: TaskState,
}

enum TaskState {
    Working,
    InputRequired {
        asked: Vec<(String, ElicitRequest)>,
        answers: TaskAnswers,
        finish: Option<Finish>,
    },
    Completed(CallToolResult),
    Failed(RpcError),
    Cancelled,
}

impl TaskStore {
    /// A task that something will [`complete`](Tasks::complete) or [`fail`](Tasks::fail).
    ///
    /// # Errors
    /// There are too many.
    pub(super) fn work(&self, now_ms: u64) -> Result<(String, JsonObject), Error> {
        self.create(TaskState::Working, now_ms)
    }

    /// A task that the client's answers complete.
    ///
    /// # Errors
    /// There are too many.
    pub(super) fn ask(
        &self,
        asked: Vec<(String, ElicitRequest)>,
        finish: impl FnOnce(&TaskAnswers) -> CallToolResult + Send + 'static,
        now_ms: u64,
    ) -> Result<(String, JsonObject), Error> {
        let state = TaskState::InputRequired {
            asked,
            answers: TaskAnswers::new(),
            finish: Some(Box::new(finish)),
        };
        self.create(state, now_ms)
    }

    pub(super) fn complete(&self, id: &str, result: CallToolResult, now_ms: u64) {
        self.end(id, TaskState::Completed(result), now_ms);
    }

    pub(super) fn fail(&self, id: &str, error: RpcError, now_ms: u64) {
        self.end(id, TaskState::Failed(error), now_ms);
    }

    pub(super) fn cancel(&self, id: &str, now_ms: u64) -> Result<(), Error> {
        let mut tasks = self.lock();
        let task = find(&mut tasks, id, now_ms)?;
        if !task.is_terminal() {
            task.state = TaskState::Cancelled;
            task.updated_ms = now_ms;
        }
        Ok(())
    }

    /// Takes answers to what is still asked; other keys and wrong shapes are nobody's.
    pub(super) fn update(
        &self,
        id: &str,
        responses: &JsonObject,
        now_ms: u64,
    ) -> Result<(), Error> {
        let mut tasks = self.lock();
        let task = find(&mut tasks, id, now_ms)?;
        let TaskState::InputRequired {
            asked,
            answers,
            finish,
        } = &mut task.state
        else {
            return Ok(());
        };
        asked.retain(|(key, request)| {
            let request = InputRequest::from(request.clone());
            let answer = responses
                .get(key)
                .and_then(|json| request.parse_answer(json));
            let Some(answer) = answer else {
                return true;
            };
            answers.insert(key.clone(), answer);
            false
        });
        task.updated_ms = now_ms;
        if asked.is_empty() {
            let finish = finish.take().expect("a task is finished once");
            task.state = TaskState::Completed(finish(answers));
        }
        Ok(())
    }

    /// The answer to `tasks/get`.
    pub(super) fn detailed(&self, id: &str, now_ms: u64) -> Result<JsonObject, Error> {
        let mut tasks = self.lock();
        let task = find(&mut tasks, id, now_ms)?;
        let mut described = task.described(id);
        match &task.state {
            TaskState::InputRequired { asked, .. } => {
                let mut requests = InputRequests::new();
                for (key, request) in asked {
                    requests.insert(key.clone(), request.clone().into());
                }
                described.insert("inputRequests".into(), serde_json::to_value(requests)?);
            }
            TaskState::Completed(result) => {
                described.insert("result".into(), serde_json::to_value(result)?);
            }
            TaskState::Failed(error) => {
                described.insert("error".into(), serde_json::to_value(error)?);
            }
            TaskState::Working | TaskState::Cancelled => {}
        }
        Ok(described)
    }

    fn create(&self, state: TaskState, now_ms: u64) -> Result<(String, JsonObject), Error> {
        let task = Task {
            created_ms: now_ms,
            updated_ms: now_ms,
            state,
        };
        let id = new_id()?;
        let mut created = task.described(&id);
        created.insert("resultType".into(), json!("task"));
        let mut tasks = self.lock();
        tasks.retain(|_, task| !task.is_over(now_ms));
        if tasks.len() >= TASKS_MAX {
            return Err(Error::failed("There are too many tasks"));
        }
        tasks.insert(id.clone(), task);
        Ok((id, created))
    }

    fn end(&self, id: &str, state: TaskState, now_ms: u64) {
        if let Some(task) = self.lock().get_mut(id).filter(|task| !task.is_terminal()) {
            task.state = state;
            task.updated_ms = now_ms;
        }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Task>> {
        self.0
            .lock()
            .expect("nothing panics while it holds the tasks")
    }
}

impl Task {
    fn is_terminal(&self) -> bool {
        !matches!(
            self.state,
            TaskState::Working | TaskState::InputRequired { .. }
        )
    }

    fn is_over(&self, now_ms: u64) -> bool {
        now_ms >= self.created_ms + TTL_MS
    }

    fn status(&self) -> &'static str {
        match self.state {
            TaskState::Working => "working",
            TaskState::InputRequired { .. } => "input_required",
            TaskState::Completed(_) => "completed",
            TaskState::Failed(_) => "failed",
            TaskState::Cancelled => "cancelled",
        }
    }

    fn described(&self, id: &str) -> JsonObject {
        let Value::Object(described) = json!({
            "taskId": id,
            "status": self.status(),
            "createdAt": iso8601(self.created_ms),
            "lastUpdatedAt": iso8601(self.updated_ms),
            "ttlMs": TTL_MS,
            "pollIntervalMs": POLL_INTERVAL_MS,
        }) else {
            unreachable!("it is an object")
        };
        described
    }
}

fn find<'a>(
    tasks: &'a mut HashMap<String, Task>,
    id: &str,
    now_ms: u64,
) -> Result<&'a mut Task, Error> {
    let task = tasks.get_mut(id).filter(|task| !task.is_over(now_ms));
    task.ok_or_else(|| Error::unknown("task", id))
}

/// 128 random bits: whoever knows the id may ask for the task.
fn new_id() -> Result<String, Error> {
    let mut bytes = [0; 16];
    getrandom::fill(&mut bytes).map_err(|error| Error::failed(error.to_string()))?;
    Ok(format!("{:032x}", u128::from_be_bytes(bytes)))
}

/// `2026-07-28T12:34:56.789Z`. The calendar is computed from March 1st, where leap days fall at the end.
fn iso8601(unix_ms: u64) -> String {
    let (days, ms) = (unix_ms / 86_400_000, unix_ms % 86_400_000);
    // Days since 0000-03-01, in eras of 400 years, which all have the same length.
    let days = days + 719_468;
    let (era, day_of_era) = (days / 146_097, days % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = (month_from_march + 2) % 12 + 1;
    let year = era * 400 + year_of_era + u64::from(month <= 2);
    let (hour, minute) = (ms / 3_600_000, ms / 60_000 % 60);
    let (second, milli) = (ms / 1000 % 60, ms % 1000);
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}.{milli:03}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_around_leap_days() {
        for (unix_ms, text) in [
            (0, "1970-01-01T00:00:00.000Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_799_999, "2000-02-29T23:59:59.999Z"),
            (1_709_251_200_000, "2024-03-01T00:00:00.000Z"),
            (1_785_196_800_000, "2026-07-28T00:00:00.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ] {
            assert_eq!(iso8601(unix_ms), text);
        }
    }

    #[test]
    fn a_task_is_there_until_its_time_is_over() {
        let tasks = TaskStore::default();
        let (id, _) = tasks.work(1000).unwrap();
        assert!(tasks.detailed(&id, 1000 + TTL_MS - 1).is_ok());
        assert!(tasks.detailed(&id, 1000 + TTL_MS).is_err());
    }

    #[test]
    fn what_has_ended_does_not_change() {
        let tasks = TaskStore::default();
        let (id, _) = tasks.work(0).unwrap();
        tasks.cancel(&id, 1).unwrap();
        tasks.complete(&id, CallToolResult::text("too late"), 2);
        tasks.cancel(&id, 3).unwrap();
        let task = tasks.detailed(&id, 4).unwrap();
        assert_eq!(task["status"], "cancelled");
        assert_eq!(task["lastUpdatedAt"], "1970-01-01T00:00:00.001Z");
        assert!(!task.contains_key("result"));
    }
}

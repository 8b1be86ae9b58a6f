//! Tools that become tasks, if the client knows what a task is.

use std::time::Duration;

use schemars::JsonSchema;
use serde::Deserialize;

use super::{TaskStore, is_declared, require_declared};
use crate::app::conformance::rounds::ask_name;
use crate::app::{Context, Error, NoArguments, Toolkit};
use crate::mcp::RpcError;
use crate::mcp::types::{CallToolResult, ElicitRequest, ElicitSchema, InputResponse};

/// How long a job takes that only has to end in some way.
const JOB: Duration = Duration::from_secs(1);

/// The longest computation that a caller may ask for.
const SECONDS_MAX: f64 = 300.0;

pub(super) fn add(kit: Toolkit, tasks: &TaskStore) -> Toolkit {
    let with = |tasks: &TaskStore| tasks.clone();
    let (slow, failing, broken) = (with(tasks), with(tasks), with(tasks));
    let (confirm, multi, rounds) = (with(tasks), with(tasks), with(tasks));
    kit.tool("greet", "Greets, at once.", |who: Name, _| async move {
        format!("Hello, {}!", who.name)
    })
    .tool(
        "slow_compute",
        "Takes as many seconds as it is told to.",
        move |job: Computation, context| slow_compute(slow.clone(), job, context),
    )
    .tool(
        "failing_job",
        "A task whose result says that it failed.",
        move |_: NoArguments, context| failing_job(failing.clone(), context),
    )
    .tool(
        "protocol_error_job",
        "A task that ends with a protocol error.",
        move |_: NoArguments, context| protocol_error_job(broken.clone(), context),
    )
    .tool(
        "confirm_delete",
        "A task that waits for a confirmation.",
        move |file: File, context| confirm_delete(confirm.clone(), file, context),
    )
    .tool(
        "multi_input",
        "A task that waits for two answers.",
        move |_: NoArguments, context| multi_input(multi.clone(), context),
    )
    .tool(
        "test_tool_with_task",
        "Asks the user's name, then becomes a task.",
        move |_: NoArguments, context| tool_with_task(rounds.clone(), context),
    )
}

#[derive(Deserialize, JsonSchema)]
struct Name {
    /// Who is greeted.
    name: String,
}

#[derive(Deserialize, JsonSchema)]
struct Computation {
    /// How long it takes.
    seconds: f64,
    /// What to call it.
    #[serde(default)]
    label: String,
}

#[derive(Deserialize, JsonSchema)]
struct File {
    /// What would be deleted; nothing is.
    filename: String,
}

async fn slow_compute(
    tasks: TaskStore,
    job: Computation,
    context: Context,
) -> Result<CallToolResult, Error> {
    let seconds = job.seconds.clamp(0.0, SECONDS_MAX);
    let duration = Duration::from_secs_f64(seconds);
    let result = CallToolResult::text(format!("Computed {} in {seconds} s", job.label));
    if !is_declared(&context) {
        context.sleep(duration).await;
        return Ok(result);
    }
    complete_later(&tasks, &context, duration, result)
}

async fn failing_job(tasks: TaskStore, context: Context) -> Result<CallToolResult, Error> {
    require_declared(&context)?;
    let result = CallToolResult::error("This job always fails");
    complete_later(&tasks, &context, JOB, result)
}

async fn protocol_error_job(tasks: TaskStore, context: Context) -> Result<CallToolResult, Error> {
    require_declared(&context)?;
    let (id, created) = tasks.work(context.unix_ms())?;
    let of_work = context.clone();
    context.spawn(async move {
        of_work.sleep(JOB).await;
        let error = RpcError::internal("This job always breaks");
        tasks.fail(&id, error, of_work.unix_ms());
    });
    Err(Error::Instead(created))
}

async fn confirm_delete(
    tasks: TaskStore,
    file: File,
    context: Context,
) -> Result<CallToolResult, Error> {
    require_declared(&context)?;
    let schema = ElicitSchema::new().boolean("confirm");
    let question = format!("Delete {}?", file.filename);
    let asked = vec![("confirm".into(), ElicitRequest::form(question, schema))];
    let (_, created) = tasks.ask(
        asked,
        move |answers| {
            let confirmed = answers.values().any(is_confirmed);
            let done = if confirmed { "Deleted" } else { "Kept" };
            CallToolResult::text(format!("{done} {}", file.filename))
        },
        context.unix_ms(),
    )?;
    Err(Error::Instead(created))
}

fn is_confirmed(answer: &InputResponse) -> bool {
    let InputResponse::Elicit(answer) = answer else {
        return false;
    };
    let fields = answer.accepted();
    fields.is_some_and(|fields| fields.get("confirm") == Some(&true.into()))
}

async fn multi_input(tasks: TaskStore, context: Context) -> Result<CallToolResult, Error> {
    require_declared(&context)?;
    let schema = ElicitSchema::new().boolean("confirm");
    let asked = vec![
        ("user_name".into(), ask_name()),
        (
            "confirmation".into(),
            ElicitRequest::form("Please confirm", schema),
        ),
    ];
    let (_, created) = tasks.ask(
        asked,
        |answers| CallToolResult::text(format!("Received {} answers", answers.len())),
        context.unix_ms(),
    )?;
    Err(Error::Instead(created))
}

async fn tool_with_task(tasks: TaskStore, context: Context) -> Result<CallToolResult, Error> {
    let answer = context.elicit("user_name", ask_name()).await?;
    let name = answer.text("name").unwrap_or("stranger");
    let result = CallToolResult::text(format!("Hello, {name}!"));
    if !is_declared(&context) {
        return Ok(result);
    }
    complete_later(&tasks, &context, JOB, result)
}

/// Answers with a task that work on this core completes.
fn complete_later(
    tasks: &TaskStore,
    context: &Context,
    after: Duration,
    result: CallToolResult,
) -> Result<CallToolResult, Error> {
    let (id, created) = tasks.work(context.unix_ms())?;
    let (tasks, of_work) = (tasks.clone(), context.clone());
    context.spawn(async move {
        of_work.sleep(after).await;
        tasks.complete(&id, result, of_work.unix_ms());
    });
    Err(Error::Instead(created))
}

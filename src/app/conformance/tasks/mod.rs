//! The tasks extension (`io.modelcontextprotocol/tasks`, 2026-07-28 only): calls that are answered with a handle
//! at once and go on behind it. All cores share the tasks; each lives until its time is over, whatever became of
//! it.

mod store;
mod tools;

use serde::Deserialize;
use serde_json::{Value, json};

pub(super) use store::TaskStore;

use crate::app::{Context, Error, ExtensionResult, Toolkit};
use crate::mcp::types::JsonObject;
use crate::mcp::{Era, RpcError, RpcMethod};

const EXTENSION: &str = "io.modelcontextprotocol/tasks";

pub(super) fn add(kit: Toolkit, tasks: &TaskStore) -> Toolkit {
    let kit = kit.extension(EXTENSION, JsonObject::new());
    let kit = add_methods(kit, tasks);
    tools::add(kit, tasks)
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct TaskParams {
    task_id: String,
    #[serde(default)]
    input_responses: JsonObject,
}

fn add_methods(kit: Toolkit, tasks: &TaskStore) -> Toolkit {
    let (of_get, of_update, of_cancel) = (tasks.clone(), tasks.clone(), tasks.clone());
    kit.method(
        RpcMethod::TasksGet.name(),
        move |params: TaskParams, context| {
            let tasks = of_get.clone();
            async move {
                check_declared(RpcMethod::TasksGet, &context)?;
                let task = tasks.detailed(&params.task_id, context.unix_ms());
                task.map(ExtensionResult::Complete)
            }
        },
    )
    .method(
        RpcMethod::TasksUpdate.name(),
        move |params: TaskParams, context| {
            let tasks = of_update.clone();
            async move {
                check_declared(RpcMethod::TasksUpdate, &context)?;
                tasks.update(&params.task_id, &params.input_responses, context.unix_ms())?;
                Ok(ExtensionResult::Complete(JsonObject::new()))
            }
        },
    )
    .method(
        RpcMethod::TasksCancel.name(),
        move |params: TaskParams, context| {
            let tasks = of_cancel.clone();
            async move {
                check_declared(RpcMethod::TasksCancel, &context)?;
                tasks.cancel(&params.task_id, context.unix_ms())?;
                Ok(ExtensionResult::Complete(JsonObject::new()))
            }
        },
    )
}

/// Whether this call may be answered with a task.
fn is_declared(context: &Context) -> bool {
    context.era() == Era::Modern && context.client_extension(EXTENSION).is_some()
}

fn check_declared(method: RpcMethod, context: &Context) -> Result<(), Error> {
    match context.era() {
        Era::Legacy => Err(RpcError::method_not_found(method.name()).into()),
        Era::Modern => require_declared(context),
    }
}

/// For what cannot be done without a task.
fn require_declared(context: &Context) -> Result<(), Error> {
    if is_declared(context) {
        return Ok(());
    }
    let required: Value = json!({ "extensions": { EXTENSION: {} } });
    Err(RpcError::missing_client_capability(required).into())
}

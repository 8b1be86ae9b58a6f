//! The fixture's resources and template, and suggestions for nothing.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::Value;

use super::media::PNG;
use crate::app::{Toolkit, Variables};
use crate::mcp::types::{Completion, Resource, ResourceTemplate};

pub(super) fn add(kit: Toolkit) -> Toolkit {
    kit.resource(
        Resource::new("test://static-text", "Static Text Resource")
            .description("A static text resource for testing")
            .mime_type("text/plain"),
        |_| async { "This is the content of the static text resource." },
    )
    .resource(
        Resource::new("test://static-binary", "Static Binary Resource")
            .description("A static binary resource for testing")
            .mime_type("image/png"),
        |_| async { BASE64_STANDARD.decode(PNG).expect("it is a constant") },
    )
    .resource(
        Resource::new("test://watched-resource", "Watched Resource")
            .description("A resource to subscribe to")
            .mime_type("text/plain"),
        |_| async { "Watched resource content" },
    )
    .resource_template(
        ResourceTemplate::new("test://template/{id}/data", "Template Resource")
            .description("A resource for each id")
            .mime_type("application/json"),
        |variables: Variables, _| async move {
            let id = variables.value("id");
            let data = format!("Data for ID: {id}");
            let (id, data) = (Value::from(id), Value::from(data));
            format!(r#"{{"id":{id},"templateTest":true,"data":{data}}}"#)
        },
    )
    .completion(|_, _| async { Ok(Completion::new(Vec::<String>::new())) })
}

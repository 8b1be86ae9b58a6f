//! A tool that asks the user and the client's model before it answers. `cargo run --example ask [address]`
//!
//! The source is the same for both eras. A client with a session is asked while the tool waits. A client of
//! 2026-07-28 gets the questions as the answer and calls again: the tool then runs from its beginning, and what
//! was asked before is answered at once. So a tool asks first, and acts when it knows.

use pinfold::Node;
use pinfold::app::{Context, Error, Toolkit};
use pinfold::mcp::types::{CreateMessageRequest, ElicitRequest, ElicitSchema};

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Trip {
    /// Where to.
    city: String,
}

#[derive(serde::Deserialize)]
struct Wishes {
    days: u32,
    pace: String,
}

fn main() -> Result<(), pinfold::NodeError> {
    let address = std::env::args().nth(1);
    Node::builder(|| Toolkit::new("ask", "1.0.0").tool("plan_trip", "Plans a trip.", plan_trip))
        .listen(address.as_deref().unwrap_or("127.0.0.1:8080"))
        .run()
}

async fn plan_trip(trip: Trip, context: Context) -> Result<String, Error> {
    let city = trip.city;
    let form = ElicitSchema::new()
        .integer("days")
        .choice("pace", &["slow", "fast"]);
    let question = ElicitRequest::form(format!("How do you like to see {city}?"), form);
    let answer = context.elicit("wishes", question).await?;
    let Some(Wishes { days, pace }) = answer.parse()? else {
        return Ok(format!("No trip to {city} then."));
    };
    if !context.supports_sampling() {
        return Ok(format!("{days} days in {city}, at a {pace} pace. Enjoy!"));
    }
    let prompt = format!("Plan {days} days in {city} at a {pace} pace, in three sentences.");
    let request = CreateMessageRequest::prompt(prompt, 300);
    let plan = context.sample("plan", request).await?;
    Ok(plan.text())
}

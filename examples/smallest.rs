//! The smallest server: one tool. `cargo run --example smallest [address]`

use pinfold::Node;
use pinfold::app::Toolkit;

#[derive(serde::Deserialize, schemars::JsonSchema)]
struct Add {
    a: f64,
    b: f64,
}

fn main() -> Result<(), pinfold::NodeError> {
    let address = std::env::args().nth(1);
    Node::builder(|| {
        Toolkit::new("smallest", "1.0.0").tool(
            "add",
            "Adds two numbers.",
            |add: Add, _| async move { (add.a + add.b).to_string() },
        )
    })
    .listen(address.as_deref().unwrap_or("127.0.0.1:8080"))
    .run()
}

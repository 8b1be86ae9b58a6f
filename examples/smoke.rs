use pinfold::app::{NoArguments, Toolkit};
fn main() {
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::DEBUG)
        .init();
    let options = pinfold::runtime::Options {
        cores: 2,
        place_at_random: std::env::args().nth(1).is_some(),
        ..Default::default()
    };
    pinfold::runtime::Server::new(|| {
        Toolkit::new("smoke", "1.0").tool(
            "hello",
            "Says hello.",
            |_: NoArguments, c: pinfold::app::Context| async move {
                c.progress(1.0, None, None);
                c.publish(pinfold::app::Topic::Tools);
                Ok("hi".to_string())
            },
        )
    })
    .options(options)
    .run()
    .unwrap();
}

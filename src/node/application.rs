//! What a node can serve: anything that becomes the engine's [`Handler`].

use std::fmt::Display;
use std::rc::Rc;

use crate::app::call::Handler;
use crate::app::{App, handler};

/// What a factory may return: an [`App`] (a [`Toolkit`](crate::app::Toolkit) is one), a [`Handler`] in an `Rc`, or either
/// of them in a `Result`, whose error [`start`](super::NodeBuilder::start) then returns.
///
/// ```
/// use pinfold::Node;
/// use pinfold::app::Toolkit;
///
/// fn application() -> Result<Toolkit, std::io::Error> {
///     let instructions = std::fs::read_to_string("/nowhere/instructions.md")?;
///     Ok(Toolkit::new("careful", "1.0.0").instructions(instructions))
/// }
///
/// let started = Node::builder(application).listen("127.0.0.1:0").start();
/// let why = started.err().expect("there is no such file").to_string();
/// assert!(why.contains("No such file"), "{why}");
/// ```
pub trait IntoHandler {
    /// # Errors
    /// Why there is no application, in a sentence.
    fn into_handler(self) -> Result<Rc<dyn Handler>, String>;
}

impl<A: App + 'static> IntoHandler for A {
    fn into_handler(self) -> Result<Rc<dyn Handler>, String> {
        Ok(handler(self))
    }
}

impl IntoHandler for Rc<dyn Handler> {
    fn into_handler(self) -> Result<Rc<dyn Handler>, String> {
        Ok(self)
    }
}

impl<H: IntoHandler, E: Display> IntoHandler for Result<H, E> {
    fn into_handler(self) -> Result<Rc<dyn Handler>, String> {
        self.map_err(|error| error.to_string())?.into_handler()
    }
}

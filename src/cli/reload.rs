//! What SIGHUP does: everything that was said is read again, and what can change while the node runs does.
//!
//! [`Reloadable`] is the seam: one for each thing that can change, with the options that it obeys. Whatever else has changed
//! wants a restart, and the log names it. A file with a mistake changes nothing at all. It is done on a thread of its own:
//! files and names may take long, and signals are waited for meanwhile.

use std::io;
use std::sync::mpsc::{Receiver, TrySendError, sync_channel};

use tracing::{error, info, warn};

use crate::config::{Config, EffectiveSettings, Layers, Machine};

/// One thing that can become another one.
pub struct Reloadable {
    /// Those that it obeys, without their `--`, or tables of those names. None: it is not said by options.
    pub options: &'static [&'static str],
    /// Puts into force what was read: all of it is sound.
    pub apply: Box<dyn FnMut(&Config) -> ReloadOutcome + Send>,
}

/// What came of it.
pub enum ReloadOutcome {
    Same,
    /// It is another one now, says this end of a sentence.
    Changed(String),
    /// From here to there a node cannot go while it runs.
    WantsRestart,
}

/// All that is known of a node's options, and how to hear of new ones.
pub struct Reloader {
    layers: Layers,
    machine: Machine,
    /// In force, apart from what has changed since.
    started_with: EffectiveSettings,
    table: Vec<Reloadable>,
}

impl Reloader {
    #[must_use]
    pub fn new(
        layers: Layers,
        machine: Machine,
        started_with: EffectiveSettings,
        table: Vec<Reloadable>,
    ) -> Reloader {
        Reloader {
            layers,
            machine,
            started_with,
            table,
        }
    }

    /// Starts the thread that does it; what is returned asks for it. Whoever asks while it is asked for already asks for
    /// nothing more.
    ///
    /// # Errors
    /// Out of threads.
    pub fn start(self) -> io::Result<impl FnMut() + Send + 'static> {
        let (ask, asked) = sync_channel(1);
        let thread = std::thread::Builder::new().name("reload".into());
        thread.spawn(move || self.run(&asked))?;
        Ok(move || {
            if let Err(TrySendError::Disconnected(())) = ask.try_send(()) {
                error!("SIGHUP: nothing can be read again: the thread that does it is gone");
            }
        })
    }

    fn run(mut self, asked: &Receiver<()>) {
        while asked.recv().is_ok() {
            self.read_again();
        }
    }

    fn read_again(&mut self) {
        let read = self.layers.read().and_then(|it| it.check(&self.machine));
        let (config, settings) = match read {
            Ok(read) => read,
            Err(mistakes) => {
                for mistake in mistakes.iter() {
                    error!("SIGHUP: everything stays as it was: {mistake}");
                }
                return;
            }
        };
        let mut is_all_the_same = true;
        let mut done: Vec<&str> = Vec::new();
        for it in &mut self.table {
            match (it.apply)(&config) {
                ReloadOutcome::Same => {}
                ReloadOutcome::Changed(what) => {
                    is_all_the_same = false;
                    info!("SIGHUP: {what}");
                }
                ReloadOutcome::WantsRestart => continue,
            }
            done.extend(it.options);
        }
        for setting in settings.that_differ(&self.started_with) {
            if !done.contains(&setting.key.long.as_str()) {
                is_all_the_same = false;
                let (key, value) = (setting.key.path(), setting.shown().join(", "));
                warn!(key, value, "SIGHUP: this has changed, and wants a restart");
            }
        }
        for table in settings.tables_that_differ(&self.started_with) {
            if !done.contains(&table) {
                is_all_the_same = false;
                warn!(key = table, "SIGHUP: this has changed, and wants a restart");
            }
        }
        if is_all_the_same {
            info!("SIGHUP: nothing has changed: there is nothing to be read again");
        }
    }
}

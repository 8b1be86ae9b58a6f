//! Publishes what happens in the directory, whoever did it. `notify` calls this on a thread of its own, and any thread
//! may publish: subscribers on every core hear of it.

use std::thread;
use std::time::Duration;

use notify::event::{EventKind, ModifyKind};
use notify::{Event, RecommendedWatcher, RecursiveMode, Watcher};
use pinfold::Publisher;
use pinfold::app::Topic;

use super::directory::{Directory, is_name, uri_of};

pub(crate) fn start(
    directory: &Directory,
    publisher: Publisher,
) -> notify::Result<RecommendedWatcher> {
    let mut watcher = notify::recommended_watcher(move |event| match event {
        Ok(event) => publish(&publisher, &event),
        Err(fault) => eprintln!("some changes of the directory may be missed: {fault}"),
    })?;
    watcher.watch(directory.path(), RecursiveMode::NonRecursive)?;
    Ok(watcher)
}

fn publish(publisher: &Publisher, event: &Event) {
    let topics = topics_of(event);
    // Refused while the node delivers what came before: no change is lost for that, only later.
    while !topics.is_empty()
        && !publisher.is_stopping()
        && publisher.publish_all(topics.clone()).is_err()
    {
        thread::sleep(Duration::from_millis(50));
    }
}

fn topics_of(event: &Event) -> Vec<Topic> {
    let list_changed = match event.kind {
        EventKind::Create(_) | EventKind::Remove(_) | EventKind::Modify(ModifyKind::Name(_)) => {
            true
        }
        EventKind::Modify(_) => false,
        // Somebody has read a note, perhaps we.
        _ => return Vec::new(),
    };
    let names = event
        .paths
        .iter()
        .filter_map(|path| path.file_name()?.to_str());
    let names = names.filter(|name| is_name(name));
    let mut topics: Vec<_> = names
        .map(|name| Topic::Resource(uri_of(name).into()))
        .collect();
    if list_changed && !topics.is_empty() {
        topics.push(Topic::Resources);
    }
    topics
}

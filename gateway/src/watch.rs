//! Files that may change while the gateway runs: certificates, keys, lists.
//!
//! What a file holds is the truth, looked at every few seconds. Events of the system only make it quicker: a mounted
//! volume of Kubernetes changes by a symbolic link (`..data`) that points elsewhere, and network file systems tell
//! nothing at all.

use std::{
    collections::HashSet,
    path::{Path, PathBuf},
    time::Duration,
};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher, event::AccessKind};
use tokio::{
    sync::mpsc::{self, Receiver},
    time::Instant,
};

/// What a file held when it was last looked at.
mod content;

use self::content::Content;

/// How often files are looked at where nothing is said.
pub const POLL: Duration = Duration::from_secs(5);

/// Changes come in groups: a file is emptied and then written, or a certificate and then its key.
const DEBOUNCE: Duration = Duration::from_millis(100);

/// Watches files. Make it before the files are read for the first time, or a change in between goes unseen.
#[derive(Debug)]
pub struct Watch {
    seen: Vec<(PathBuf, Content)>,
    poll: Duration,
    next_poll: Instant,
    /// When to look because of an event.
    soon: Option<Instant>,
    /// Full means that something happened: more than one word is not needed.
    events: Receiver<()>,
    /// Gone where the system has none to give; it sends into `events`.
    watcher: Option<RecommendedWatcher>,
}

impl Watch {
    /// Looks at the files as they are now, which blocks for as long as they take to read. They need not be there yet.
    /// They are looked at again every `poll`, such as [`POLL`].
    #[must_use]
    pub fn new(files: Vec<PathBuf>, poll: Duration) -> Self {
        let (sender, events) = mpsc::channel(1);
        let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
            if event.is_ok_and(|event| matters(event.kind)) {
                // Full: it is known already.
                let _ = sender.try_send(());
            }
        });
        if let Err(error) = &watcher {
            tracing::warn!(%error, "the system tells nothing of changed files; they are looked at every {poll:?}");
        }
        let mut watch = Self {
            seen: Vec::new(),
            poll,
            next_poll: Instant::now() + poll,
            soon: None,
            events,
            watcher: watcher.ok(),
        };
        watch.set_files(files);
        watch
    }

    /// Watches other files from now on, and tells which of them are new. Those that were watched before keep what was
    /// seen of them.
    pub fn set_files(&mut self, files: Vec<PathBuf>) -> Vec<PathBuf> {
        let before: HashSet<PathBuf> = self.folders();
        let mut old = std::mem::take(&mut self.seen);
        let mut added = Vec::new();
        for path in files {
            let known = old.iter().position(|(known, _)| *known == path);
            let content = if let Some(place) = known {
                old.swap_remove(place).1
            } else {
                added.push(path.clone());
                Content::of(&path)
            };
            self.seen.push((path, content));
        }
        let after = self.folders();
        if let Some(watcher) = &mut self.watcher {
            for folder in before.difference(&after) {
                let _ = watcher.unwatch(folder);
            }
            for folder in after.difference(&before) {
                if let Err(error) = watcher.watch(folder, RecursiveMode::NonRecursive) {
                    tracing::debug!(folder = %folder.display(), %error, "changes here are seen by looking alone");
                }
            }
        }
        added
    }

    /// Waits until at least one file holds something else than when it was last looked at, and tells which. A touched
    /// file has not changed, nor has one that is gone; when it is back with other content, it has. May be dropped and
    /// called again without a loss.
    pub async fn changed(&mut self) -> Vec<PathBuf> {
        loop {
            let changed = self.look_in_time().await;
            if !changed.is_empty() {
                return changed;
            }
        }
    }

    /// Like [`Watch::changed`], but also ends after each look that found nothing new.
    async fn look_in_time(&mut self) -> Vec<PathBuf> {
        self.until_due().await;
        let changed = self.look().await;
        self.soon = None;
        self.next_poll = Instant::now() + self.poll;
        changed
    }

    /// Until a moment after an event, or until it is time to look anyway.
    async fn until_due(&mut self) {
        loop {
            let due = self.soon.unwrap_or(self.next_poll).min(self.next_poll);
            let waits = self.soon.is_none() && self.watcher.is_some();
            tokio::select! {
                () = tokio::time::sleep_until(due) => return,
                Some(()) = self.events.recv(), if waits => self.soon = Some(Instant::now() + DEBOUNCE),
            }
        }
    }

    async fn look(&mut self) -> Vec<PathBuf> {
        // What happens from here on may be missed by the look, so it has to make another one.
        while self.events.try_recv().is_ok() {}
        let mut seen = self.seen.clone();
        let looked = tokio::task::spawn_blocking(move || {
            let mut changed = Vec::new();
            for (path, content) in &mut seen {
                if content.look(path) {
                    changed.push(path.clone());
                }
            }
            (seen, changed)
        });
        match looked.await {
            Ok((seen, changed)) => {
                self.seen = seen;
                changed
            }
            // The runtime ends.
            Err(_) => Vec::new(),
        }
    }

    /// Links are changed in the folders where they stand.
    fn folders(&self) -> HashSet<PathBuf> {
        let parent = |path: &Path| match path.parent() {
            Some(parent) if parent.as_os_str().is_empty() => PathBuf::from("."),
            Some(parent) => parent.into(),
            None => path.into(),
        };
        self.seen.iter().map(|(path, _)| parent(path)).collect()
    }
}

/// Not that a file was read, or we would follow our own steps.
fn matters(kind: EventKind) -> bool {
    match kind {
        EventKind::Access(AccessKind::Close(mode)) => mode == notify::event::AccessMode::Write,
        EventKind::Access(_) => false,
        _ => true,
    }
}

#[cfg(test)]
mod tests;

//! What a file held when it was last looked at.

use std::{
    fs::{File, Metadata},
    io::{self, Read},
    os::unix::fs::MetadataExt,
    path::Path,
    time::{Duration, SystemTime},
};

use ring::digest::{Context, SHA256};

/// A file of this size or more is read again only if its number, size or times tell that it may have changed.
const LARGE: u64 = 1024 * 1024;

/// Times of files are coarse: what changed this shortly before it was read may have changed again within one tick.
const FRESH: Duration = Duration::from_secs(2);

/// What a file held when it was last looked at.
#[derive(Clone, Debug, Default)]
pub(super) struct Content {
    /// Of what was read last; `None`: it never could be read.
    hash: Option<[u8; 32]>,
    /// Of the file that was read last, where they are to be trusted.
    stamp: Option<Stamp>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Stamp {
    file: (u64, u64),
    size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Content {
    /// Looks at it for the first time.
    pub(super) fn of(path: &Path) -> Self {
        let mut content = Self::default();
        content.look(path);
        content
    }

    /// Looks again; tells whether it holds something else. What cannot be read holds what it held.
    pub(super) fn look(&mut self, path: &Path) -> bool {
        let Ok(Some((hash, stamp))) = self.read(path) else {
            return false;
        };
        self.stamp = stamp;
        self.hash.replace(hash) != Some(hash)
    }

    /// `None`: it is as it was.
    fn read(&self, path: &Path) -> io::Result<Option<([u8; 32], Option<Stamp>)>> {
        let mut file = File::open(path)?;
        let metadata = file.metadata()?;
        if metadata.len() >= LARGE && self.stamp == Some(Stamp::of(&metadata)) {
            return Ok(None);
        }
        let mut context = Context::new(&SHA256);
        let mut buffer = vec![0; 64 * 1024];
        loop {
            match file.read(&mut buffer)? {
                0 => break,
                length => context.update(&buffer[..length]),
            }
        }
        let mut hash = [0; 32];
        hash.copy_from_slice(context.finish().as_ref());
        let stamp = (!is_fresh(&metadata)).then(|| Stamp::of(&metadata));
        Ok(Some((hash, stamp)))
    }
}

impl Stamp {
    fn of(metadata: &Metadata) -> Self {
        Self {
            file: (metadata.dev(), metadata.ino()),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }
}

fn is_fresh(metadata: &Metadata) -> bool {
    let seconds = u64::try_from(metadata.ctime()).unwrap_or_default();
    let changed = SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
    // A time in the future is not to be trusted either.
    changed.elapsed().map_or(true, |age| age < FRESH)
}

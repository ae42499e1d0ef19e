//! Files that are read whole, up to a limit. Settings name them, so they may be anything: a pipe, a device without an
//! end, a file that grows while it is read.

use std::{
    fmt,
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
};

/// How much of a file is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limit {
    bytes: u64,
    /// What to do about a file with more.
    remedy: &'static str,
}

/// Why a file cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It is not there, or not for us.
    #[error("cannot read {}; check that it exists and that this user may read it", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// It has more bytes than are read.
    #[error("{} is over {limit}", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// The most that it may have.
        limit: Limit,
    },
    /// It should be text, and is not.
    #[error("{} is not text; write it in UTF-8", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
    },
}

/// The bytes of a file. Blocks for as long as they take to read.
///
/// A regular file is read into memory that is allocated once, so that whoever wipes it has wiped all of it.
pub(crate) fn read(path: &Path, limit: Limit) -> Result<Vec<u8>, Error> {
    /// The standard library takes less room than this for a reason to read into memory of its own.
    const SPARE: u64 = 64;
    let failed = |source| Error::Read {
        path: path.into(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let expected = file.metadata().map_err(failed)?.len().min(limit.bytes);
    let mut bytes = Vec::with_capacity(usize::try_from(expected + SPARE).unwrap_or_default());
    // Of what is too large one byte is read, which tells.
    let read = file.take(limit.bytes + 1).read_to_end(&mut bytes);
    if read.map_err(failed)? as u64 > limit.bytes {
        let path = path.into();
        return Err(Error::TooLarge { path, limit });
    }
    Ok(bytes)
}

/// The text of a file, as [`read`].
pub(crate) fn read_text(path: &Path, limit: Limit) -> Result<String, Error> {
    String::from_utf8(read(path, limit)?).map_err(|_| Error::NotText { path: path.into() })
}

impl Limit {
    /// So many times 1024 bytes; for more, `remedy` says what to do.
    pub(crate) const fn kib(count: u64, remedy: &'static str) -> Self {
        let bytes = count << 10;
        Self { bytes, remedy }
    }

    /// So many times 1024 × 1024 bytes; for more, `remedy` says what to do.
    pub(crate) const fn mib(count: u64, remedy: &'static str) -> Self {
        Self::kib(count << 10, remedy)
    }
}

impl fmt::Display for Limit {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        let units = [("GiB", 30), ("MiB", 20), ("KiB", 10)];
        let whole = units
            .iter()
            .find(|(_, bits)| self.bytes.trailing_zeros() >= *bits);
        let (unit, bits) = whole.copied().unwrap_or(("bytes", 0));
        write!(to, "{} {unit}; {}", self.bytes >> bits, self.remedy)
    }
}

#[cfg(test)]
mod tests {
    use std::{fs, thread};

    use super::*;

    const LIMIT: Limit = Limit::kib(1, "write less");

    fn of(content: &[u8]) -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("file");
        fs::write(&path, content).unwrap();
        (folder, path)
    }

    #[test]
    fn a_file_is_read_up_to_its_limit() {
        for length in [0, 1, 1023, 1024] {
            let content = vec![b'x'; length];
            let (_folder, path) = of(&content);
            let read = read(&path, LIMIT).unwrap();
            assert_eq!(read, content);
            assert_eq!(read.capacity(), length + 64, "it was allocated again");
        }
        let (_folder, path) = of(&[b'x'; 1025]);
        let text = read(&path, LIMIT).unwrap_err().to_string();
        assert_eq!(
            text,
            format!("{} is over 1 KiB; write less", path.display())
        );
    }

    #[test]
    fn what_has_no_size_is_read_up_to_the_limit_too() {
        let endless = read(Path::new("/dev/zero"), LIMIT);
        assert!(matches!(endless, Err(Error::TooLarge { .. })));
        let (reader, mut writer) = io::pipe().unwrap();
        let path = format!("/dev/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&reader));
        let written = thread::spawn(move || io::Write::write_all(&mut writer, b"secret"));
        assert_eq!(read(Path::new(&path), LIMIT).unwrap(), b"secret");
        written.join().unwrap().unwrap();
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let text = read(Path::new("/no/such"), LIMIT).unwrap_err().to_string();
        assert!(text.starts_with("cannot read /no/such; check"), "{text}");
        let (_folder, path) = of(&[0xff]);
        let text = read_text(&path, LIMIT).unwrap_err().to_string();
        assert_eq!(
            text,
            format!("{} is not text; write it in UTF-8", path.display())
        );
    }

    #[test]
    fn a_limit_is_told_in_its_largest_unit() {
        let text = |limit: Limit| limit.to_string();
        assert_eq!(text(Limit::mib(2048, "a")), "2 GiB; a");
        assert_eq!(text(Limit::kib(64, "b")), "64 KiB; b");
        assert_eq!(text(Limit::kib(1025, "c")), "1025 KiB; c");
    }
}

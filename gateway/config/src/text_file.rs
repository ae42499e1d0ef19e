//! Files of text that stand beside the configuration, read whole up to a limit.

use std::{
    fs::File,
    io::{self, Read as _},
    path::Path,
};

use crate::{ByteSize, Error};

/// The text of a file of at most `limit`.
pub(crate) fn read(path: &Path, limit: ByteSize) -> Result<String, Error> {
    let unread = |source| Error::Read {
        path: path.into(),
        source,
    };
    let most = limit.bytes() as u64;
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(most + 1).read_to_string(&mut text))
        .map_err(unread)?;
    if text.len() as u64 > most {
        let larger = format!("it is larger than {limit}");
        return Err(unread(io::Error::new(io::ErrorKind::FileTooLarge, larger)));
    }
    Ok(text)
}

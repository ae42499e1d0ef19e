//! Bytes as a person reads them: text where they are text, escapes where they are not, and never too much of them.

/// So many bytes are shown of a longer one.
const MOST: usize = 80;

/// The bytes in quotes, cut where they are long.
pub(crate) fn bytes(bytes: &[u8]) -> String {
    let head = bytes[..bytes.len().min(MOST)].escape_ascii();
    if bytes.len() > MOST {
        format!("\"{head}\"… ({} bytes)", bytes.len())
    } else {
        format!("\"{head}\"")
    }
}

/// Where two streams begin to differ, as one sentence; `None`: one is the other's beginning.
pub(crate) fn difference(expected: &[u8], seen: &[u8]) -> Option<String> {
    let both = expected.len().min(seen.len());
    if expected[..both] == seen[..both] {
        return None;
    }
    let at = expected
        .iter()
        .zip(seen)
        .position(|(one, other)| one != other)?;
    let (wanted, got) = (bytes(&expected[at..]), bytes(&seen[at..]));
    Some(format!("from byte {at} on expected {wanted}, came {got}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_and_binary_bytes_are_shown() {
        assert_eq!(bytes(b"a\n\x01"), r#""a\n\x01""#);
        assert!(bytes(&[b'x'; 100]).ends_with("… (100 bytes)"));
    }

    #[test]
    fn the_first_difference_is_told() {
        assert_eq!(difference(b"abc", b"ab"), None);
        let told = difference(b"abc", b"abd").unwrap();
        assert_eq!(told, r#"from byte 2 on expected "c", came "d""#);
    }
}

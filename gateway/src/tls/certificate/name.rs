//! Distinguished names as text, as RFC 4514 has it.

use std::fmt::Write as _;

use x509_parser::{
    asn1_rs::Tag,
    x509::{AttributeTypeAndValue, X509Name},
};

/// Short names of what stands in names. Others are shown as numbers (`2.5.4.97=…`).
const KINDS: [(&str, &str); 15] = [
    ("2.5.4.3", "CN"),
    ("2.5.4.4", "SN"),
    ("2.5.4.5", "SERIALNUMBER"),
    ("2.5.4.6", "C"),
    ("2.5.4.7", "L"),
    ("2.5.4.8", "ST"),
    ("2.5.4.9", "STREET"),
    ("2.5.4.10", "O"),
    ("2.5.4.11", "OU"),
    ("2.5.4.12", "TITLE"),
    ("2.5.4.42", "GIVENNAME"),
    ("2.5.4.46", "DNQUALIFIER"),
    ("0.9.2342.19200300.100.1.1", "UID"),
    ("0.9.2342.19200300.100.1.25", "DC"),
    ("1.2.840.113549.1.9.1", "EMAILADDRESS"),
];

/// The whole name, the most specific part (the last one in the certificate) first.
pub(in crate::tls) fn distinguished(name: &X509Name) -> String {
    let parts: Vec<String> = name
        .iter_rdn()
        .map(|part| part.iter().map(attribute).collect::<Vec<_>>().join("+"))
        .collect();
    parts.into_iter().rev().collect::<Vec<_>>().join(",")
}

/// The most specific common name, as it is.
pub(super) fn common(name: &X509Name) -> Option<String> {
    text(name.iter_common_name().last()?)
}

fn attribute(attribute: &AttributeTypeAndValue) -> String {
    let oid = attribute.attr_type().to_id_string();
    let kind = KINDS.iter().find(|(number, _)| *number == oid);
    let kind = kind.map_or(oid.as_str(), |(_, short)| short);
    match text(attribute) {
        Some(value) => format!("{kind}={}", escaped(&value)),
        None => format!("{kind}=#{}", super::hexadecimal(attribute.as_slice())),
    }
}

/// The value, of whatever kind of string it is.
fn text(attribute: &AttributeTypeAndValue) -> Option<String> {
    let value = attribute.attr_value();
    match value.tag() {
        Tag::BmpString => {
            let (pairs, odd) = value.data.as_chunks::<2>();
            let units: Vec<u16> = pairs.iter().map(|pair| u16::from_be_bytes(*pair)).collect();
            String::from_utf16(&units).ok().filter(|_| odd.is_empty())
        }
        // In theory T.61; in practice Latin-1.
        Tag::TeletexString => Some(value.data.iter().map(|byte| char::from(*byte)).collect()),
        Tag::Utf8String
        | Tag::PrintableString
        | Tag::Ia5String
        | Tag::NumericString
        | Tag::VisibleString => String::from_utf8(value.data.to_vec()).ok(),
        _ => None,
    }
}

/// What means something in a name, and what breaks a line of a log, stands behind a backslash.
fn escaped(value: &str) -> String {
    let mut text = String::with_capacity(value.len());
    let last = value.chars().count().saturating_sub(1);
    for (place, letter) in value.chars().enumerate() {
        let edge = letter == ' ' && (place == 0 || place == last) || letter == '#' && place == 0;
        if edge || matches!(letter, ',' | '+' | '"' | '\\' | '<' | '>' | ';') {
            text.push('\\');
            text.push(letter);
        } else if letter.is_control() {
            for byte in letter.encode_utf8(&mut [0; 4]).bytes() {
                let _ = write!(text, "\\{byte:02x}");
            }
        } else {
            text.push(letter);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_means_something_is_escaped() {
        assert_eq!(escaped("a,b+c"), r"a\,b\+c");
        assert_eq!(escaped(" #a "), r"\ #a\ ");
        assert_eq!(escaped("#a"), r"\#a");
        assert_eq!(escaped("a\nb\0"), r"a\0ab\00");
        assert_eq!(escaped(" "), r"\ ");
        assert_eq!(escaped(""), "");
    }
}

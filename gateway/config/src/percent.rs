//! Parts of a hundred, to two decimals.

use std::{fmt, str::FromStr};

use crate::text::text;

/// From 0 to 100, in steps of 0.01.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Percent(u16);

text!(Percent, "a number from 0 to 100, such as 5 or 0.5");

/// All there is.
const ALL: u16 = 10_000;

impl Percent {
    /// A whole number of them, 100 at most.
    #[must_use]
    pub const fn whole(percent: u8) -> Self {
        assert!(percent <= 100, "there are no more than 100");
        Self(percent as u16 * 100)
    }

    /// As a part of one.
    #[must_use]
    pub fn share(self) -> f64 {
        f64::from(self.0) / f64::from(ALL)
    }
}

impl fmt::Display for Percent {
    fn fmt(&self, to: &mut fmt::Formatter) -> fmt::Result {
        // The shortest way to write it: 5, 0.5, 0.25.
        (f64::from(self.0) / 100.0).fmt(to)
    }
}

impl FromStr for Percent {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = || {
            format!(
                "\"{}\" is no share in percent; write a number from 0 to 100 with two decimals at \
                 most, such as 5 or 0.5",
                crate::text::shown(text)
            )
        };
        let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
        let is_number =
            |digits: &str| !digits.is_empty() && digits.bytes().all(|c| c.is_ascii_digit());
        if !is_number(whole) || !is_number(part) || part.len() > 2 {
            return Err(wrong());
        }
        let whole: u16 = whole.parse().map_err(|_| wrong())?;
        let part: u16 = format!("{part:0<2}").parse().map_err(|_| wrong())?;
        let hundredths = whole
            .checked_mul(100)
            .and_then(|whole| whole.checked_add(part));
        hundredths
            .filter(|all| *all <= ALL)
            .map(Self)
            .ok_or_else(wrong)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_shown_and_meant() {
        for (text, shown, share) in [
            ("0", "0", 0.0),
            ("5", "5", 0.05),
            ("0.5", "0.5", 0.005),
            ("12.50", "12.5", 0.125),
            ("0.01", "0.01", 0.0001),
            ("100", "100", 1.0),
        ] {
            let percent: Percent = text.parse().unwrap();
            assert_eq!(percent.to_string(), shown);
            assert!((percent.share() - share).abs() < 1e-9, "{text}");
        }
        assert_eq!(Percent::whole(5), "5".parse().unwrap());
    }

    #[test]
    fn what_is_no_share_is_refused() {
        for text in [
            "",
            "-1",
            "101",
            "100.01",
            "0.001",
            "5%",
            ".5",
            "5.",
            "+5",
            "a",
            "99999999999",
        ] {
            let error = text.parse::<Percent>().unwrap_err();
            assert!(error.contains("from 0 to 100"), "{text}: {error}");
        }
    }
}

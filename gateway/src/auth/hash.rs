//! Hashed passwords: argon2id, which is made here, and bcrypt and PBKDF2, which are read.
//!
//! What a hash costs is bounded: a file must not be able to stop a gateway.

use std::num::NonZeroU32;

use argon2::{
    Argon2, Params, PasswordHasher as _, PasswordVerifier as _, password_hash::phc::PasswordHash,
};
use base64::{
    Engine as _,
    engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig},
};
use ring::pbkdf2;

/// The most memory that one argon2 hash may take, in KiB.
const MOST_MEMORY: u32 = 1024 * 1024;
/// The most passes and lanes of argon2.
const MOST_PASSES: u32 = 64;
/// The most rounds of bcrypt, as a power of two.
const MOST_COST: u32 = 16;
/// The most rounds of PBKDF2.
const MOST_ROUNDS: u32 = 10_000_000;
/// bcrypt takes so many bytes of a password.
const BCRYPT_BYTES: usize = 72;
/// A bcrypt hash is so long.
const BCRYPT_LENGTH: usize = 60;

/// A hash as it stands in a file: looked at, and not yet computed with.
pub struct Hash<'a>(Kind<'a>);

enum Kind<'a> {
    Argon2(&'a str),
    Bcrypt(&'a str),
    Pbkdf2(Pbkdf2),
}

struct Pbkdf2 {
    algorithm: pbkdf2::Algorithm,
    rounds: NonZeroU32,
    salt: Vec<u8>,
    derived: Vec<u8>,
}

impl<'a> Hash<'a> {
    /// Takes a hash in the form that its kind has.
    ///
    /// # Errors
    /// What is wrong, without showing any of it.
    pub fn parse(text: &'a str) -> Result<Self, &'static str> {
        if text.starts_with("$argon2") {
            return argon2(text).map(|()| Self(Kind::Argon2(text)));
        }
        if let Some(rest) = text.strip_prefix("$pbkdf2-") {
            return Pbkdf2::parse(rest).map(|hash| Self(Kind::Pbkdf2(hash)));
        }
        if ["$2a$", "$2b$", "$2y$"]
            .iter()
            .any(|start| text.starts_with(start))
        {
            return bcrypt(text).map(|()| Self(Kind::Bcrypt(text)));
        }
        Err("the hash is none of argon2id, bcrypt and PBKDF2; make one with exproto-gateway hash")
    }

    /// Whether it is that password's. Takes its time, and the same whatever the password is.
    #[must_use]
    pub fn is_of(&self, password: &[u8]) -> bool {
        match &self.0 {
            Kind::Argon2(text) => Argon2::default().verify_password(password, *text).is_ok(),
            // What is beyond never was in a hash of bcrypt.
            Kind::Bcrypt(text) => {
                let password = &password[..password.len().min(BCRYPT_BYTES)];
                bcrypt::verify(password, text).unwrap_or(false)
            }
            Kind::Pbkdf2(hash) => pbkdf2::verify(
                hash.algorithm,
                hash.rounds,
                &hash.salt,
                password,
                &hash.derived,
            )
            .is_ok(),
        }
    }
}

/// A new argon2id hash with a salt of chance, as OWASP recommends it: 19 MiB, 2 passes.
///
/// # Panics
/// When the system has no random numbers.
#[must_use]
pub fn argon2id(password: &[u8]) -> String {
    Argon2::default()
        .hash_password(password)
        .expect("the parameters are good, and the system has random numbers")
        .to_string()
}

fn argon2(text: &str) -> Result<(), &'static str> {
    const BAD: &str = "the hash is cut short or changed: it is not one of argon2id";
    let hash = PasswordHash::new(text).map_err(|_| BAD)?;
    if hash.algorithm.as_str() != "argon2id" {
        return Err("the hash is of another kind of argon2; only argon2id is taken");
    }
    if hash.salt.is_none() || hash.hash.is_none() {
        return Err(BAD);
    }
    let params = Params::try_from(&hash).map_err(|_| BAD)?;
    if params.m_cost() > MOST_MEMORY
        || params.t_cost() > MOST_PASSES
        || params.p_cost() > MOST_PASSES
    {
        return Err("the hash costs too much; write at most m=1048576, t=64 and p=64");
    }
    Ok(())
}

fn bcrypt(text: &str) -> Result<(), &'static str> {
    const BAD: &str = "the hash is cut short or changed: it is not one of bcrypt";
    let parts: bcrypt::HashParts = text.parse().map_err(|_| BAD)?;
    if text.len() != BCRYPT_LENGTH {
        return Err(BAD);
    }
    if parts.get_cost() > MOST_COST {
        return Err("the hash costs too much; write at most 16 rounds");
    }
    Ok(())
}

impl Pbkdf2 {
    /// `sha256$i=600000,l=32$SALT$HASH`, or with the count of rounds alone, as passlib has it.
    fn parse(text: &str) -> Result<Self, &'static str> {
        const BAD: &str = "the hash is cut short or changed: it is not one of PBKDF2";
        let mut parts = text.split('$');
        let mut part = || parts.next().ok_or(BAD);
        let (algorithm, length) = match part()? {
            "sha256" => (pbkdf2::PBKDF2_HMAC_SHA256, 32),
            "sha512" => (pbkdf2::PBKDF2_HMAC_SHA512, 64),
            _ => {
                return Err(
                    "the hash is of another kind of PBKDF2; only sha256 and sha512 are taken",
                );
            }
        };
        let settings = part()?;
        let mut rounds = settings
            .split(',')
            .map(|each| each.strip_prefix("i=").unwrap_or(each));
        let rounds: u32 = rounds.find_map(|each| each.parse().ok()).ok_or(BAD)?;
        let rounds = NonZeroU32::new(rounds).ok_or(BAD)?;
        if rounds.get() > MOST_ROUNDS {
            return Err("the hash costs too much; write at most 10000000 rounds");
        }
        let salt = decode(part()?).ok_or(BAD)?;
        let derived = decode(part()?).ok_or(BAD)?;
        if derived.len() != length || salt.is_empty() || parts.next().is_some() {
            return Err(BAD);
        }
        Ok(Self {
            algorithm,
            rounds,
            salt,
            derived,
        })
    }
}

/// Base64 with or without padding; passlib writes `.` for `+`.
fn decode(text: &str) -> Option<Vec<u8>> {
    const CONFIG: GeneralPurposeConfig =
        GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent);
    const ENGINE: GeneralPurpose = GeneralPurpose::new(&base64::alphabet::STANDARD, CONFIG);
    ENGINE.decode(text.replace('.', "+")).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Made by Python's argon2-cffi, bcrypt and passlib, and by Apache's htpasswd.
    const HUNTER2: &[&str] = &[
        "$argon2id$v=19$m=1024,t=2,p=2$pcSdV+lltgBhK+o/rp7H/w$0HI05aX8FisavNjAPS7Ed0o3qKjR/OLlKvO39OC0Ha8",
        "$2b$04$EJtmtMabpWsgXB3GXvt1.euDg1mTlmgfiOoRog9aUrdatZsntPQTa",
        "$2y$04$S3E.o2lfY1UpzjI3CFqumOAwt9eXztSP4ilyRTpr.vyXTzBkmW8Y2",
        "$pbkdf2-sha256$1000$wHhPaS1FqJVyLoVQivG.9w$jKElRFMai0es0ntyktiatrh7PI3jGpU3OANVLmyWqtM",
        "$pbkdf2-sha512$1000$7J3zHiNk7F2rdQ5BKKVUag$xS009bveNcuTiA0Gvu/zGhChrw/qrgyaUI8x1sj8SSgaHqFLhHAuywiKpBUJ9FhE7myq1IDeZBFagZ33M4HZTQ",
        "$pbkdf2-sha256$i=1000,l=32$c2l4dGVlbiBieXRlIHNhbA$oZCQho0sxuCg/YzCSXlkbZKM+Czx6FW7U8RMscvRB7E",
    ];

    #[test]
    fn hashes_of_other_programs_are_understood() {
        for text in HUNTER2 {
            let hash = Hash::parse(text).unwrap();
            assert!(hash.is_of(b"hunter2"), "{text}");
            assert!(!hash.is_of(b"hunter3"), "{text}");
            assert!(!hash.is_of(b""), "{text}");
        }
    }

    #[test]
    fn what_is_made_is_argon2id_and_never_the_same() {
        let made = argon2id(b"hunter2");
        assert!(
            made.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"),
            "{made}"
        );
        assert!(Hash::parse(&made).unwrap().is_of(b"hunter2"));
        assert_ne!(made, argon2id(b"hunter2"));
    }

    #[test]
    fn what_is_no_hash_is_refused_and_not_shown() {
        let cut: Vec<String> = HUNTER2
            .iter()
            .map(|hash| hash[..hash.len() - 9].to_owned())
            .collect();
        let others = [
            "",
            "hunter2",
            "$argon2id$",
            "$argon2i$v=19$m=4096,t=3,p=1$c29tZXNhbHQ$iWh06vD8Fy27wf9npn6FXWiCX4K6pW6Ue1Bnzz07Z8A",
            "$argon2id$v=19$m=4194304,t=3,p=1$c29tZXNhbHQ$iWh06vD8Fy27wf9npn6FXWiCX4K6pW6Ue1Bnzz07Z8A",
            "$1$salt$hash",
            "$2y$31$abcdefghijklmnopqrstuuXY0WGnFB7TU4xVx0hF3z6Zp6fzZJm2K",
            "$pbkdf2-sha1$i=1000$c29tZXNhbHQ$AAAA",
            "$pbkdf2-sha256$i=99999999$c29tZXNhbHQ$iWh06vD8Fy27wf9npn6FXWiCX4K6pW6Ue1Bnzz07Z8A",
            "$pbkdf2-sha256$i=0$c29tZXNhbHQ$iWh06vD8Fy27wf9npn6FXWiCX4K6pW6Ue1Bnzz07Z8A",
        ];
        for text in cut.iter().map(String::as_str).chain(others) {
            let error = Hash::parse(text).map(drop).expect_err(text);
            assert!(error.contains("hash"), "{text}: {error}");
        }
    }
}

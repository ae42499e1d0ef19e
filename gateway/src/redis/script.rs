//! Scripts that Redis runs.

use std::fmt::Write as _;

use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

/// A script in Lua, sent once to each server and named by its digest from then on.
#[derive(Clone, Debug)]
pub struct Script {
    code: &'static str,
    name: String,
}

impl Script {
    /// The script with this code.
    #[must_use]
    pub fn new(code: &'static str) -> Self {
        // Redis names scripts so.
        let digest = digest(&SHA1_FOR_LEGACY_USE_ONLY, code.as_bytes());
        let name = digest
            .as_ref()
            .iter()
            .fold(String::new(), |mut name, byte| {
                write!(name, "{byte:02x}").expect("a string takes everything");
                name
            });
        Self { code, name }
    }

    /// A call of it by its name.
    pub(super) fn by_name(&self, keys: &[&str], arguments: &[&[u8]]) -> Vec<u8> {
        packed("EVALSHA", &self.name, keys, arguments)
    }

    /// A call of it that also teaches it.
    pub(super) fn whole(&self, keys: &[&str], arguments: &[&[u8]]) -> Vec<u8> {
        packed("EVAL", self.code, keys, arguments)
    }
}

fn packed(verb: &str, script: &str, keys: &[&str], arguments: &[&[u8]]) -> Vec<u8> {
    let mut command = redis::cmd(verb);
    command.arg(script).arg(keys.len()).arg(keys);
    for &argument in arguments {
        command.arg(argument);
    }
    command.get_packed_command()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_named_as_redis_names_it() {
        // By SCRIPT LOAD.
        let name = Script::new("return 1").name;
        assert_eq!(name, "e0e1f9fabfc9d4800c877a703b823ac0578ff8db");
    }
}

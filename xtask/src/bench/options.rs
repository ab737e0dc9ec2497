//! The options that several modes take.

use std::ffi::OsString;
use std::path::PathBuf;

use super::runtime::Runtime;

/// How many rounds to run, and with which binaries.
pub struct Common {
    pub rounds: usize,
    /// The binary of OpenKV. `None` to build it.
    openkv: Option<PathBuf>,
    deno: PathBuf,
}

impl Common {
    pub fn with_rounds(rounds: usize) -> Self {
        Self { rounds, openkv: None, deno: "deno".into() }
    }

    /// Takes an option and its value. Returns whether it is one of these options.
    pub fn take(&mut self, option: &str, rest: &mut std::slice::Iter<OsString>) -> Result<bool, String> {
        match option {
            "--rounds" => self.rounds = number(option, rest)?,
            "--openkv" => self.openkv = Some(value(option, rest)?.into()),
            "--deno" => self.deno = value(option, rest)?.into(),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Returns OpenKV, and builds it if no binary was named.
    pub fn openkv(&self) -> Result<Runtime, String> {
        Runtime::openkv(&self.binary()?)
    }

    pub fn deno(&self) -> Result<Runtime, String> {
        Runtime::deno(&self.deno)
    }

    /// Returns the binary of OpenKV: the one that is named, or one that is built.
    pub fn binary(&self) -> Result<PathBuf, String> {
        match &self.openkv {
            Some(path) => Ok(path.clone()),
            None if crate::build_release()? => Ok(crate::target_directory().join("release/openkv")),
            None => Err("openkv could not be built".into()),
        }
    }
}

/// Returns the value of an option.
pub fn value<'a>(option: &str, rest: &mut std::slice::Iter<'a, OsString>) -> Result<&'a OsString, String> {
    rest.next().ok_or_else(|| format!("{option} needs a value"))
}

/// Returns the value of an option that is a number above 0.
pub fn number(option: &str, rest: &mut std::slice::Iter<OsString>) -> Result<usize, String> {
    let number = value(option, rest)?.to_str().and_then(|value| value.replace('_', "").parse().ok());
    number.filter(|number| *number > 0).ok_or_else(|| format!("{option} needs a number above 0"))
}

//! The options that several modes take.

use std::ffi::OsString;
use std::path::PathBuf;
use std::slice::Iter;

use super::measures::Measure;
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
    pub fn take(&mut self, option: &str, rest: &mut Iter<OsString>) -> Result<bool, String> {
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

/// Parses the names of measures, and options, which `take` accepts together with their values. Returns the named measures, or all.
pub fn parse(
    args: &[OsString],
    measures: &'static [Measure],
    mut take: impl FnMut(&str, &mut Iter<OsString>) -> Result<bool, String>,
) -> Result<Vec<&'static Measure>, String> {
    let mut names = Vec::new();
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let name = arg.to_str().unwrap_or_default();
        if measures.iter().any(|measure| measure.name == name) {
            names.push(name);
        } else if !take(name, &mut args)? {
            let known: Vec<_> = measures.iter().map(|measure| measure.name).collect();
            let known = known.join(", ");
            return Err(format!("unknown option or measure {arg:?}: the measures are {known}\n\n{}", crate::USAGE));
        }
    }
    Ok(measures.iter().filter(|measure| names.is_empty() || names.contains(&measure.name)).collect())
}

/// Returns the value of an option.
pub fn value<'a>(option: &str, rest: &mut Iter<'a, OsString>) -> Result<&'a OsString, String> {
    rest.next().ok_or_else(|| format!("{option} needs a value"))
}

/// Returns the value of an option that is a number above 0.
pub fn number(option: &str, rest: &mut Iter<OsString>) -> Result<usize, String> {
    let number = value(option, rest)?.to_str().and_then(|value| value.replace('_', "").parse().ok());
    number.filter(|number| *number > 0).ok_or_else(|| format!("{option} needs a number above 0"))
}

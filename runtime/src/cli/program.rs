//! Programs in TypeScript that the binary contains and runs, such as the studio.

use std::collections::HashMap;

use deno_core::serde_json::Value;
use openkv::{Config, Lock, Options};

use super::flags::RuntimeFlags;
use super::launch;

/// A program, with the text of its modules by their paths.
pub(super) struct Program {
    /// The path of the main module.
    pub main: &'static str,
    pub modules: &'static [(&'static str, &'static str)],
}

impl Program {
    /// Returns the options of a runtime that runs the program. Its first argument are the settings, as JSON.
    pub fn options(&self, flags: &RuntimeFlags, settings: &Value) -> Result<Options, String> {
        // No module of the user has such a URL.
        let root = launch::url("./$openkv$/")?;
        let url = |path: &str| root.join(path).map_err(|error| format!("{path}: {error}"));
        let mut embedded = HashMap::new();
        for (path, text) in self.modules {
            embedded.insert(url(path)?, (*text).to_owned());
        }
        let mut options = launch::options(flags, url(self.main)?, vec![settings.to_string()])?;
        options.main_text = embedded.get(&options.main_module).cloned();
        options.embedded = embedded;
        Ok(options)
    }
}

/// Returns the flags of a program that opens any database. Files in the current directory do not configure it.
pub(super) fn flags() -> RuntimeFlags {
    let mut flags = RuntimeFlags::default();
    flags.modules.config = Config::None;
    flags.modules.lock = Lock::None;
    let granted = &mut flags.permissions;
    for list in [&mut granted.allow_read, &mut granted.allow_write, &mut granted.allow_net, &mut granted.allow_env] {
        *list = Some(Vec::new());
    }
    flags
}

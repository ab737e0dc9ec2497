//! What Deno enables with `--unstable-NAME`, or with `unstable` in a configuration file.

/// How a feature is supported that Deno enables on request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// The runtime has it without being asked, or what it changes is not in the runtime.
    Always,
    /// The runtime has it where it is asked for.
    OnRequest,
    /// The runtime lacks it, for this reason.
    Refused(&'static str),
}

use Support::{Always, OnRequest, Refused};

/// The features, by their names.
pub const FEATURES: [(&str, Support); 27] = [
    // As on Deno, with the flag or without.
    ("bare-node-builtins", Always),
    ("broadcast-channel", Always),
    ("bundle", Refused("there is no Deno.bundle")),
    // Packages of npm are not loaded, wherever they would be.
    ("byonm", Always),
    ("cron", Refused("there is no Deno.cron")),
    // What a file loads by `require` is told apart with the flag or without.
    ("detect-cjs", Always),
    ("ffi", Refused("there is no Deno.dlopen")),
    ("fs", Always),
    ("http", Always),
    ("kv", Always),
    // A module that is imported dynamically runs when it is reached, with the flag or without.
    ("lazy-dynamic-imports", Always),
    ("lockfile-v5", Always),
    ("net", Always),
    ("no-legacy-abort", OnRequest),
    // Without an effect on Deno, too.
    ("node-globals", Always),
    ("npm-lazy-caching", Always),
    ("otel", Refused("telemetry is not exported")),
    ("process", Always),
    ("raw-imports", Always),
    ("sloppy-imports", Refused("write the whole file name with its extension in the import")),
    ("subdomain-wildcards", Always),
    ("temporal", Always),
    // It says how types are checked, which they are not.
    ("tsgo", Always),
    ("unsafe-proto", OnRequest),
    ("vsock", Always),
    ("webgpu", Refused("there is no WebGPU")),
    ("worker-options", Refused("there are no workers")),
];

/// Returns how a feature is supported, or `None` where Deno does not know it either.
pub fn support(name: &str) -> Option<Support> {
    FEATURES.iter().find(|(known, _)| *known == name).map(|(_, support)| *support)
}

/// The features that are supported on request, and were asked for.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unstable {
    /// Whether objects inherit `__proto__` from `Object.prototype`.
    pub unsafe_proto: bool,
    /// Whether the signal of a request that `Deno.serve` answered in full stays as it is, rather than being aborted.
    pub no_legacy_abort: bool,
}

impl Unstable {
    /// Returns the flags of the command line that enable the same.
    pub(crate) fn flags(self) -> Vec<String> {
        let flags = [(self.unsafe_proto, "unsafe-proto"), (self.no_legacy_abort, "no-legacy-abort")];
        flags.iter().filter(|(enabled, _)| *enabled).map(|(_, name)| format!("--unstable-{name}")).collect()
    }
}

impl<'a> FromIterator<&'a str> for Unstable {
    fn from_iter<T: IntoIterator<Item = &'a str>>(names: T) -> Self {
        names.into_iter().fold(Self::default(), |unstable, name| Self {
            unsafe_proto: unstable.unsafe_proto || name == "unsafe-proto",
            no_legacy_abort: unstable.no_legacy_abort || name == "no-legacy-abort",
        })
    }
}

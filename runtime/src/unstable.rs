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
    ("bare-node-builtins", Refused("there are no modules of Node.js")),
    ("broadcast-channel", Always),
    ("bundle", Refused("there is no Deno.bundle")),
    ("byonm", Always),
    ("cron", Refused("there is no Deno.cron")),
    ("detect-cjs", Refused("there are no CommonJS modules: write an ES module")),
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
    ("npm-lazy-caching", OnRequest),
    ("otel", Refused("telemetry is not exported")),
    ("process", Always),
    ("raw-imports", Always),
    ("sloppy-imports", OnRequest),
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
    /// Whether only those packages of npm are installed that modules have imported.
    pub npm_lazy_caching: bool,
    /// Whether imports may leave out the extensions of files, or name directories.
    pub sloppy_imports: bool,
}

impl<'a> FromIterator<&'a str> for Unstable {
    fn from_iter<T: IntoIterator<Item = &'a str>>(names: T) -> Self {
        names.into_iter().fold(Self::default(), |unstable, name| Self {
            unsafe_proto: unstable.unsafe_proto || name == "unsafe-proto",
            no_legacy_abort: unstable.no_legacy_abort || name == "no-legacy-abort",
            npm_lazy_caching: unstable.npm_lazy_caching || name == "npm-lazy-caching",
            sloppy_imports: unstable.sloppy_imports || name == "sloppy-imports",
        })
    }
}

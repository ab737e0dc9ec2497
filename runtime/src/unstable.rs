//! The features that Deno enables with `--unstable-NAME`, or with `unstable` in a configuration file.

/// The support for an unstable feature of Deno.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Support {
    /// The runtime always has it, or lacks the part that it changes.
    Always,
    /// The runtime has it if it is enabled.
    OnRequest,
    /// The runtime lacks it, for this reason.
    Unsupported(&'static str),
}

use Support::{Always, OnRequest, Unsupported};

/// The features, by their names.
pub const FEATURES: [(&str, Support); 27] = [
    // Deno always enables it, too.
    ("bare-node-builtins", Always),
    ("broadcast-channel", Always),
    ("bundle", Unsupported("OpenKV has no Deno.bundle")),
    ("byonm", Always),
    ("cron", Always),
    // CommonJS modules are always detected.
    ("detect-cjs", Always),
    ("ffi", Unsupported("OpenKV has no Deno.dlopen")),
    ("fs", Always),
    ("http", Always),
    ("kv", Always),
    // Dynamic imports are always lazy.
    ("lazy-dynamic-imports", Always),
    ("lockfile-v5", Always),
    ("net", Always),
    ("no-legacy-abort", OnRequest),
    // Has no effect on Deno either.
    ("node-globals", Always),
    ("npm-lazy-caching", OnRequest),
    ("otel", Unsupported("telemetry is not exported")),
    ("process", Always),
    ("raw-imports", Always),
    ("sloppy-imports", OnRequest),
    ("subdomain-wildcards", Always),
    ("temporal", Always),
    // Configures the type checker, which OpenKV lacks.
    ("tsgo", Always),
    ("unsafe-proto", OnRequest),
    ("vsock", Always),
    ("webgpu", Unsupported("OpenKV has no WebGPU")),
    ("worker-options", Always),
];

/// Returns the support for a feature, or `None` if Deno does not have it either.
pub fn support(name: &str) -> Option<Support> {
    FEATURES.iter().find(|(known, _)| *known == name).map(|(_, support)| *support)
}

/// The features with [`OnRequest`] support that are enabled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Unstable {
    /// Whether to keep `Object.prototype.__proto__`.
    pub unsafe_proto: bool,
    /// Whether `Deno.serve` leaves the signal of a request alone after its response is complete, instead of aborting it.
    pub no_legacy_abort: bool,
    /// Whether only those packages of npm are installed that modules have imported.
    pub npm_lazy_caching: bool,
    /// Whether imports may leave out the extensions of files, or name directories.
    pub sloppy_imports: bool,
}

impl Unstable {
    /// Returns the command-line flags that enable the same features.
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
            npm_lazy_caching: unstable.npm_lazy_caching || name == "npm-lazy-caching",
            sloppy_imports: unstable.sloppy_imports || name == "sloppy-imports",
        })
    }
}

//! The environment that the process was started with. Scripts may change environment variables and the current directory, but
//! must not gain access to files or hosts by that.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use deno_cache_dir::file_fetcher::AuthTokens;
use deno_cache_dir::{DenoDirResolutionError, ResolveDenoDirOptions, ResolveDenoDirSys, resolve_deno_dir};
use parking_lot::Mutex;
use sys_traits::impls::RealSys;

use crate::extensions::env::{PROXIES, PROXIES_OF_HTTP, Proxies, REQUEST_METHOD};
use crate::node::{Fork, take_fork};
use crate::system_certificates::SystemCertificates;

/// Values that are read from the process once.
pub(crate) struct Environment {
    /// The directory that relative paths of the command line are resolved against. Without one, paths stay relative.
    directory: PathBuf,
    /// `DENO_DIR` or its default, or the error message if there is none.
    pub cache_directory: Result<PathBuf, String>,
    /// The value of `DENO_CERT`.
    pub certificate_file: Option<String>,
    /// The value of `NODE_EXTRA_CA_CERTS`.
    pub extra_certificate_file: Option<String>,
    /// The value of `DENO_TLS_CA_STORE`.
    pub certificate_stores: Option<String>,
    /// The certificates that the system trusts, if `DENO_TLS_CA_STORE` includes them. `SSL_CERT_FILE` and `SSL_CERT_DIR` locate
    /// them.
    pub system_certificates: Option<SystemCertificates>,
    /// The tokens in `DENO_AUTH_TOKENS`.
    pub auth_tokens: AuthTokens,
    /// Whether `DENO_USE_CGROUPS` is set.
    pub use_cgroups: bool,
    /// All variables, for child processes that are not started by the script.
    pub variables: Vec<(OsString, OsString)>,
    /// The proxies in `HTTP_PROXY` and similar variables.
    pub proxies: Proxies,
    /// The options of a forked process. The first isolate takes them.
    pub fork: Mutex<Option<Fork>>,
    /// The first argument of the process: the name that it was started with.
    pub program: String,
    /// The value of `NODE_DEBUG`: the Node.js built-in modules that log debug messages.
    pub node_debug: Option<String>,
}

impl Environment {
    /// Returns the environment as read by the first call, which must precede the first script.
    pub fn at_start() -> &'static Self {
        static AT_START: LazyLock<Environment> = LazyLock::new(Environment::read);
        &AT_START
    }

    fn read() -> Self {
        let non_empty = |name| env::var(name).ok().filter(|value| !value.is_empty());
        let certificate_stores = non_empty("DENO_TLS_CA_STORE");
        Self {
            directory: env::current_dir().unwrap_or_default(),
            cache_directory: cache_directory(&RealSys).map_err(|error| error.to_string()),
            certificate_file: non_empty("DENO_CERT"),
            extra_certificate_file: non_empty("NODE_EXTRA_CA_CERTS"),
            system_certificates: SystemCertificates::load_if_named(certificate_stores.as_deref()),
            certificate_stores,
            auth_tokens: AuthTokens::new_from_sys(&RealSys),
            use_cgroups: env::var_os("DENO_USE_CGROUPS").is_some(),
            variables: env::vars_os().collect(),
            proxies: Proxies(proxies().collect()),
            fork: Mutex::new(take_fork()),
            program: env::args().next().unwrap_or_default(),
            node_debug: non_empty("NODE_DEBUG"),
        }
    }

    /// Resolves a path of the command line.
    pub fn absolute(&self, path: impl AsRef<Path>) -> PathBuf {
        self.directory.join(path)
    }
}

/// Returns the variables that currently name a proxy, and their values.
pub(crate) fn proxies() -> impl Iterator<Item = (&'static str, String)> {
    let cgi = env::var_os(REQUEST_METHOD).is_some();
    let names = PROXIES.into_iter().filter(move |name| !cgi || !PROXIES_OF_HTTP.contains(name));
    names.filter_map(|name| Some((name, env::var(name).ok()?)))
}

fn cache_directory(sys: &impl ResolveDenoDirSys) -> Result<PathBuf, DenoDirResolutionError> {
    let options = ResolveDenoDirOptions { maybe_initial_cwd: None, maybe_custom_root: None };
    resolve_deno_dir(sys, options).map(Into::into)
}

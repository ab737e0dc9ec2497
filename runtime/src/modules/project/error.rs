use deno_config::deno_json::ToLockConfigError;
use deno_config::workspace::WorkspaceDiscoverError;
use deno_core::url::Url;
use deno_resolver::factory::NpmRcCreateError;

use crate::modules::with_causes;

/// Why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// It is no JSON, cannot be read, or is of no workspace that is valid.
    #[error("{}", with_causes(.0))]
    Read(WorkspaceDiscoverError),
    /// The file `.npmrc` of the project or of the user cannot be read.
    #[error("{}", with_causes(.0))]
    Npmrc(#[from] NpmRcCreateError),
    /// There is no current directory.
    #[error("there is no current directory: {0}")]
    Directory(#[from] std::io::Error),
    /// There is no directory for what is downloaded.
    #[error("no directory for downloads can be created: {0}. Set DENO_DIR to one")]
    Cache(std::io::Error),
    /// Its entry "lock" is wrong.
    #[error("the entry \"lock\" of {file} is not valid: {source}")]
    Lock {
        /// The configuration file.
        file: Url,
        /// What is wrong.
        source: Box<ToLockConfigError>,
    },
    /// An entry is wrong.
    #[error("the entry \"{entry}\" of {file} is not valid: {message}")]
    Entry {
        /// The configuration file.
        file: Box<Url>,
        /// The name of the entry.
        entry: &'static str,
        /// What is wrong.
        message: String,
    },
    /// An entry asks for what the runtime lacks.
    #[error("the entry \"{entry}\" of {file} is not supported: {reason}. Remove it, or run with --no-config")]
    Unsupported {
        /// The configuration file.
        file: Box<Url>,
        /// The name of the entry.
        entry: String,
        /// Why it is not supported, or what to do instead.
        reason: &'static str,
    },
}

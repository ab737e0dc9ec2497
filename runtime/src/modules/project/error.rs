use deno_config::deno_json::{ToInvalidConfigError, ToLockConfigError, UndefinedPermissionError};
use deno_config::workspace::WorkspaceDiscoverError;
use deno_core::url::Url;
use deno_resolver::factory::NpmRcCreateError;

use crate::modules::with_causes;

/// The reason why a configuration file cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The file cannot be read, is not valid JSON, or does not belong to a valid workspace.
    #[error("{}", with_causes(.0))]
    Read(WorkspaceDiscoverError),
    /// The `.npmrc` file of the project or of the user cannot be read.
    #[error("{}", with_causes(.0))]
    Npmrc(#[from] NpmRcCreateError),
    /// The current directory cannot be determined.
    #[error("failed to determine the current directory: {0}")]
    Directory(#[from] std::io::Error),
    /// No directory for downloads can be created.
    #[error("failed to create a directory for downloads: {0}. Set DENO_DIR to a writable directory")]
    Cache(std::io::Error),
    /// The entry "lock" is invalid.
    #[error("invalid entry \"lock\" in {file}: {source}")]
    Lock {
        /// The configuration file.
        file: Url,
        /// The cause.
        source: Box<ToLockConfigError>,
    },
    /// The permissions in the file are invalid.
    #[error("{}", with_causes(.0))]
    Permissions(#[from] ToInvalidConfigError),
    /// The file has no set of permissions of this name.
    #[error(transparent)]
    PermissionSet(#[from] UndefinedPermissionError),
    /// An entry is invalid.
    #[error("invalid entry \"{entry}\" in {file}: {message}")]
    Entry {
        /// The configuration file.
        file: Box<Url>,
        /// The name of the entry.
        entry: &'static str,
        /// The cause.
        message: String,
    },
    /// An entry requires a feature that is not supported.
    #[error("the entry \"{entry}\" of {file} is not supported: {reason}. Remove it, or run with --no-config")]
    Unsupported {
        /// The configuration file.
        file: Box<Url>,
        /// The name of the entry.
        entry: String,
        /// The reason, or an alternative.
        reason: &'static str,
    },
}

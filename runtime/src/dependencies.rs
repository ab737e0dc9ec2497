use std::collections::HashMap;

use deno_error::JsErrorBox;
use deno_web::BlobStore;

use crate::modules::{Installer, LoaderOptions, MainModule};
use crate::runtime::{Options, user_agent};

/// Creates an installer for the project of a script.
///
/// # Errors
/// The download directory cannot be determined.
pub fn installer(options: Options) -> Result<Installer, JsErrorBox> {
    Installer::new(LoaderOptions {
        main: MainModule {
            url: options.main_module,
            text: None,
            media_type: options.main_media_type,
            embedded: HashMap::new(),
        },
        main_package: None,
        modules: options.modules,
        project: options.project,
        unstable: options.unstable,
        certificates: options.certificates,
        blobs: BlobStore::default_arc(),
        permissions: options.permissions,
        parent_permissions: None,
        watched: None,
        quiet: options.quiet,
        user_agent: user_agent(),
    })
}

use std::borrow::Cow;

use deno_core::url::Url;
use deno_permissions::{OpenAccessKind, PermissionsContainer};
use node_resolver::analyze::CjsAnalysisSourceProvider;

/// The files outside of packages that a CommonJS module exports again, as far as the script may read them. Nobody is asked.
pub(super) struct PermittedSources(PermissionsContainer);

impl PermittedSources {
    pub fn new(permissions: &PermissionsContainer) -> Self {
        Self(permissions.deep_clone_without_prompt())
    }
}

impl CjsAnalysisSourceProvider for PermittedSources {
    fn load_source<'a>(&'a self, specifier: &Url) -> Option<Cow<'a, str>> {
        let path = specifier.to_file_path().ok()?;
        let path = self.0.check_open(Cow::Owned(path), OpenAccessKind::Read, None).ok()?;
        let source = std::fs::read(path).ok()?;
        Some(Cow::Owned(String::from_utf8_lossy(&source).into_owned()))
    }
}

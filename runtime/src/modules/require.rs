//! Loads modules for `require`, with Deno's resolver and the permissions of the script.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::rc::Rc;
use std::sync::Arc;

use deno_core::FastString;
use deno_core::url::Url;
use deno_error::JsErrorBox;
use deno_node::{NodeExtInitServices, NodeRequireLoader, NodeRequireLoaderRc};
use deno_path_util::{normalize_path, url_from_directory_path, url_from_file_path};
use deno_permissions::{OpenAccessKind, PermissionState, PermissionsContainer};
use deno_resolver::cjs::CjsTrackerRc;
use deno_resolver::factory::ResolverFactory;
use deno_resolver::loader::StrippingTypesNodeModulesError;
use deno_resolver::npm::{DenoInNpmPackageChecker, NpmResolver};
use node_resolver::errors::PackageJsonLoadError;
use openkv_js::transpile::{MediaType, ModuleKind};
use sys_traits::FsCanonicalize;
use sys_traits::impls::RealSys;

use super::failed;
use super::packages::Packages;

/// The services with which the Node.js built-in modules resolve and load packages.
pub(crate) type NodeServices = NodeExtInitServices<DenoInNpmPackageChecker, NpmResolver<RealSys>, RealSys>;

/// Creates the services with which the Node.js built-in modules load packages.
pub(super) fn node_services(
    resolvers: &Arc<ResolverFactory<RealSys>>,
    packages: &Packages,
) -> Result<NodeServices, JsErrorBox> {
    let loader: NodeRequireLoaderRc = Rc::new(RequireLoader {
        resolvers: resolvers.clone(),
        packages: packages.clone(),
        cjs: resolvers.cjs_tracker().map_err(failed)?.clone(),
    });
    Ok(NodeExtInitServices {
        node_require_loader: loader,
        node_resolver: resolvers.node_resolver().map_err(failed)?.clone(),
        pkg_json_resolver: resolvers.pkg_json_resolver().clone(),
        sys: RealSys,
    })
}

/// Loads the files that `require` resolves.
struct RequireLoader {
    resolvers: Arc<ResolverFactory<RealSys>>,
    packages: Packages,
    cjs: CjsTrackerRc<DenoInNpmPackageChecker, RealSys>,
}

impl RequireLoader {
    /// Returns whether a path is within `node_modules`, or is that directory: `require` checks first whether it exists.
    fn is_in_packages(&self, path: &Path) -> bool {
        url_from_directory_path(path).is_ok_and(|directory| self.packages.own(&directory))
    }
}

impl NodeRequireLoader for RequireLoader {
    /// As with imports, files of packages need no permission, unless they are symbolic links to other files.
    fn ensure_read_permission<'a>(
        &self,
        permissions: &mut PermissionsContainer,
        path: Cow<'a, Path>,
    ) -> Result<Cow<'a, Path>, JsErrorBox> {
        let normalized = normalize_path(Cow::Borrowed(&*path));
        if self.is_in_packages(&normalized)
            && let Some(target) = target(&normalized)
            && self.is_in_packages(&target)
            && !matches!(permissions.query_read(target.to_str()), Ok(PermissionState::Denied))
        {
            return Ok(Cow::Owned(target));
        }
        let checked = permissions.check_open(path, OpenAccessKind::Read, Some("require()"));
        checked.map(|checked| checked.into_path()).map_err(JsErrorBox::from_err)
    }

    fn load_text_file_lossy(&self, path: &Path) -> Result<FastString, JsErrorBox> {
        let bytes = std::fs::read(path).map_err(JsErrorBox::from_err)?;
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let media_type = MediaType::from_path(path);
        if !media_type.is_emittable() {
            return Ok(text.into());
        }
        let url = url_from_file_path(path).map_err(JsErrorBox::from_err)?;
        if self.packages.contain(&url) {
            return Err(JsErrorBox::from_err(StrippingTypesNodeModulesError { specifier: url }));
        }
        let emitter = self.resolvers.emitter().map_err(failed)?;
        let script = emitter.maybe_emit_source_sync(&url, media_type, ModuleKind::Cjs, &text.into());
        Ok(script.map_err(|error| JsErrorBox::new("SyntaxError", error.to_string()))?.into())
    }

    fn is_maybe_cjs(&self, url: &Url) -> Result<bool, PackageJsonLoadError> {
        self.cjs.is_maybe_cjs(url, MediaType::from_specifier(url))
    }

    fn is_maybe_cjs_from_require(&self, url: &Url) -> Result<bool, PackageJsonLoadError> {
        self.cjs.is_maybe_cjs_from_require(url, MediaType::from_specifier(url))
    }

    fn resolve_package_folder_from_name(&self, name: &str) -> Option<PathBuf> {
        let packages = self.resolvers.npm_resolver().ok()?.as_managed()?;
        // `require` searches these directories itself.
        if packages.root_node_modules_path().is_some() {
            return None;
        }
        let package = packages.resolution().top_level_packages().into_iter().find(|package| package.nv.name == name)?;
        packages.resolve_pkg_folder_from_pkg_id(&package).ok()
    }
}

/// Resolves symbolic links in a path that may not exist: `require` probes for files.
fn target(path: &Path) -> Option<PathBuf> {
    let (base, target) = path.ancestors().find_map(|base| Some((base, RealSys.fs_canonicalize(base).ok()?)))?;
    let rest = path.strip_prefix(base).ok()?;
    Some(if rest.as_os_str().is_empty() { target } else { target.join(rest) })
}

//! What the modules of Node.js are given of this runtime: how `require` finds files and reads them, and the process that
//! started this one.

use std::borrow::Cow;
use std::path::{Path, PathBuf};
use std::rc::Rc;

use deno_core::FastString;
use deno_core::url::Url;
use deno_error::JsErrorBox;
use deno_node::ops::ipc::ChildIpcSerialization;
use deno_node::{ChildPipeFd, NodeExtInitServices, NodeRequireLoader, NodeResolver};
use deno_os::ProcessEnvGuard;
use deno_path_util::{normalize_path, url_from_file_path};
use deno_permissions::{OpenAccessKind, PermissionState, PermissionsContainer};
use deno_resolver::cjs::{CjsTracker, IsCjsResolutionMode};
use deno_resolver::npm::{
    ByonmNpmResolverCreateOptions, CreateInNpmPkgCheckerOptions, DenoInNpmPackageChecker, NpmResolver,
    NpmResolverCreateOptions,
};
use node_resolver::cache::NodeResolutionSys;
use node_resolver::errors::PackageJsonLoadError;
use node_resolver::{DenoIsBuiltInNodeModuleChecker, NodeResolverOptions, PackageJsonResolver};
use openkv_js::transpile::{CompilerOptions, MediaType, is_needed, transpile_commonjs};
use serde::Serialize;
use sys_traits::FsCanonicalize;
use sys_traits::impls::RealSys;

/// What `require` works with.
pub(crate) type Services = NodeExtInitServices<DenoInNpmPackageChecker, NpmResolver<RealSys>, RealSys>;

/// The variables that name the channel between a process and one that `fork` of `node:child_process` starts.
const CHANNEL: &str = "NODE_CHANNEL_FD";
const CHANNEL_SERIALIZATION: &str = "NODE_CHANNEL_SERIALIZATION_MODE";

/// Makes what `require` works with. It finds packages in the directories `node_modules` above a file.
pub(crate) fn services() -> Services {
    let sys = NodeResolutionSys::new(RealSys, None);
    let package_files = deno_maybe_sync::new_rc(PackageJsonResolver::new(RealSys, None));
    let packages = NpmResolver::<RealSys>::new(NpmResolverCreateOptions::Byonm(ByonmNpmResolverCreateOptions {
        root_node_modules_dir: None,
        search_stop_dir: None,
        sys: sys.clone(),
        pkg_json_resolver: package_files.clone(),
    }));
    let in_package = DenoInNpmPackageChecker::new(CreateInNpmPkgCheckerOptions::Byonm);
    let commonjs = CjsTracker::new(
        in_package.clone(),
        package_files.clone(),
        IsCjsResolutionMode::ExplicitTypeCommonJs,
        Vec::new(),
    );
    NodeExtInitServices {
        node_require_loader: Rc::new(RequireLoader { commonjs }),
        node_resolver: deno_maybe_sync::new_rc(NodeResolver::new(
            in_package,
            DenoIsBuiltInNodeModuleChecker,
            packages,
            package_files.clone(),
            sys,
            NodeResolverOptions::default(),
        )),
        pkg_json_resolver: package_files,
        sys: RealSys,
    }
}

/// Loads the files that `require` finds.
struct RequireLoader {
    /// Tells CommonJS from ES modules.
    commonjs: CjsTracker<DenoInNpmPackageChecker, RealSys>,
}

impl NodeRequireLoader for RequireLoader {
    /// As for the imports of a package, its own files need no permission. What a path leads to decides, not what it says.
    fn ensure_read_permission<'a>(
        &self,
        permissions: &mut PermissionsContainer,
        path: Cow<'a, Path>,
    ) -> Result<Cow<'a, Path>, JsErrorBox> {
        let path = normalize_path(path);
        if is_in_package(&path)
            && let Some(target) = target(&path)
            && is_in_package(&target)
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
        if !is_needed(media_type) {
            return Ok(text.into());
        }
        let url = url_from_file_path(path).map_err(JsErrorBox::from_err)?;
        let script = transpile_commonjs(url, media_type, text.into(), &CompilerOptions::default());
        Ok(script.map_err(|error| JsErrorBox::new("SyntaxError", error.to_string()))?.into())
    }

    fn is_maybe_cjs(&self, url: &Url) -> Result<bool, PackageJsonLoadError> {
        self.commonjs.is_maybe_cjs(url, MediaType::from_specifier(url))
    }

    fn is_maybe_cjs_from_require(&self, url: &Url) -> Result<bool, PackageJsonLoadError> {
        self.commonjs.is_maybe_cjs_from_require(url, MediaType::from_specifier(url))
    }
}

/// Returns what a path leads to, which need not be there: `require` tries names.
fn target(path: &Path) -> Option<PathBuf> {
    let (base, target) = path.ancestors().find_map(|base| Some((base, RealSys.fs_canonicalize(base).ok()?)))?;
    let rest = path.strip_prefix(base).ok()?;
    Some(if rest.as_os_str().is_empty() { target } else { target.join(rest) })
}

/// Returns whether a path is that of a file of a package.
fn is_in_package(path: &Path) -> bool {
    path.components().any(|component| component.as_os_str() == "node_modules")
}

/// What a process is told that `fork` of `node:child_process` has started, or that of `node:cluster`.
pub(crate) struct Fork {
    /// The channel to the process that started this one.
    pub channel: ChildPipeFd,
    /// What a worker of a cluster is told.
    pub cluster: Cluster,
}

/// What a worker of a cluster is told.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Cluster {
    /// Its number. Without one, the process is no worker.
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<String>,
    /// How connections are distributed.
    #[serde(skip_serializing_if = "Option::is_none")]
    policy: Option<String>,
}

/// Takes what the process is told by the one that has started it, so that no process that this one starts finds the channel.
/// Returns nothing where it was started otherwise, or where the variables name no channel.
pub(crate) fn take_fork() -> Option<Fork> {
    let environment = ProcessEnvGuard::lock();
    let variable = |name: &str| environment.var(name).ok();
    let [descriptor, serialization] = [CHANNEL, CHANNEL_SERIALIZATION].map(|name| {
        let value = variable(name);
        environment.remove_var(name);
        value
    });
    let serialization = serialization.map_or(Ok(ChildIpcSerialization::Json), |name| name.parse());
    Some(Fork {
        channel: ChildPipeFd(descriptor?.parse().ok()?, serialization.ok()?),
        cluster: Cluster { id: variable("NODE_UNIQUE_ID"), policy: variable("NODE_CLUSTER_SCHED_POLICY") },
    })
}

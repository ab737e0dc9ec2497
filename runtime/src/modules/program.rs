use deno_core::url::Url;
use deno_error::JsErrorBox;
use deno_path_util::url_from_file_path;
use deno_semver::npm::NpmPackageReqReference;

use super::failed;
use super::graph::GraphBuilder;

/// Returns the file of a program of an npm package: the one that its specifier names as a path, or else the one with the name of
/// the package. The package is installed first.
pub(super) async fn resolve(builder: &GraphBuilder, package: &NpmPackageReqReference) -> Result<Url, JsErrorBox> {
    builder.prepare().await?;
    let resolvers = &builder.services.resolvers;
    let packages = resolvers.npm_resolver().map_err(failed)?;
    let referrer = builder.services.fetcher.main_module();
    let directory =
        packages.resolve_pkg_folder_from_deno_module_req(package.req(), referrer).map_err(JsErrorBox::from_err)?;
    let node_resolver = resolvers.node_resolver().map_err(failed)?;
    let program = node_resolver.resolve_binary_export(&directory, package.sub_path()).map_err(JsErrorBox::from_err)?;
    url_from_file_path(program.path()).map_err(JsErrorBox::from_err)
}

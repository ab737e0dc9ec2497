//! What the configuration files of a workspace say together. A file without members is a workspace of its own.

use std::collections::{HashMap, HashSet};

use deno_config::deno_json::ConfigFile;
use deno_config::workspace::{FolderConfigs, Workspace};
use deno_core::serde_json::{self, Map, Value};
use deno_lockfile::{LockfileLinkContent, WorkspaceConfig, WorkspaceMemberConfig};
use deno_package_json::{PackageJson, PackageJsonDepValue};
use deno_semver::VersionReq;
use deno_semver::jsr::JsrDepPackageReq;
use deno_semver::package::PackageReq;
use import_map::ImportMap;
use import_map::ext::{ImportMapConfig, create_synthetic_import_map};
use sys_traits::impls::RealSys;

use super::error::Error;

/// Returns the import map of a workspace: that of the root, and for the modules of each member the imports of the member, too.
pub(super) fn import_map(workspace: &Workspace) -> Result<Option<ImportMap>, Error> {
    let config_files = || workspace.resolver_deno_jsons().map(|config| &**config);
    if !config_files().any(|config| config.is_an_import_map() || config.json.import_map.is_some()) {
        return Ok(None);
    }
    let root = workspace.root_deno_json().map(|config| &**config);
    let base = match root {
        Some(root) => own_import_map(root)?,
        None => {
            let file = workspace.root_dir_url().join("deno.json").expect("a directory has files");
            ImportMapConfig { base_url: file, import_map_value: Value::Object(Map::new()) }
        }
    };
    let members = config_files().filter(|config| root.is_none_or(|root| root.specifier != config.specifier));
    let members = members.filter_map(|member| {
        // As on Deno, a map that cannot be read does not keep the other members from running, and scopes do not count.
        let ImportMapConfig { base_url, mut import_map_value } = own_import_map(member).ok()?;
        if let Value::Object(map) = &mut import_map_value {
            map.retain(|name, _| name == "imports");
        }
        Some(ImportMapConfig { base_url, import_map_value })
    });
    let (url, value) = create_synthetic_import_map(base, members.collect());
    let file = url.clone();
    let map = import_map::parse_from_value(url, value)
        .map_err(|error| Error::ImportMap { file, source: Box::new(error.into()) })?;
    Ok(Some(map.import_map))
}

/// Returns the import map that a configuration file has or names, or an empty one.
fn own_import_map(config: &ConfigFile) -> Result<ImportMapConfig, Error> {
    let map = config
        .to_import_map_value(&RealSys)
        .map_err(|source| Error::ImportMap { file: config.specifier.clone(), source: Box::new(source) })?;
    Ok(match map {
        Some((base_url, import_map_value)) => ImportMapConfig { base_url: base_url.into_owned(), import_map_value },
        None => ImportMapConfig { base_url: config.specifier.clone(), import_map_value: Value::Object(Map::new()) },
    })
}

/// Returns what the members of a workspace depend on, as the lock file keeps it.
pub(super) fn dependencies(workspace: &Workspace) -> WorkspaceConfig {
    let root_url = workspace.root_dir_url();
    let members = workspace.config_folders().iter().filter(|(url, _)| *url != root_url);
    let members: HashMap<_, _> = members
        .filter_map(|(url, files)| {
            let path = root_url.make_relative(url)?;
            Some((path.trim_end_matches('/').to_owned(), member_dependencies(workspace, files)))
        })
        .filter(|(_, member)| *member != WorkspaceMemberConfig::default())
        .collect();
    WorkspaceConfig {
        root: member_dependencies(workspace, workspace.root_folder_configs()),
        members,
        links: links(workspace),
        npm_overrides: workspace.npm_overrides().cloned().map(Value::Object),
    }
}

fn member_dependencies(workspace: &Workspace, files: &FolderConfigs) -> WorkspaceMemberConfig {
    let package_json = files.pkg_json.as_deref();
    WorkspaceMemberConfig {
        dependencies: files
            .deno_json
            .as_deref()
            .map(|config| config.dependencies(workspace.catalogs()))
            .unwrap_or_default(),
        package_json_deps: package_json.map(|file| npm_dependencies(workspace, file)).unwrap_or_default(),
    }
}

/// Returns what packages depend on that lie outside of the workspace, and that its import map names.
fn links(workspace: &Workspace) -> HashMap<String, LockfileLinkContent> {
    let with_version = |kind: &str, name: &str, version: Option<&String>| match version {
        Some(version) => format!("{kind}:{name}@{version}"),
        None => format!("{kind}:{name}"),
    };
    let of_npm = workspace.link_pkg_jsons().filter_map(|file| {
        let key = with_version("npm", file.name.as_ref()?, file.version.as_ref());
        let content = LockfileLinkContent {
            dependencies: link_dependencies(file.dependencies.as_ref()),
            optional_dependencies: link_dependencies(file.optional_dependencies.as_ref()),
            peer_dependencies: link_dependencies(file.peer_dependencies.as_ref()),
            peer_dependencies_meta: file
                .peer_dependencies_meta
                .clone()
                .and_then(|meta| serde_json::from_value(meta).ok())
                .unwrap_or_default(),
        };
        Some((key, content))
    });
    let of_jsr = workspace.link_deno_jsons().filter_map(|config| {
        let key = with_version("jsr", config.json.name.as_ref()?, config.json.version.as_ref());
        // It is of another workspace, and so are its catalogs.
        let dependencies = config.dependencies(&Default::default());
        Some((key, LockfileLinkContent { dependencies, ..Default::default() }))
    });
    of_npm.chain(of_jsr).collect()
}

fn link_dependencies<'a>(
    entry: Option<impl IntoIterator<Item = (&'a String, &'a String)>>,
) -> HashSet<JsrDepPackageReq> {
    let values = entry.into_iter().flatten().filter_map(|(name, value)| PackageJsonDepValue::parse(name, value).ok());
    let required = values.filter_map(|value| match value {
        PackageJsonDepValue::Req(required) => Some(JsrDepPackageReq::npm(required)),
        _ => None,
    });
    required.collect()
}

/// Returns the packages of npm that a `package.json` names, without those that lie in a directory.
fn npm_dependencies(workspace: &Workspace, package_json: &PackageJson) -> HashSet<JsrDepPackageReq> {
    let all = package_json.resolve_local_package_json_deps();
    let required = all.dependencies.iter().chain(all.dev_dependencies.iter()).filter_map(|(name, value)| {
        match value.as_ref().ok()? {
            PackageJsonDepValue::Req(required) => Some(required.clone()),
            PackageJsonDepValue::Catalog(catalog) => {
                let version = workspace.catalogs().get(catalog)?.get(name.as_str())?;
                Some(PackageReq { name: name.clone(), version_req: VersionReq::parse_from_npm(version).ok()? })
            }
            PackageJsonDepValue::File(_) | PackageJsonDepValue::Workspace { .. } => None,
        }
    });
    required.map(JsrDepPackageReq::npm).collect()
}

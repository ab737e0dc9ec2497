//! The permissions that a configuration file grants, which `--permission-set` applies.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use deno_config::deno_json::{PermissionConfigValue, PermissionsObjectWithBase};
use deno_permissions::{AllowRunDescriptor, PathDescriptor, PermissionsOptions};
use openkv::Project;

use super::flags::RuntimeFlags;

/// Returns the permissions of the command line, with those of the configuration file that it names.
///
/// # Errors
/// The set does not exist or is invalid, or the file has permissions for tests, but the command line does not mention any.
pub(super) fn resolve(flags: &RuntimeFlags, project: &Project) -> Result<PermissionsOptions, String> {
    let invalid = |error: openkv::ProjectError| error.to_string();
    let of_tests = if flags.is_test { project.test_permissions().map_err(invalid)? } else { None };
    let Some(name) = &flags.permission_set else {
        return match of_tests {
            Some(set) if !set.permissions.is_empty() && !flags.has_permissions() => Err(format!(
                "the permissions for tests in {} are not granted: run with -P, or with flags for permissions",
                set.base
            )),
            _ => Ok(flags.permissions.clone()),
        };
    };
    let set = match of_tests {
        Some(set) if name.is_empty() => Some(set),
        _ => project.permission_set(name).map_err(invalid)?,
    };
    match set {
        Some(set) if !flags.allow_all => merge(&flags.permissions, set),
        _ => Ok(flags.permissions.clone()),
    }
}

/// Adds the permissions of a set. A flag of the command line replaces the list in the set.
fn merge(flags: &PermissionsOptions, set: &PermissionsObjectWithBase) -> Result<PermissionsOptions, String> {
    type Value = Option<PermissionConfigValue>;
    type List = Option<Vec<String>>;
    let PermissionsObjectWithBase { base, permissions: config } = set;
    let unknown_directory = || format!("failed to resolve the paths in {base}: the file has no directory");
    let file = base.to_file_path().map_err(|()| unknown_directory())?;
    let directory = file.parent().ok_or_else(unknown_directory)?;
    let path = |text: &String| absolute(directory, text);
    let program = |text: &String| if AllowRunDescriptor::is_path(text) { path(text) } else { Ok(text.clone()) };
    let name = |text: &String| Ok(text.clone());
    let deny = |flag: &List, value: &Value, resolve: &dyn Fn(&String) -> Result<String, String>| match (flag, value) {
        (Some(flag), _) => Ok(Some(flag.clone())),
        (None, Some(PermissionConfigValue::All)) => Ok(Some(Vec::new())),
        (None, Some(PermissionConfigValue::Some(items))) => {
            items.iter().map(resolve).collect::<Result<_, _>>().map(Some)
        }
        (None, Some(PermissionConfigValue::None) | None) => Ok(None),
    };
    let allow = |flag: &List, value: &Value, resolve: &dyn Fn(&String) -> Result<String, String>| match value {
        None if flag.is_none() && config.all == Some(true) => Ok(Some(Vec::new())),
        // An empty list would allow everything.
        Some(PermissionConfigValue::Some(items)) if flag.is_none() && items.is_empty() => Ok(None),
        _ => deny(flag, value, resolve),
    };
    Ok(PermissionsOptions {
        allow_env: allow(&flags.allow_env, &config.env.allow, &name)?,
        deny_env: deny(&flags.deny_env, &config.env.deny, &name)?,
        ignore_env: deny(&flags.ignore_env, &config.env.ignore, &name)?,
        allow_net: allow(&flags.allow_net, &config.net.allow, &name)?,
        deny_net: deny(&flags.deny_net, &config.net.deny, &name)?,
        allow_ffi: allow(&flags.allow_ffi, &config.ffi.allow, &path)?,
        deny_ffi: deny(&flags.deny_ffi, &config.ffi.deny, &path)?,
        allow_read: allow(&flags.allow_read, &config.read.allow, &path)?,
        deny_read: deny(&flags.deny_read, &config.read.deny, &path)?,
        ignore_read: deny(&flags.ignore_read, &config.read.ignore, &path)?,
        allow_run: allow(&flags.allow_run, &config.run.allow, &program)?,
        deny_run: deny(&flags.deny_run, &config.run.deny, &program)?,
        allow_sys: allow(&flags.allow_sys, &config.sys.allow, &name)?,
        deny_sys: deny(&flags.deny_sys, &config.sys.deny, &name)?,
        allow_write: allow(&flags.allow_write, &config.write.allow, &path)?,
        deny_write: deny(&flags.deny_write, &config.write.deny, &path)?,
        allow_import: allow(&flags.allow_import, &config.import.allow, &name)?,
        deny_import: deny(&flags.deny_import, &config.import.deny, &name)?,
        prompt: flags.prompt,
    })
}

/// Resolves a path in a configuration file, relative to the directory of the file.
fn absolute(directory: &Path, text: &str) -> Result<String, String> {
    let path: PathBuf = PathDescriptor::new_known_cwd(Cow::Borrowed(Path::new(text)), directory).into_path_buf();
    path.into_os_string()
        .into_string()
        .map_err(|path| format!("failed to resolve the path {text:?} in {directory:?}: {path:?} is not Unicode"))
}

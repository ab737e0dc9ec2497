//! The permissions of scripts.

use std::sync::Arc;

use deno_permissions::{
    Permissions, PermissionsContainer, PermissionsFromOptionsError, PermissionsOptions,
    RuntimePermissionDescriptorParser,
};
use sys_traits::impls::RealSys;

/// Creates the permissions that these options grant. With `prompt`, the user is asked for others, on a terminal.
///
/// # Errors
/// An option has an invalid path, host or variable.
pub fn from_options(options: &PermissionsOptions) -> Result<PermissionsContainer, PermissionsFromOptionsError> {
    let parser = Arc::new(RuntimePermissionDescriptorParser::new(RealSys));
    let permissions = Permissions::from_options(&*parser, options)?;
    Ok(PermissionsContainer::new(parser, permissions))
}

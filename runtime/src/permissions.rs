//! What scripts may do.

use std::sync::Arc;

use deno_permissions::{
    Permissions, PermissionsContainer, PermissionsFromOptionsError, PermissionsOptions,
    RuntimePermissionDescriptorParser,
};
use sys_traits::impls::RealSys;

/// What these options allow. With `prompt`, the user is asked for the rest, on a terminal.
///
/// # Errors
/// An option that names no path, host or variable.
pub fn from_options(options: &PermissionsOptions) -> Result<PermissionsContainer, PermissionsFromOptionsError> {
    let parser = Arc::new(RuntimePermissionDescriptorParser::new(RealSys));
    let permissions = Permissions::from_options(&*parser, options)?;
    Ok(PermissionsContainer::new(parser, permissions))
}

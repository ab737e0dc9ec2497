//! `Deno.permissions`.

use deno_core::{OpState, ToV8, op2};
use deno_permissions::{
    NetDescriptorParseError, PathResolveError, PermissionState, PermissionsContainer, RunDescriptorParseError,
    SysDescriptorParseError,
};

/// The reason why an action on a permission failed.
#[derive(Debug, thiserror::Error, deno_error::JsError)]
pub(crate) enum Error {
    #[class(type)]
    #[error("unknown action {action:?} on permission {name:?}")]
    NoSuchPermission { action: String, name: String },
    #[class(inherit)]
    #[error(transparent)]
    Path(#[from] PathResolveError),
    #[class(uri)]
    #[error(transparent)]
    Net(#[from] NetDescriptorParseError),
    #[class(inherit)]
    #[error(transparent)]
    Sys(#[from] SysDescriptorParseError),
    #[class(inherit)]
    #[error(transparent)]
    Run(#[from] RunDescriptorParseError),
}

/// The state of a permission, as scripts see it.
#[derive(ToV8)]
pub(crate) struct Status {
    /// "granted", "prompt" or "denied".
    state: &'static str,
    /// Whether it is granted with exceptions.
    partial: bool,
}

impl From<PermissionState> for Status {
    fn from(state: PermissionState) -> Self {
        let name = match state {
            PermissionState::Granted | PermissionState::GrantedPartial => "granted",
            PermissionState::Prompt => "prompt",
            PermissionState::Denied | PermissionState::DeniedPartial | PermissionState::Ignored => "denied",
        };
        Self { state: name, partial: state == PermissionState::GrantedPartial }
    }
}

/// Queries, requests or revokes a permission, as a whole or for one target: a path, host, variable, API or program.
///
/// `action` is "query", "request" or "revoke".
#[op2(stack_trace)]
pub(crate) fn op_openkv_permission(
    state: &mut OpState,
    #[string] action: &str,
    #[string] name: &str,
    #[string] target: Option<String>,
) -> Result<Status, Error> {
    let permissions = state.borrow::<PermissionsContainer>();
    let target = target.as_deref();
    let state = match (action, name) {
        ("query", "read") => permissions.query_read(target)?,
        ("query", "write") => permissions.query_write(target)?,
        ("query", "net") => permissions.query_net(target)?,
        ("query", "env") => permissions.query_env(target),
        ("query", "sys") => permissions.query_sys(target)?,
        ("query", "run") => permissions.query_run(target)?,
        ("query", "ffi") => permissions.query_ffi(target)?,
        ("query", "import") => permissions.query_import(target)?,
        ("request", "read") => permissions.request_read(target)?,
        ("request", "write") => permissions.request_write(target)?,
        ("request", "net") => permissions.request_net(target)?,
        ("request", "env") => permissions.request_env(target),
        ("request", "sys") => permissions.request_sys(target)?,
        ("request", "run") => permissions.request_run(target)?,
        ("request", "ffi") => permissions.request_ffi(target)?,
        ("request", "import") => permissions.request_import(target)?,
        ("revoke", "read") => permissions.revoke_read(target)?,
        ("revoke", "write") => permissions.revoke_write(target)?,
        ("revoke", "net") => permissions.revoke_net(target)?,
        ("revoke", "env") => permissions.revoke_env(target),
        ("revoke", "sys") => permissions.revoke_sys(target)?,
        ("revoke", "run") => permissions.revoke_run(target)?,
        ("revoke", "ffi") => permissions.revoke_ffi(target)?,
        ("revoke", "import") => permissions.revoke_import(target)?,
        _ => return Err(Error::NoSuchPermission { action: action.into(), name: name.into() }),
    };
    Ok(state.into())
}

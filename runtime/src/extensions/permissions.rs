//! `Deno.permissions`.

use deno_core::{OpState, ToV8, op2};
use deno_permissions::{
    NetDescriptorParseError, PathResolveError, PermissionState, PermissionsContainer, RunDescriptorParseError,
    SysDescriptorParseError,
};

/// Why a permission could not be asked about.
#[derive(Debug, thiserror::Error, deno_error::JsError)]
pub(crate) enum Error {
    #[class(type)]
    #[error("there is no permission {name:?} to {action}")]
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

/// What a script may learn of one permission.
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

/// Does `action` ("query", "request" or "revoke") to the permission `name`, for all of it or for one path, host, variable,
/// API or program.
#[op2(stack_trace)]
pub(crate) fn op_openkv_permission(
    state: &mut OpState,
    #[string] action: &str,
    #[string] name: &str,
    #[string] of: Option<String>,
) -> Result<Status, Error> {
    let permissions = state.borrow::<PermissionsContainer>();
    let of = of.as_deref();
    let state = match (action, name) {
        ("query", "read") => permissions.query_read(of)?,
        ("query", "write") => permissions.query_write(of)?,
        ("query", "net") => permissions.query_net(of)?,
        ("query", "env") => permissions.query_env(of),
        ("query", "sys") => permissions.query_sys(of)?,
        ("query", "run") => permissions.query_run(of)?,
        ("query", "ffi") => permissions.query_ffi(of)?,
        ("query", "import") => permissions.query_import(of)?,
        ("request", "read") => permissions.request_read(of)?,
        ("request", "write") => permissions.request_write(of)?,
        ("request", "net") => permissions.request_net(of)?,
        ("request", "env") => permissions.request_env(of),
        ("request", "sys") => permissions.request_sys(of)?,
        ("request", "run") => permissions.request_run(of)?,
        ("request", "ffi") => permissions.request_ffi(of)?,
        ("request", "import") => permissions.request_import(of)?,
        ("revoke", "read") => permissions.revoke_read(of)?,
        ("revoke", "write") => permissions.revoke_write(of)?,
        ("revoke", "net") => permissions.revoke_net(of)?,
        ("revoke", "env") => permissions.revoke_env(of),
        ("revoke", "sys") => permissions.revoke_sys(of)?,
        ("revoke", "run") => permissions.revoke_run(of)?,
        ("revoke", "ffi") => permissions.revoke_ffi(of)?,
        ("revoke", "import") => permissions.revoke_import(of)?,
        _ => return Err(Error::NoSuchPermission { action: action.into(), name: name.into() }),
    };
    Ok(state.into())
}

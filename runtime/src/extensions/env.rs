//! The ops of `Deno.env` and `process` that change variables. With those of Deno, a script could set a proxy, to which `fetch`
//! and downloads connect without a permission check. Here, the script needs permission to connect to it.

use std::borrow::Cow;
use std::env;
use std::ops::ControlFlow;
use std::path::Path;

use deno_core::{Extension, OpDecl, OpState, op2, v8};
use deno_dotenv::parse_env_content_hook;
use deno_fs::FileSystemRc;
use deno_io::fs::FsError;
use deno_os::{OsError, ProcessEnvGuard};
use deno_permissions::{OpenAccessKind, PermissionCheckError, PermissionState, PermissionsContainer};
use http::Uri;

/// The variables that name a proxy.
pub(crate) const PROXIES: [&str; 6] =
    ["ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY", "all_proxy", "https_proxy", "http_proxy"];
/// Those that are ignored if `REQUEST_METHOD` is set: the client of a CGI script controls their values.
pub(crate) const PROXIES_OF_HTTP: [&str; 2] = ["HTTP_PROXY", "http_proxy"];
pub(crate) const REQUEST_METHOD: &str = "REQUEST_METHOD";

/// The proxies that the process was started with: variables and their values.
#[derive(Clone)]
pub(crate) struct Proxies(pub Vec<(&'static str, String)>);

impl Proxies {
    pub fn contains(&self, name: &str, value: &str) -> bool {
        self.0.iter().any(|(known, other)| *known == name && other == value)
    }
}

/// The address of a proxy.
pub(crate) enum Proxy {
    Host(String, u16),
    /// A local socket, for which `fetch` checks the permission.
    Socket,
}

impl Proxy {
    /// Parses the value of a variable as `deno_fetch` does. Returns `None` if the value has no effect.
    pub fn parse(value: &str) -> Option<Self> {
        if value.starts_with("unix:") || value.starts_with("vsock:") {
            return Some(Self::Socket);
        }
        let uri: Uri = value.parse().ok()?;
        let port = match uri.scheme_str() {
            None | Some("http") => 80,
            Some("https") => 443,
            Some("socks5" | "socks5h") => 1080,
            Some(_) => return None,
        };
        Some(Self::Host(uri.host()?.into(), uri.port_u16().unwrap_or(port)))
    }
}

/// Replaces ops of `deno_os` by those of this module.
pub(super) fn replace_ops_of_os(os: Extension) -> Extension {
    replace_ops(os, [op_set_env(), op_delete_env()])
}

/// Replaces an op of `deno_node` by that of this module.
pub(super) fn replace_ops_of_node(node: Extension) -> Extension {
    replace_ops(node, [op_node_load_env_file()])
}

fn replace_ops<const N: usize>(mut extension: Extension, ops: [OpDecl; N]) -> Extension {
    for op in ops {
        let replaced = extension.ops.to_mut().iter_mut().find(|replaced| replaced.name == op.name);
        *replaced.expect("the extension has the op") = op;
    }
    extension
}

#[op2(fast, stack_trace)]
fn op_set_env(
    state: &mut OpState,
    scope: &mut v8::PinScope<'_, '_>,
    #[string] key: &str,
    #[string] value: &str,
) -> Result<(), OsError> {
    if check_env(state, key)?.is_break() {
        return Ok(());
    }
    if key.is_empty() {
        return Err(OsError::EnvEmptyKey);
    }
    if key.contains(['=', '\0']) {
        return Err(OsError::EnvInvalidKey(key.into()));
    }
    if value.contains('\0') {
        return Err(OsError::EnvInvalidValue(value.into()));
    }
    // On some systems, names are case-insensitive.
    if PROXIES.iter().any(|name| name.eq_ignore_ascii_case(key)) {
        check_proxy(state, key, value, "Deno.env.set()")?;
    }
    ProcessEnvGuard::lock().set_var_and_notify_timezone(key, value, || notify_timezone(scope));
    Ok(())
}

#[op2(fast, stack_trace)]
fn op_delete_env(state: &mut OpState, scope: &mut v8::PinScope<'_, '_>, #[string] key: &str) -> Result<(), OsError> {
    if check_env(state, key)?.is_break() {
        return Ok(());
    }
    if key.is_empty() || key.contains(['=', '\0']) {
        return Err(OsError::EnvInvalidKey(key.into()));
    }
    if key.eq_ignore_ascii_case(REQUEST_METHOD) {
        for name in PROXIES_OF_HTTP {
            if let Ok(value) = env::var(name) {
                check_proxy(state, name, &value, "Deno.env.delete()")?;
            }
        }
    }
    ProcessEnvGuard::lock().remove_var_and_notify_timezone(key, || notify_timezone(scope));
    Ok(())
}

/// The reason why a `.env` file was not loaded.
#[derive(Debug, thiserror::Error, deno_error::JsError)]
enum EnvFileError {
    #[class(inherit)]
    #[error(transparent)]
    Denied(#[from] PermissionCheckError),
    #[class(inherit)]
    #[error(transparent)]
    Unreadable(#[from] FsError),
}

/// Sets the variables of a `.env` file, for `process.loadEnvFile()`.
#[op2(fast, stack_trace)]
fn op_node_load_env_file(
    state: &mut OpState,
    scope: &mut v8::PinScope<'_, '_>,
    #[string] path: &str,
) -> Result<(), EnvFileError> {
    const API: &str = "process.loadEnvFile()";
    let permissions = state.borrow::<PermissionsContainer>();
    permissions.check_env_all()?;
    let path = permissions.check_open(Cow::Borrowed(Path::new(path)), OpenAccessKind::ReadNoFollow, Some(API))?;
    let text = state.borrow::<FileSystemRc>().read_text_file_lossy_sync(&path)?;
    let mut variables = Vec::new();
    parse_env_content_hook(&text, &mut |name, value| {
        // As in Node.js, names and values end at a null character.
        let [name, value] = [name, value].map(|text| text.split('\0').next().unwrap_or_default().to_owned());
        if !name.is_empty() && !name.contains('=') {
            variables.push((name, value));
        }
    });
    for (name, value) in &variables {
        if PROXIES.iter().any(|proxy| proxy.eq_ignore_ascii_case(name)) {
            check_proxy(state, name, value, API)?;
        }
    }
    let environment = ProcessEnvGuard::lock();
    for (name, value) in &variables {
        environment.set_var_and_notify_timezone(name, value, || notify_timezone(scope));
    }
    Ok(())
}

/// Checks that the script may change a variable. Returns a break if the change must be silently ignored.
fn check_env(state: &mut OpState, name: &str) -> Result<ControlFlow<()>, PermissionCheckError> {
    match state.borrow::<PermissionsContainer>().check_env(name) {
        Ok(()) => Ok(ControlFlow::Continue(())),
        Err(PermissionCheckError::PermissionDenied(error)) if error.state == PermissionState::Ignored => {
            Ok(ControlFlow::Break(()))
        }
        Err(error) => Err(error),
    }
}

/// Checks that the script may connect to a proxy, unless the process was started with it.
fn check_proxy(state: &mut OpState, name: &str, value: &str, api: &str) -> Result<(), PermissionCheckError> {
    if state.borrow::<Proxies>().contains(name, value) {
        return Ok(());
    }
    match Proxy::parse(value) {
        Some(Proxy::Host(host, port)) => state.borrow_mut::<PermissionsContainer>().check_net(&(host, Some(port)), api),
        Some(Proxy::Socket) | None => Ok(()),
    }
}

fn notify_timezone(isolate: &mut v8::Isolate) {
    isolate.date_time_configuration_change_notification(v8::TimeZoneDetection::Redetect);
}

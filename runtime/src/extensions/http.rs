//! `Deno.serveHttp`, which takes over a connection.

use std::rc::Rc;

use deno_core::error::ResourceError;
use deno_core::{OpState, Resource, ResourceId, op2};
use deno_error::JsErrorBox;
use deno_http::http_create_conn_resource;
use deno_net::io::TcpStreamResource;
#[cfg(unix)]
use deno_net::io::UnixStreamResource;
use deno_net::ops_tls::TlsStreamResource;

/// Serves HTTP on a connection that nothing else reads or writes. Returns the server. Named by deno_http, which calls it.
#[op2(fast)]
#[smi]
pub(crate) fn op_http_start(state: &mut OpState, #[smi] connection: ResourceId) -> Result<ResourceId, JsErrorBox> {
    let failed = |error: std::io::Error| JsErrorBox::from_err(error);
    if let Some(tcp) = take::<TcpStreamResource>(state, connection)? {
        let (reader, writer) = tcp.into_inner();
        let stream = reader.reunite(writer).map_err(|error| JsErrorBox::generic(error.to_string()))?;
        let address = stream.local_addr().map_err(failed)?;
        return Ok(http_create_conn_resource(state, stream, address, "http"));
    }
    if let Some(tls) = take::<TlsStreamResource>(state, connection)? {
        let stream = tls.into_tls_stream();
        let address = stream.local_addr().map_err(failed)?;
        return Ok(http_create_conn_resource(state, stream, address, "https"));
    }
    #[cfg(unix)]
    if let Some(unix) = take::<UnixStreamResource>(state, connection)? {
        let (reader, writer) = unix.into_inner();
        let stream = reader.reunite(writer).map_err(|error| JsErrorBox::generic(error.to_string()))?;
        let address = stream.local_addr().map_err(failed)?;
        return Ok(http_create_conn_resource(state, stream, address, "http+unix"));
    }
    Err(JsErrorBox::from_err(ResourceError::BadResourceId))
}

/// Takes a connection of one kind out of the table. None where it is of another kind.
fn take<T: Resource>(state: &mut OpState, connection: ResourceId) -> Result<Option<T>, JsErrorBox> {
    let Ok(resource) = state.resource_table.take::<T>(connection) else { return Ok(None) };
    let in_use = |_| JsErrorBox::new("Busy", "the connection is in use: serve it before it is read or written");
    Rc::try_unwrap(resource).map(Some).map_err(in_use)
}

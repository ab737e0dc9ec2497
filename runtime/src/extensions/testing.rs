//! The events of running tests, and their permissions.

use deno_core::serde_json;
use deno_core::{OpState, op2};
use deno_error::JsErrorBox;
use deno_permissions::{ChildPermissionError, ChildPermissionsArg, PermissionsContainer};

/// Receives the events of tests. The test runner puts one into the state of the isolate.
pub(crate) struct EventSink(pub Box<dyn Fn(serde_json::Value) -> serde_json::Result<()>>);

/// Passes an event to the test runner.
///
/// # Errors
/// The event is invalid, as a script has modified `Array.prototype`.
#[op2]
pub(crate) fn op_openkv_test_event(state: &mut OpState, #[serde] event: serde_json::Value) -> Result<(), JsErrorBox> {
    state.try_borrow::<EventSink>().map_or(Ok(()), |sink| {
        sink.0(event).map_err(|error| JsErrorBox::type_error(format!("Invalid event of a test: {error}")))
    })
}

/// The permissions of the module, saved while a test has fewer.
struct SavedPermissions(PermissionsContainer);

/// Restricts a test to these permissions, or restores those of the module if there are none.
#[op2(stack_trace)]
pub(crate) fn op_openkv_test_permissions(
    state: &mut OpState,
    #[serde] permissions: Option<ChildPermissionsArg>,
) -> Result<(), ChildPermissionError> {
    if let Some(SavedPermissions(permissions)) = state.try_take() {
        state.put::<PermissionsContainer>(permissions);
    }
    if let Some(restricted) = permissions {
        let saved = state.borrow::<PermissionsContainer>().clone();
        let restricted = saved.create_child_permissions(restricted)?;
        state.put(SavedPermissions(saved));
        state.put::<PermissionsContainer>(restricted);
    }
    Ok(())
}

//! What running tests tell the runner, and their permissions.

use deno_core::serde_json;
use deno_core::{OpState, op2};
use deno_error::JsErrorBox;
use deno_permissions::{ChildPermissionError, ChildPermissionsArg, PermissionsContainer};

/// Takes what a test tells while it runs. Whoever runs tests puts one into the state of the isolate.
pub(crate) struct EventSink(pub Box<dyn Fn(serde_json::Value) -> serde_json::Result<()>>);

/// # Errors
/// The event is none: a script has changed what the arrays of the test runner inherit.
#[op2]
pub(crate) fn op_openkv_test_event(state: &mut OpState, #[serde] event: serde_json::Value) -> Result<(), JsErrorBox> {
    state.try_borrow::<EventSink>().map_or(Ok(()), |sink| {
        sink.0(event).map_err(|error| JsErrorBox::type_error(format!("Invalid event of a test: {error}")))
    })
}

/// The permissions of the module, while a test has less.
struct Whole(PermissionsContainer);

/// Lets a test do no more than this. Nothing gives it the permissions of the module back.
#[op2(stack_trace)]
pub(crate) fn op_openkv_test_permissions(
    state: &mut OpState,
    #[serde] permissions: Option<ChildPermissionsArg>,
) -> Result<(), ChildPermissionError> {
    if let Some(Whole(permissions)) = state.try_take() {
        state.put::<PermissionsContainer>(permissions);
    }
    if let Some(less) = permissions {
        let whole = state.borrow::<PermissionsContainer>().clone();
        let less = whole.create_child_permissions(less)?;
        state.put(Whole(whole));
        state.put::<PermissionsContainer>(less);
    }
    Ok(())
}

//! Stored values as JavaScript values. The other direction is the shim's: it is done when an atomic operation is built,
//! long before it is committed.

use std::cell::RefCell;
use std::rc::Rc;

use deno_core::v8::ValueDeserializerHelper;
use deno_core::{OpState, op2, v8};
use openkv_engine::ValueRef;

use crate::error::KvError;
use crate::key::bytes_to_v8;

/// What a value may become, besides what V8 knows by itself.
pub(crate) struct Classes {
    u64: v8::Global<v8::Function>,
    deserializers: v8::Global<v8::Object>,
}

/// Tells the class of 64-bit unsigned integers, and the functions that restore objects of the host, by their type.
#[op2]
pub(crate) fn op_kv_set_classes(
    state: &mut OpState,
    #[scoped] u64: v8::Global<v8::Function>,
    #[scoped] deserializers: v8::Global<v8::Object>,
) {
    state.put(Rc::new(Classes { u64, deserializers }));
}

/// Decodes values, straight from the database's memory.
pub(crate) struct Decoder<'s> {
    u64: v8::Local<'s, v8::Function>,
    deserializers: v8::Local<'s, v8::Object>,
}

impl<'s> Decoder<'s> {
    /// A decoder with the classes that the shim told.
    pub fn new(scope: &mut v8::PinScope<'s, '_>, state: &RefCell<OpState>) -> Self {
        let classes = state.borrow().borrow::<Rc<Classes>>().clone();
        Self { u64: v8::Local::new(scope, &classes.u64), deserializers: v8::Local::new(scope, &classes.deserializers) }
    }

    /// Decodes a value.
    pub fn decode(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        value: ValueRef<'_>,
    ) -> Result<v8::Local<'s, v8::Value>, KvError> {
        match value {
            ValueRef::Bytes(bytes) => Ok(bytes_to_v8(scope, bytes)),
            ValueRef::U64(number) => {
                let number = v8::BigInt::new_from_u64(scope, number).into();
                self.u64.new_instance(scope, &[number]).map(Into::into).ok_or(KvError::Undecodable)
            }
            ValueRef::V8(bytes) => self.deserialize(scope, bytes),
        }
    }

    fn deserialize(&self, scope: &mut v8::PinScope<'s, '_>, bytes: &[u8]) -> Result<v8::Local<'s, v8::Value>, KvError> {
        let host_objects = Box::new(HostObjects { deserializers: self.deserializers });
        let context = scope.get_current_context();
        let deserializer = v8::ValueDeserializer::new(scope, host_objects, bytes);
        let value = match deserializer.read_header(context) {
            Some(true) => deserializer.read_value(context),
            _ => None,
        };
        value.ok_or(KvError::Undecodable)
    }
}

/// Restores objects of the host: blobs, keys of WebCrypto and so on. deno_core writes such an object as a number with
/// all bits set, then a plain object that names its type.
struct HostObjects<'s> {
    deserializers: v8::Local<'s, v8::Object>,
}

impl v8::ValueDeserializerImpl for HostObjects<'_> {
    fn read_host_object<'s, 'i>(
        &self,
        scope: &mut v8::PinScope<'s, 'i>,
        deserializer: &dyn v8::ValueDeserializerHelper,
    ) -> Option<v8::Local<'s, v8::Object>> {
        let mut marker = 0;
        if !deserializer.read_uint32(&mut marker) || marker != u32::MAX {
            return None;
        }
        let data = deserializer.read_value(scope.get_current_context())?;
        let name = v8::String::new(scope, "type")?;
        let ty = data.to_object(scope)?.get(scope, name.into())?;
        let restore = self.deserializers.get(scope, ty)?;
        let restore = v8::Local::<v8::Function>::try_from(restore).ok()?;
        let scope = std::pin::pin!(v8::AllowJavascriptExecutionScope::new(scope));
        let scope = &mut scope.init();
        let receiver = v8::null(scope).into();
        restore.call(scope, receiver, &[data])?.to_object(scope)
    }

    fn get_shared_array_buffer_from_id<'s, 'i>(
        &self,
        _scope: &mut v8::PinScope<'s, 'i>,
        _id: u32,
    ) -> Option<v8::Local<'s, v8::SharedArrayBuffer>> {
        None
    }

    fn get_wasm_module_from_id<'s, 'i>(
        &self,
        _scope: &mut v8::PinScope<'s, 'i>,
        _id: u32,
    ) -> Option<v8::Local<'s, v8::WasmModuleObject>> {
        None
    }
}

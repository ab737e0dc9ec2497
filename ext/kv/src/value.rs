//! Converts JavaScript values to stored values, and back.

use std::cell::RefCell;
use std::rc::Rc;

use deno_core::convert::Uint8Array;
use deno_core::v8::{ValueDeserializerHelper, ValueSerializerHelper};
use deno_core::{OpState, op2, v8};
use openkv_engine::{Value, ValueRef};

use crate::error::KvError;
use crate::key::{bytes_from_v8, bytes_to_v8};

/// The classes and functions of the shim by which values are encoded that V8 cannot serialize alone.
pub(crate) struct Classes {
    u64: v8::Global<v8::Function>,
    brand: v8::Global<v8::Symbol>,
    to_encodable: v8::Global<v8::Function>,
    deserializers: v8::Global<v8::Object>,
    /// The type of the host object that could not be restored, until the read returns its error.
    unknown: RefCell<Option<String>>,
}

impl Classes {
    fn of(state: &RefCell<OpState>) -> Result<Rc<Self>, KvError> {
        state.borrow().try_borrow::<Rc<Self>>().cloned().ok_or(KvError::Argument("no database has been opened yet"))
    }
}

/// Registers the class of 64-bit unsigned integers; the symbol of the method that returns the serializable form of a host
/// object; the function that turns this form into the stored one; and the functions that restore host objects, by type.
#[op2]
pub(crate) fn op_openkv_set_classes(
    state: &mut OpState,
    #[scoped] u64: v8::Global<v8::Function>,
    #[scoped] brand: v8::Global<v8::Symbol>,
    #[scoped] to_encodable: v8::Global<v8::Function>,
    #[scoped] deserializers: v8::Global<v8::Object>,
) {
    state.put(Rc::new(Classes { u64, brand, to_encodable, deserializers, unknown: RefCell::default() }));
}

/// Encodes a value: bytes unchanged, a bigint as a `u64` if `u64` is set, and everything else in V8's serialization format.
/// Returns `None` if V8 has thrown an exception.
pub(crate) fn encode<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: &RefCell<OpState>,
    value: v8::Local<'s, v8::Value>,
    u64: bool,
) -> Result<Option<Value>, KvError> {
    if u64 {
        return match v8::Local::<v8::BigInt>::try_from(value).map(|int| int.u64_value()) {
            Ok((int, true)) => Ok(Some(Value::U64(int))),
            _ => Err(KvError::Argument("the value of a KvU64 must be an unsigned 64-bit bigint")),
        };
    }
    if let Ok(view) = v8::Local::<v8::Uint8Array>::try_from(value) {
        // Another thread may be writing to shared memory.
        return match view.buffer(scope) {
            Some(buffer) if v8::Local::<v8::Value>::from(buffer).is_shared_array_buffer() => Err(KvError::SharedBytes),
            _ => Ok(Some(Value::Bytes(bytes_from_v8(view.into())))),
        };
    }
    Ok(serialize(scope, state, value)?.map(Value::V8))
}

/// Serializes a value in V8's format. Returns `None` if V8 has thrown an exception.
fn serialize<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: &RefCell<OpState>,
    value: v8::Local<'s, v8::Value>,
) -> Result<Option<Vec<u8>>, KvError> {
    let classes = Classes::of(state)?;
    let brand = v8::Local::new(scope, &classes.brand);
    let to_encodable = v8::Local::new(scope, &classes.to_encodable);
    let serializer = v8::ValueSerializer::new(scope, Box::new(Branded { brand, to_encodable }));
    serializer.write_header();
    v8::tc_scope!(let scope, scope);
    let written = serializer.write_value(scope.get_current_context(), value);
    if scope.has_caught() || scope.has_terminated() {
        scope.rethrow();
        return Ok(None);
    }
    match written {
        Some(true) => Ok(Some(serializer.release())),
        _ => Err(KvError::Argument("the value could not be serialized")),
    }
}

/// Serializes a queue message: unlike a value, it is always in V8's format.
#[op2(reentrant)]
pub(crate) fn op_openkv_serialize<'s>(
    scope: &mut v8::PinScope<'s, '_>,
    state: Rc<RefCell<OpState>>,
    message: v8::Local<'s, v8::Value>,
) -> Result<Uint8Array, KvError> {
    // Without bytes, an exception is pending, and the script sees that instead.
    Ok(serialize(scope, &state, message)?.unwrap_or_default().into())
}

/// Serializes host objects as deno_core does: a number with all bits set, then the plain object that the object's branded method
/// returns. If this refers to memory of the process, `to_encodable` replaces the reference by the contents.
struct Branded<'s> {
    brand: v8::Local<'s, v8::Symbol>,
    to_encodable: v8::Local<'s, v8::Function>,
}

impl v8::ValueSerializerImpl for Branded<'_> {
    fn throw_data_clone_error<'s, 'i>(&self, scope: &mut v8::PinScope<'s, 'i>, message: v8::Local<'s, v8::String>) {
        let error = v8::Exception::type_error(scope, message);
        scope.throw_exception(error);
    }

    fn has_custom_host_object(&self, _isolate: &v8::Isolate) -> bool {
        true
    }

    fn is_host_object<'s, 'i>(
        &self,
        scope: &mut v8::PinScope<'s, 'i>,
        object: v8::Local<'s, v8::Object>,
    ) -> Option<bool> {
        object.has(scope, self.brand.into())
    }

    fn write_host_object<'s, 'i>(
        &self,
        scope: &mut v8::PinScope<'s, 'i>,
        object: v8::Local<'s, v8::Object>,
        serializer: &dyn v8::ValueSerializerHelper,
    ) -> Option<bool> {
        let describe = object.get(scope, self.brand.into())?;
        let Ok(describe) = v8::Local::<v8::Function>::try_from(describe) else {
            let message = v8::String::new(scope, "Unsupported object type")?;
            self.throw_data_clone_error(scope, message);
            return None;
        };
        let data = describe.call(scope, object.into(), &[])?;
        let receiver = v8::undefined(scope).into();
        let data = self.to_encodable.call(scope, receiver, &[data])?;
        serializer.write_uint32(u32::MAX);
        serializer.write_value(scope.get_current_context(), data)
    }

    fn get_shared_array_buffer_id<'s, 'i>(
        &self,
        _scope: &mut v8::PinScope<'s, 'i>,
        _buffer: v8::Local<'s, v8::SharedArrayBuffer>,
    ) -> Option<u32> {
        None
    }

    fn get_wasm_module_transfer_id<'s, 'i>(
        &self,
        scope: &mut v8::PinScope<'s, 'i>,
        _module: v8::Local<v8::WasmModuleObject>,
    ) -> Option<u32> {
        let message = v8::String::new(scope, "Wasm modules cannot be stored")?;
        self.throw_data_clone_error(scope, message);
        None
    }
}

/// Decodes values directly from the database's memory.
pub(crate) struct Decoder<'s> {
    u64: v8::Local<'s, v8::Function>,
    deserializers: v8::Local<'s, v8::Object>,
    classes: Rc<Classes>,
}

impl<'s> Decoder<'s> {
    /// Returns a decoder with the classes that the shim registered.
    pub fn new(scope: &mut v8::PinScope<'s, '_>, state: &RefCell<OpState>) -> Result<Self, KvError> {
        let classes = Classes::of(state)?;
        Ok(Self {
            u64: v8::Local::new(scope, &classes.u64),
            deserializers: v8::Local::new(scope, &classes.deserializers),
            classes,
        })
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
                self.u64.new_instance(scope, &[number]).map(Into::into).ok_or(KvError::Deserialize)
            }
            ValueRef::V8(bytes) => self.deserialize(scope, bytes),
        }
    }

    /// Decodes a value in V8's serialization format.
    pub fn deserialize(
        &self,
        scope: &mut v8::PinScope<'s, '_>,
        bytes: &[u8],
    ) -> Result<v8::Local<'s, v8::Value>, KvError> {
        let host_objects = Box::new(HostObjects { deserializers: self.deserializers, classes: self.classes.clone() });
        let context = scope.get_current_context();
        let deserializer = v8::ValueDeserializer::new(scope, host_objects, bytes);
        let value = match deserializer.read_header(context) {
            Some(true) => deserializer.read_value(context),
            _ => None,
        };
        value.ok_or_else(|| self.classes.unknown.take().map_or(KvError::Deserialize, KvError::UnknownObject))
    }
}

/// Restores host objects such as blobs and WebCrypto keys. deno_core writes such an object as a number with all bits set, then a
/// plain object that names its type.
struct HostObjects<'s> {
    deserializers: v8::Local<'s, v8::Object>,
    classes: Rc<Classes>,
}

/// The maximum length of a type name in an error message. The name comes from the file, and may be anything.
const MAX_TYPE_NAME: usize = 64;

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
        // Without this scope, V8 aborts the process when script code runs. Each step below may run some, such as a getter on
        // `Object.prototype`.
        let scope = std::pin::pin!(v8::AllowJavascriptExecutionScope::new(scope));
        let scope = &mut scope.init();
        let name = v8::String::new(scope, "type")?;
        let ty = data.to_object(scope)?.get(scope, name.into())?;
        let ty = v8::Local::<v8::String>::try_from(ty).ok()?;
        let restore = self.deserializers.get(scope, ty.into())?;
        let Ok(restore) = v8::Local::<v8::Function>::try_from(restore) else {
            let is_short = ty.length() <= MAX_TYPE_NAME;
            *self.classes.unknown.borrow_mut() = is_short.then(|| ty.to_rust_string_lossy(scope));
            return None;
        };
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

//! Decodes the values of a batch of entries. Those that [`plain`] recognizes are decoded together, as the elements of one array: this
//! takes one call of V8 and one deserializer, instead of one for each.

use deno_core::v8;
use openkv_engine::ValueRef;

use crate::error::KvError;
use crate::plain;
use crate::value::Decoder;

/// The space for the beginning of the array: the header, padding, the tag and the length. An even number, as V8 aligns strings of
/// two-byte characters.
const START: usize = 16;

/// The values of a batch, in their order.
#[derive(Default)]
pub(crate) struct Values<'s> {
    values: Vec<Slot<'s>>,
    /// The array in V8's format, up to its elements so far. For a value that is decoded alone, `null`.
    elements: Vec<u8>,
    /// Whether an element is one of the values.
    is_needed: bool,
}

enum Slot<'s> {
    Decoded(v8::Local<'s, v8::Value>),
    /// An element, from its first byte to the one after its last.
    Element(usize, usize),
}

impl<'s> Values<'s> {
    /// Adds the value of an entry, or `undefined` if it was not read.
    pub fn push(
        &mut self,
        scope: &mut v8::PinScope<'s, '_>,
        decoder: &Decoder<'s>,
        value: Option<ValueRef<'_>>,
    ) -> Result<(), KvError> {
        if self.elements.is_empty() {
            self.elements.resize(START, plain::PADDING);
        }
        let element = match value {
            Some(ValueRef::V8(bytes)) => plain::element(bytes),
            _ => None,
        };
        let Some(element) = element else {
            let value = match value {
                Some(value) => decoder.decode(scope, value)?,
                None => v8::undefined(scope).into(),
            };
            self.values.push(Slot::Decoded(value));
            self.elements.push(plain::NULL);
            return Ok(());
        };
        if self.elements.len() % 2 == 1 {
            self.elements.push(plain::PADDING);
        }
        let start = self.elements.len();
        self.elements.extend_from_slice(element);
        self.values.push(Slot::Element(start, self.elements.len()));
        self.is_needed = true;
        Ok(())
    }

    /// Returns the number of values.
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Returns an array of the values.
    pub fn into_array(
        mut self,
        scope: &mut v8::PinScope<'s, '_>,
        decoder: &Decoder<'s>,
    ) -> Result<v8::Local<'s, v8::Value>, KvError> {
        if self.is_needed
            && let Some(array) = self.together(scope, decoder)?
        {
            for (i, slot) in self.values.iter().enumerate() {
                if let Slot::Decoded(value) = slot {
                    array.set_index(scope, i as u32, *value);
                }
            }
            return Ok(array.into());
        }
        let alone = self.values.iter().map(|slot| match *slot {
            Slot::Decoded(value) => Ok(value),
            Slot::Element(start, end) => {
                decoder.deserialize(scope, &[&plain::HEADER, &self.elements[start..end]].concat())
            }
        });
        let values: Vec<_> = alone.collect::<Result<_, _>>()?;
        Ok(v8::Array::new_with_elements(scope, &values).into())
    }

    /// Decodes all elements. Returns `None` if that fails: which element is the cause is not known then.
    ///
    /// # Errors
    /// [`KvError::Deserialize`] if the script is being terminated.
    fn together(
        &mut self,
        scope: &mut v8::PinScope<'s, '_>,
        decoder: &Decoder<'s>,
    ) -> Result<Option<v8::Local<'s, v8::Array>>, KvError> {
        let count = self.values.len();
        let mut start = vec![plain::ARRAY];
        plain::push_varint(&mut start, count);
        self.elements[..plain::HEADER.len()].copy_from_slice(&plain::HEADER);
        self.elements[START - start.len()..START].copy_from_slice(&start);
        self.elements.extend([plain::ARRAY_END, 0]);
        plain::push_varint(&mut self.elements, count);
        v8::tc_scope!(let scope, scope);
        let array = decoder.deserialize(scope, &self.elements);
        if scope.has_terminated() {
            // The request was consumed.
            scope.terminate_execution();
            return Err(KvError::Deserialize);
        }
        Ok(array.ok().and_then(|array| array.try_into().ok()))
    }
}

//! Frames of streams: the length of a message as a little-endian 32-bit integer, then the message. A frame of length 0 is a
//! ping.

use bytes::{Buf, BufMut, Bytes, BytesMut};
use prost::Message;

use super::Malformed;

/// The frame of a ping.
pub const PING: [u8; 4] = [0; 4];

/// The longest frame that Deno accepts, in bytes without the prefix.
pub const MAX_LEN: usize = 16 * 1024 * 1024;

const LEN_SIZE: usize = size_of::<u32>();

/// Encodes a message as a frame. An empty message is a ping.
///
/// # Errors
/// [`Malformed::FrameTooLong`] for a message of more than [`MAX_LEN`] bytes.
pub fn encode(message: &impl Message) -> Result<Bytes, Malformed> {
    let len = message.encoded_len();
    let too_long = Malformed::FrameTooLong { len, max: MAX_LEN };
    let prefix = u32::try_from(len).ok().filter(|_| len <= MAX_LEN).ok_or(too_long)?;
    let mut frame = BytesMut::with_capacity(LEN_SIZE + len);
    frame.put_u32_le(prefix);
    // This cannot fail: the buffer grows.
    message.encode_raw(&mut frame);
    Ok(frame.freeze())
}

/// A decoded frame.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Frame {
    /// A keep-alive without a message.
    Ping,
    /// The bytes of a message.
    Message(Bytes),
}

/// Splits the bytes of a stream into frames.
#[derive(Debug)]
pub struct Decoder {
    buffer: BytesMut,
    max: usize,
}

impl Decoder {
    /// Creates a decoder of frames of up to `max` bytes.
    pub fn new(max: usize) -> Self {
        Self { buffer: BytesMut::new(), max }
    }

    /// Appends received bytes.
    pub fn push(&mut self, bytes: &[u8]) {
        self.buffer.extend_from_slice(bytes);
    }

    /// Returns the next frame, or `None` while it is incomplete.
    ///
    /// # Errors
    /// [`Malformed::FrameTooLong`]. The rest of the stream cannot be decoded.
    pub fn next_frame(&mut self) -> Result<Option<Frame>, Malformed> {
        let Some(prefix) = self.buffer.first_chunk::<LEN_SIZE>() else { return Ok(None) };
        let len = u32::from_le_bytes(*prefix) as usize;
        if len > self.max {
            return Err(Malformed::FrameTooLong { len, max: self.max });
        }
        if self.buffer.len() < LEN_SIZE + len {
            return Ok(None);
        }
        self.buffer.advance(LEN_SIZE);
        let message = self.buffer.split_to(len).freeze();
        Ok(Some(if message.is_empty() { Frame::Ping } else { Frame::Message(message) }))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::openkv::Dequeue;

    #[test]
    fn frames_are_split_at_any_chunk_size() {
        let message = encode(&Dequeue { limit: 300 }).unwrap();
        let stream = [&message[..], &PING, &message].concat();
        let expected = [Frame::Message(message.slice(4..)), Frame::Ping, Frame::Message(message.slice(4..))];
        for size in 1..=stream.len() {
            let mut decoder = Decoder::new(16);
            let mut frames = Vec::new();
            for chunk in stream.chunks(size) {
                decoder.push(chunk);
                while let Some(frame) = decoder.next_frame().unwrap() {
                    frames.push(frame);
                }
            }
            assert_eq!(frames, expected, "in chunks of {size} bytes");
        }
    }

    #[test]
    fn frame_is_rejected_by_its_length_prefix() {
        let mut decoder = Decoder::new(16);
        decoder.push(&17_u32.to_le_bytes());
        assert_eq!(decoder.next_frame(), Err(Malformed::FrameTooLong { len: 17, max: 16 }));
    }
}

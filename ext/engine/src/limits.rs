use crate::{AtomicWrite, Error, Key, Read, Result};

/// The limits of each call. The defaults are those of Deno.
///
/// Sizes are in bytes; those of keys refer to the encoded form.
///
/// ```
/// use openkv_engine::Limits;
/// use openkv_engine::sqlite::Options;
///
/// let mut limits = Limits::default();
/// limits.value_size = 1024 * 1024;
/// let options = Options::default().limits(limits);
/// # assert_eq!(options.limits.value_size, 1 << 20);
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// The size of a key to write.
    pub write_key_size: usize,
    /// The size of a bound of a range: a key to write plus one byte. A key to read counts as a range.
    pub read_key_size: usize,
    /// The size of a value, or of a queue message.
    pub value_size: usize,
    /// The number of ranges in a read.
    pub read_ranges: usize,
    /// The number of entries requested by a read.
    pub read_entries: usize,
    /// The number of checks in a write.
    pub checks: usize,
    /// The number of mutations, messages and keys for undelivered messages in a write.
    pub mutations: usize,
    /// The total size of a write: its keys, values and messages.
    pub write_size: usize,
    /// The total size of the keys in a write that store a value, including the keys for undelivered messages.
    pub write_keys_size: usize,
    /// The number of keys in a watch.
    pub watched_keys: usize,
    /// The number of entries that the deletion of a range deletes at most.
    pub deletions: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            write_key_size: 2048,
            read_key_size: 2049,
            value_size: 64 * 1024,
            read_ranges: 10,
            read_entries: 1000,
            checks: 100,
            mutations: 1000,
            write_size: 800 * 1024,
            write_keys_size: 80 * 1024,
            watched_keys: 10,
            deletions: 10_000,
        }
    }
}

impl Limits {
    /// Checks a read.
    ///
    /// # Errors
    /// The first limit that it exceeds.
    pub(crate) fn check_reads(&self, reads: &[Read<'_>]) -> Result<()> {
        if reads.len() > self.read_ranges {
            return Err(Error::TooManyRanges { max: self.read_ranges });
        }
        let mut entries = 0;
        for read in reads {
            match read {
                // Deno reads a key as the range up to its successor, which is one byte longer.
                Read::Key(key) => self.check_read_key_size(key.as_bytes().len() + 1)?,
                Read::Range { start, end, .. } => self.check_range(start, end)?,
            }
            entries += match read {
                Read::Key(_) => 1,
                Read::Range { limit, .. } => *limit as usize,
            };
        }
        if entries > self.read_entries {
            return Err(Error::TooManyEntries { max: self.read_entries });
        }
        Ok(())
    }

    /// Checks the keys of entries to read without their values.
    ///
    /// # Errors
    /// [`Error::TooManyEntries`] or [`Error::KeyTooLargeToRead`].
    pub(crate) fn check_keys(&self, keys: &[Key]) -> Result<()> {
        if keys.len() > self.read_entries {
            return Err(Error::TooManyEntries { max: self.read_entries });
        }
        keys.iter().try_for_each(|key| self.check_read_key_size(key.as_bytes().len() + 1))
    }

    /// Checks the bounds of a range.
    ///
    /// # Errors
    /// [`Error::KeyTooLargeToRead`].
    pub(crate) fn check_range(&self, start: &[u8], end: &[u8]) -> Result<()> {
        self.check_read_key_size(start.len().max(end.len()))
    }

    /// Checks the keys of a watch.
    ///
    /// # Errors
    /// [`Error::TooManyKeys`] or [`Error::KeyTooLargeToRead`].
    pub(crate) fn check_watch(&self, keys: &[Key]) -> Result<()> {
        if keys.len() > self.watched_keys {
            return Err(Error::TooManyKeys { max: self.watched_keys });
        }
        keys.iter().try_for_each(|key| self.check_read_key_size(key.as_bytes().len()))
    }

    fn check_read_key_size(&self, size: usize) -> Result<()> {
        if size > self.read_key_size { Err(Error::KeyTooLargeToRead { max: self.read_key_size }) } else { Ok(()) }
    }

    /// Checks a write.
    ///
    /// As in Deno, the key of a mutation that stores a value counts twice. The keys for undelivered messages are part of a
    /// later write, which cannot be rejected, so their limits apply here. Deno does not limit them.
    ///
    /// # Errors
    /// The first limit that it exceeds, or [`Error::EmptyKey`].
    pub(crate) fn check_write(&self, write: &AtomicWrite) -> Result<()> {
        if write.checks.len() > self.checks {
            return Err(Error::TooManyChecks { max: self.checks });
        }
        let undelivered = || write.enqueues.iter().flat_map(|enqueue| &enqueue.keys_if_undelivered);
        if write.mutations.len() + write.enqueues.len() + undelivered().count() > self.mutations {
            return Err(Error::TooManyMutations { max: self.mutations });
        }

        let keys = write.checks.iter().map(|check| &check.key);
        let keys = keys.chain(write.mutations.iter().map(|mutation| &mutation.key)).chain(undelivered());
        let mut size = 0;
        for key in keys {
            match key.as_bytes().len() {
                0 => return Err(Error::EmptyKey),
                len if len > self.write_key_size => {
                    return Err(Error::KeyTooLargeToWrite { max: self.write_key_size });
                }
                len => size += len,
            }
        }

        let mut keys_size = undelivered().map(|key| key.as_bytes().len()).sum::<usize>();
        for mutation in &write.mutations {
            let Some(value) = mutation.kind.value() else { continue };
            if value.len() > self.value_size {
                return Err(Error::ValueTooLarge { max: self.value_size });
            }
            size += mutation.key.as_bytes().len() + value.len();
            keys_size += mutation.key.as_bytes().len();
        }
        for enqueue in &write.enqueues {
            if enqueue.message.len() > self.value_size {
                return Err(Error::MessageTooLarge { max: self.value_size });
            }
            size += enqueue.message.len() + enqueue.backoff_schedule.as_ref().map_or(0, |schedule| 4 * schedule.len());
        }

        if size > self.write_size {
            return Err(Error::WriteTooLarge { max: self.write_size });
        }
        if keys_size > self.write_keys_size {
            return Err(Error::KeysTooLarge { max: self.write_keys_size });
        }
        Ok(())
    }
}

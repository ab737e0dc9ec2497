use crate::{AtomicWrite, Error, Key, Read, Result};

/// How much one call may ask for. The defaults are those of Deno.
///
/// Sizes of keys are those of their encoded form, in bytes.
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
    /// The size of a bound of a range: a written key and one byte. A key to read counts as a range of its own.
    pub read_key_size: usize,
    /// The size of a value, or of a queue message.
    pub value_size: usize,
    /// Ranges in one read.
    pub read_ranges: usize,
    /// Entries asked for in one read.
    pub read_entries: usize,
    /// Checks in one write.
    pub checks: usize,
    /// Mutations and messages in one write, with the keys that are given the messages if they are not delivered.
    pub mutations: usize,
    /// The size of one write: its keys, values and messages.
    pub write_size: usize,
    /// The size of the keys that one write gives a value, or that its messages are given to if they are not delivered.
    pub write_keys_size: usize,
    /// Keys in one watch.
    pub watched_keys: usize,
    /// Entries deleted by one deletion of a range.
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
                // Deno reads a key as the range up to the one that follows, which is a byte longer.
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
    /// The size of a write counts the key of a mutation that stores a value twice, as Deno does. The keys of undelivered
    /// messages are those of a later write, which cannot be refused: their limits apply here, where Deno has none.
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

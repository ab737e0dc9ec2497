//! Reads the records of a file page by page, without SQLite: if the B-tree of a table is corrupt, this finds pages that are no
//! longer reachable from its root. See <https://www.sqlite.org/fileformat2.html>.

use std::collections::HashSet;
use std::fs::File;
use std::io::{Read, Result, Seek, SeekFrom};
use std::path::Path;

use rusqlite::types::Value;

const MAGIC: &[u8] = b"SQLite format 3\0";

/// The size of the file header, with which page 1 begins.
const HEADER: usize = 100;

const INTERIOR_INDEX: u8 = 0x02;
const LEAF_INDEX: u8 = 0x0a;
const LEAF_TABLE: u8 = 0x0d;

/// The pages of a file, which must not change meanwhile.
pub(super) struct Pages {
    file: File,
    size: usize,
    /// The usable size of a page, in bytes.
    usable: usize,
    count: u32,
    /// Free pages, which contain deleted records.
    free: HashSet<u32>,
}

impl Pages {
    /// Opens a file. If its header is corrupt, the default page size is assumed.
    pub fn open(path: &Path) -> Result<Self> {
        let mut file = File::open(path)?;
        let len = file.metadata()?.len();
        let mut header = Vec::with_capacity(HEADER);
        file.by_ref().take(HEADER as u64).read_to_end(&mut header)?;
        header.resize(HEADER, 0);
        let size = match u16::from_be_bytes([header[16], header[17]]) {
            1 => 65536,
            size if size.is_power_of_two() && size >= 512 => usize::from(size),
            _ => 4096,
        };
        let is_valid = header.starts_with(MAGIC);
        let reserved = if is_valid { usize::from(header[20]) } else { 0 };
        let usable = size.saturating_sub(reserved).max(480);
        let count = u32::try_from(len.div_ceil(size as u64)).unwrap_or(u32::MAX);
        let mut pages = Self { file, size, usable, count, free: HashSet::new() };
        pages.find_free(number(&header, 32).unwrap_or_default())?;
        // With a corrupt header, the free list is used only if its length matches.
        if !is_valid && number(&header, 36) != u32::try_from(pages.free.len()).ok() {
            pages.free.clear();
        }
        Ok(pages)
    }

    /// Returns the number of pages. They are numbered from 1.
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Returns the records on a page of a table or an index, as far as they can be decoded.
    pub fn records(&mut self, page: u32) -> Result<Vec<Vec<Value>>> {
        if self.free.contains(&page) {
            return Ok(Vec::new());
        }
        let Some(bytes) = self.page(page)? else {
            return Ok(Vec::new());
        };
        let start = if page == 1 { HEADER } else { 0 };
        // The offset of the cell pointers, the size of the child pointer in each cell, and whether a row id follows the length.
        let (list, child, has_row) = match bytes[start] {
            INTERIOR_INDEX => (start + 12, 4, false),
            LEAF_INDEX => (start + 8, 0, false),
            LEAF_TABLE => (start + 8, 0, true),
            _ => return Ok(Vec::new()),
        };
        let cells = usize::from(u16::from_be_bytes([bytes[start + 3], bytes[start + 4]]));
        let mut records = Vec::new();
        for cell in bytes[list..].chunks_exact(2).take(cells) {
            let at = usize::from(u16::from_be_bytes([cell[0], cell[1]])) + child;
            if let Some(payload) = self.payload(&bytes, at, has_row)? {
                records.extend(record(&payload));
            }
        }
        Ok(records)
    }

    fn page(&mut self, page: u32) -> Result<Option<Vec<u8>>> {
        if page == 0 || page > self.count {
            return Ok(None);
        }
        self.file.seek(SeekFrom::Start(u64::from(page - 1) * self.size as u64))?;
        let mut bytes = Vec::with_capacity(self.size);
        self.file.by_ref().take(self.size as u64).read_to_end(&mut bytes)?;
        // The last page may be incomplete.
        bytes.resize(self.size, 0);
        Ok(Some(bytes))
    }

    /// Returns the payload of a cell, including its overflow pages.
    fn payload(&mut self, page: &[u8], at: usize, has_row: bool) -> Result<Option<Vec<u8>>> {
        let Some(mut rest) = page.get(at..self.usable) else {
            return Ok(None);
        };
        let Some(len) = varint(&mut rest).filter(|len| *len <= u64::from(self.count) * self.size as u64) else {
            return Ok(None);
        };
        if has_row && varint(&mut rest).is_none() {
            return Ok(None);
        }
        let (len, usable) = (len as usize, self.usable);
        let max_local = if has_row { usable - 35 } else { (usable - 12) * 64 / 255 - 23 };
        let min_local = (usable - 12) * 32 / 255 - 23;
        let local = match min_local + len.saturating_sub(min_local) % (usable - 4) {
            _ if len <= max_local => len,
            local if local <= max_local => local,
            _ => min_local,
        };
        let Some(first) = rest.get(..local) else {
            return Ok(None);
        };
        let mut payload = first.to_vec();
        let mut next = if local < len { number(rest, local) } else { None };
        while payload.len() < len {
            let Some(bytes) = next.map(|next| self.page(next)).transpose()?.flatten() else {
                return Ok(None);
            };
            let end = (len - payload.len() + 4).min(usable);
            payload.extend_from_slice(&bytes[4..end]);
            next = number(&bytes, 0);
        }
        Ok(Some(payload))
    }

    /// Follows the list of free pages, as far as possible.
    fn find_free(&mut self, first: u32) -> Result<()> {
        let mut next = first;
        while let Some(bytes) = self.page(next)? {
            if !self.free.insert(next) {
                break;
            }
            let listed = number(&bytes, 4).unwrap_or_default() as usize;
            self.free.extend((0..listed.min(self.size / 4 - 2)).filter_map(|i| number(&bytes, 8 + 4 * i)));
            next = number(&bytes, 0).unwrap_or_default();
        }
        Ok(())
    }
}

fn record(payload: &[u8]) -> Option<Vec<Value>> {
    let mut rest = payload;
    let header = varint(&mut rest)? as usize;
    let mut types = payload.get(payload.len() - rest.len()..header)?;
    let mut body = payload.get(header..)?;
    let mut values = Vec::new();
    while !types.is_empty() {
        let kind = varint(&mut types)?;
        let len = match kind {
            0 | 8 | 9 => 0,
            1..=4 => kind as usize,
            5 => 6,
            6 | 7 => 8,
            12.. => usize::try_from((kind - 12) / 2).ok()?,
            _ => return None,
        };
        let (bytes, after) = body.split_at_checked(len)?;
        body = after;
        values.push(match kind {
            0 => Value::Null,
            8 | 9 => Value::Integer(kind as i64 - 8),
            1..=6 => {
                let sign = if bytes[0] & 0x80 == 0 { 0 } else { -1 };
                Value::Integer(bytes.iter().fold(sign, |number, byte| number << 8 | i64::from(*byte)))
            }
            7 => Value::Real(f64::from_be_bytes(bytes.try_into().ok()?)),
            _ if kind % 2 == 0 => Value::Blob(bytes.to_vec()),
            _ => Value::Text(String::from_utf8(bytes.to_vec()).ok()?),
        });
    }
    Some(values)
}

fn varint(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0;
    for i in 0.. {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        if i == 8 {
            return Some(number << 8 | u64::from(*byte));
        }
        number = number << 7 | u64::from(byte & 0x7f);
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at + 4)?.try_into().ok()?))
}

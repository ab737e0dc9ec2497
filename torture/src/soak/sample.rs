//! The resources of a process at a moment.

use std::io;
use std::path::Path;
use std::time::Duration;

pub(super) const MIB: u64 = 1 << 20;

/// The maximum size of the WAL: commits wait once it has 8000 pages, with a header each, and the largest commit adds 1000.
pub(super) const MAX_WAL: u64 = (8000 + 1000) * (4096 + 24);

/// The resources of a process and its database. Sizes are in bytes.
#[derive(Debug)]
pub(super) struct Sample {
    /// The time since the start.
    pub at: Duration,
    /// Resident memory.
    pub memory: u64,
    /// The heap of V8, as last reported by the script.
    pub heap: u64,
    pub files: u64,
    pub threads: u64,
    /// The database file.
    pub file: u64,
    pub wal: u64,
}

impl Sample {
    pub fn take(process: u32, database: &Path, at: Duration, heap: u64) -> io::Result<Self> {
        let process = Path::new("/proc").join(process.to_string());
        let status = std::fs::read_to_string(process.join("status"))?;
        let number = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name))?;
            line.split_whitespace().next()?.parse::<u64>().ok()
        };
        // A missing file has size 0.
        let size = |suffix: &str| {
            let mut name = database.as_os_str().to_owned();
            name.push(suffix);
            std::fs::metadata(name).map_or(0, |file| file.len())
        };
        Ok(Self {
            at,
            memory: number("VmRSS:").unwrap_or_default() * 1024,
            heap,
            files: std::fs::read_dir(process.join("fd"))?.count() as u64,
            threads: number("Threads:").unwrap_or_default(),
            file: size(""),
            wal: size("-wal"),
        })
    }
}

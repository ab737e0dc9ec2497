//! The CPU time of threads.

use deno_error::JsErrorBox;

/// Returns the system's id of this thread.
#[cfg(target_os = "linux")]
pub(crate) fn id() -> i32 {
    // SAFETY: the function has no preconditions.
    unsafe { libc::gettid() }
}

/// Returns the user and system CPU time of a thread of this process, in microseconds: 0 if it has ended.
#[cfg(target_os = "linux")]
pub(crate) fn cpu_usage(id: i32) -> Result<[f64; 2], JsErrorBox> {
    // SAFETY: the function has no preconditions.
    let ticks_per_second = unsafe { libc::sysconf(libc::_SC_CLK_TCK) };
    let stat = std::fs::read_to_string(format!("/proc/self/task/{id}/stat")).unwrap_or_default();
    let ticks = parse_ticks(&stat).unwrap_or_default();
    Ok(ticks.map(|ticks| ticks as f64 * 1e6 / ticks_per_second as f64))
}

/// Parses the user and system CPU time in a file `stat` of the process file system.
#[cfg(target_os = "linux")]
fn parse_ticks(stat: &str) -> Option<[u64; 2]> {
    // The name of the thread, in parentheses, may contain spaces.
    let (_, fields) = stat.rsplit_once(')')?;
    // The fields after the name begin with the third.
    let mut times = fields.split_ascii_whitespace().skip(11);
    Some([times.next()?.parse().ok()?, times.next()?.parse().ok()?])
}

/// Returns 0, as ids of threads are not used on this system.
#[cfg(not(target_os = "linux"))]
pub(crate) fn id() -> i32 {
    0
}

/// Rejects the call: the CPU time of a thread is not available on this system.
#[cfg(not(target_os = "linux"))]
pub(crate) fn cpu_usage(_id: i32) -> Result<[f64; 2], JsErrorBox> {
    Err(JsErrorBox::new("NotSupported", "the CPU usage of a thread is not available on this system"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::parse_ticks;

    #[test]
    fn cpu_time_follows_a_name_with_spaces_and_parentheses() {
        let stat = "7 (a) b (c) S 1 7 7 0 -1 4194304 10 0 0 0 42 7 0 0 20 0 1 0 100 0 0";
        assert_eq!(parse_ticks(stat), Some([42, 7]));
        for stat in ["", "7 (a", "7 (a) S 1 7", "7 (a) S 1 7 7 0 -1 4194304 10 0 0 0 x 7"] {
            assert_eq!(parse_ticks(stat), None, "{stat:?}");
        }
    }
}

//! The heap limits of isolates.

use std::ffi::c_void;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use deno_core::v8::{CreateParams, Isolate};
use deno_node::ops::worker_threads::{DEFAULT_STACK_SIZE_MB, ResolvedResourceLimits};
use deno_os::sys_info::mem_info;

use crate::environment::Environment;
use crate::extensions::worker::{Link, ResourceLimits};

const MIB: usize = 1 << 20;
/// The heap that a worker needs to start. V8 ends the process if it does not have it.
const MIN_OLD_GENERATION: usize = 16 * MIB;

/// Returns parameters that limit the heap by the memory of the system, as on Deno: the default of V8 is that of a browser tab.
/// Flags of V8 take precedence.
pub(crate) fn create_params() -> Option<CreateParams> {
    let memory = memory(Environment::at_start().use_cgroups)?;
    Some(CreateParams::default().heap_limits_from_system_memory(memory, 0))
}

/// Returns parameters with the limits of a worker, and the limits that result from them and the defaults.
pub(crate) fn limited(limits: &ResourceLimits) -> (CreateParams, ResolvedResourceLimits) {
    let mut params = create_params().unwrap_or_default();
    let bytes = |limit: Option<usize>| limit.filter(|limit| *limit > 0).map(|limit| limit.saturating_mul(MIB));
    if let Some(size) = bytes(limits.max_young_generation_size_mb) {
        params = params.set_max_young_generation_size_in_bytes(size);
    }
    if let Some(size) = bytes(limits.max_old_generation_size_mb) {
        params = params.set_max_old_generation_size_in_bytes(size.max(MIN_OLD_GENERATION));
    }
    if let Some(size) = bytes(limits.code_range_size_mb) {
        params = params.set_code_range_size_in_bytes(size);
    }
    let or = |limit: Option<usize>, default| limit.filter(|limit| *limit > 0).unwrap_or(default);
    let resolved = ResolvedResourceLimits {
        max_young_generation_size_mb: params.max_young_generation_size_in_bytes() / MIB,
        max_old_generation_size_mb: or(
            limits.max_old_generation_size_mb,
            params.max_old_generation_size_in_bytes() / MIB,
        ),
        code_range_size_mb: params.code_range_size_in_bytes() / MIB,
        stack_size_mb: or(limits.stack_size_mb, DEFAULT_STACK_SIZE_MB),
    };
    (params, resolved)
}

/// Terminates a worker whose heap reaches its limit.
pub(crate) struct HeapGuard {
    link: Arc<Link>,
    is_reached: AtomicBool,
}

impl HeapGuard {
    pub fn new(link: Arc<Link>) -> Self {
        Self { link, is_reached: AtomicBool::new(false) }
    }

    /// Watches the heap of an isolate, which must be dropped before the guard.
    pub fn watch(&self, isolate: &mut Isolate) {
        isolate.add_near_heap_limit_callback(near_limit, std::ptr::from_ref(self).cast_mut().cast());
    }

    /// Returns whether the heap has reached its limit.
    pub fn is_reached(&self) -> bool {
        self.is_reached.load(Ordering::Relaxed)
    }
}

/// Terminates the worker, and raises the limit: its JavaScript is interrupted only after the allocation. V8 calls this again
/// when the heap reaches the new limit.
unsafe extern "C" fn near_limit(guard: *mut c_void, limit: usize, _initial: usize) -> usize {
    // SAFETY: `HeapGuard::watch` passes a guard that outlives the isolate.
    let guard = unsafe { &*guard.cast::<HeapGuard>() };
    guard.is_reached.store(true, Ordering::Relaxed);
    guard.link.terminate();
    limit.saturating_add(limit / 2)
}

/// Returns the memory that is available to the process, in bytes: that of the system, or of its control group.
fn memory(use_cgroups: bool) -> Option<u64> {
    let total = mem_info().map(|memory| memory.total).filter(|total| *total > 0)?;
    if !use_cgroups {
        return Some(total);
    }
    let groups = fs::read_to_string("/proc/self/cgroup").unwrap_or_default();
    let limit = cgroup_limit(&groups, Path::new("/sys/fs/cgroup"));
    // The value of a group without a limit exceeds the memory of any system.
    Some(limit.map_or(total, |limit| limit.min(total)))
}

/// Returns the memory limit in bytes of the control group, if it has one. `groups` are the contents of `/proc/self/cgroup`, and
/// the groups are mounted at `root`.
fn cgroup_limit(groups: &str, root: &Path) -> Option<u64> {
    let group = |controller: &str| {
        groups.lines().find_map(|line| {
            let (_, controller_and_path) = line.split_once(':')?;
            let (found, path) = controller_and_path.split_once(':')?;
            (found == controller).then(|| path.trim_start_matches('/'))
        })
    };
    // On a system with both versions, version 1 limits the memory.
    let file = match group("memory") {
        Some(path) => root.join("memory").join(path).join("memory.limit_in_bytes"),
        None => root.join(group("")?).join("memory.max"),
    };
    fs::read_to_string(file).ok()?.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limit_is_that_of_the_control_group() {
        let root = tempfile::tempdir().unwrap();
        for (file, text) in [
            ("memory/of/v1/memory.limit_in_bytes", "100\n"),
            ("memory/memory.limit_in_bytes", "300\n"),
            ("of/v2/memory.max", "200\n"),
            ("unlimited/memory.max", "max\n"),
        ] {
            let file = root.path().join(file);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, text).unwrap();
        }
        for (groups, limit) in [
            ("0::/of/v2\n", Some(200)),
            ("0::/unlimited\n", None),
            ("0::/missing\n", None),
            ("0::/of/v2\n5:devices:/\n4:memory:/of/v1\n", Some(100)),
            ("4:memory:/\n0::/of/v2\n", Some(300)),
            ("4:memory:/missing\n0::/of/v2\n", None),
            ("1:name=systemd:/of/v2\n", None),
            ("no group", None),
            ("", None),
        ] {
            assert_eq!(cgroup_limit(groups, root.path()), limit, "{groups:?}");
        }
    }
}

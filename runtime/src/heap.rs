//! The heap limit of an isolate.

use std::fs;
use std::path::Path;

use deno_core::v8::CreateParams;
use deno_os::sys_info::mem_info;

use crate::environment::Environment;

/// Returns parameters that limit the heap by the memory of the system, as on Deno: the default of V8 is that of a browser tab.
/// Flags of V8 take precedence.
pub(crate) fn create_params() -> Option<CreateParams> {
    let memory = memory(Environment::at_start().use_cgroups)?;
    Some(CreateParams::default().heap_limits_from_system_memory(memory, 0))
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

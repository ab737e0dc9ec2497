//! The Node.js built-in modules of deno_node, and the ops that they require of their host.

use deno_core::{Extension, OpState, op2};
use deno_error::JsErrorBox;
use deno_resolver::npm::{DenoInNpmPackageChecker, NpmResolver};
use deno_terminal::colors::{ColorLevel, get_color_level};
use sys_traits::impls::RealSys;

deno_core::extension!(
    openkv_node,
    deps = [deno_node],
    ops = [
        // Called by deno_node under these names.
        op_bootstrap_color_depth,
        op_bootstrap_unstable_args,
        op_current_thread_cpu_usage,
        op_napi_open,
    ],
    options = { unstable: UnstableFlags },
    state = |state, options| state.put(options.unstable),
    docs = "The ops that the Node.js built-in modules require of their host."
);

/// The error message of an import of `node:sqlite`. It needs SQLite functions whose bindings rusqlite generates at build time.
pub(crate) const NO_SQLITE: &str = "node:sqlite is not supported: building its bindings requires libclang. Use Deno.openKv, or \
    SQLite compiled to WebAssembly";

/// The `--unstable-*` flags that `node:child_process` passes to child processes.
pub(crate) struct UnstableFlags(pub Vec<String>);

/// Returns the extension of the built-in modules, for lazy initialization.
pub(super) fn modules() -> Extension {
    deno_node::deno_node::lazy_init::<DenoInNpmPackageChecker, NpmResolver<RealSys>, RealSys>()
}

/// Returns the color depth of the terminal in bits.
#[op2(fast)]
fn op_bootstrap_color_depth() -> i32 {
    match get_color_level() {
        ColorLevel::None => 1,
        ColorLevel::Ansi => 4,
        ColorLevel::Ansi256 => 8,
        ColorLevel::TrueColor => 24,
    }
}

/// Returns the flags that child processes inherit if they run this program.
#[op2]
fn op_bootstrap_unstable_args(state: &mut OpState) -> Vec<String> {
    state.borrow::<UnstableFlags>().0.clone()
}

/// Writes the user and system CPU time of this thread, in microseconds.
#[cfg(target_os = "linux")]
#[op2(fast)]
fn op_current_thread_cpu_usage(#[buffer] usage: &mut [f64]) -> Result<(), JsErrorBox> {
    // SAFETY: all-zero bytes are a valid value of this structure of integers.
    let mut times: libc::rusage = unsafe { std::mem::zeroed() };
    // SAFETY: the pointer is valid for writes of the structure that the function fills.
    if unsafe { libc::getrusage(libc::RUSAGE_THREAD, &raw mut times) } != 0 {
        return Err(JsErrorBox::from_err(std::io::Error::last_os_error()));
    }
    let microseconds = |time: libc::timeval| time.tv_sec as f64 * 1e6 + time.tv_usec as f64;
    for (target, time) in usage.iter_mut().zip([times.ru_utime, times.ru_stime]) {
        *target = microseconds(time);
    }
    Ok(())
}

/// Rejects the call: the CPU time of a thread is not available on this system.
#[cfg(not(target_os = "linux"))]
#[op2(fast)]
fn op_current_thread_cpu_usage(#[buffer] _usage: &mut [f64]) -> Result<(), JsErrorBox> {
    Err(JsErrorBox::new("NotSupported", "process.threadCpuUsage() is not supported on this system"))
}

/// Rejects native addons.
#[op2(fast)]
fn op_napi_open(#[string] path: &str) -> Result<(), JsErrorBox> {
    Err(JsErrorBox::new(
        "NotSupported",
        format!("failed to load \"{path}\": native addons are not supported. Use a package that does not need one"),
    ))
}

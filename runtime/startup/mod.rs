//! How a released binary is laid out, so that it starts fast and in little memory: functions that run at startup stand
//! together, instead of scattered over 60 MB, and what the loader has to relocate is written down in a compact form.
//!
//! `every.txt` names the functions that every script runs, `common.txt` those that many scripts run. `cargo xtask startup`
//! writes both. A name that is out of date does no harm.

use std::fmt::Write;
use std::path::Path;
use std::process::Command;
use std::{env, fs};

/// If it is set, the binary is linked as the toolchain does it by itself.
const PLAIN: &str = "OPENKV_PLAIN_LINK";

/// Tells cargo the arguments for the linker.
pub fn lay_out(out: &Path) {
    println!("cargo:rerun-if-changed=startup");
    println!("cargo:rerun-if-env-changed={PLAIN}");
    let variable = |name| env::var(name).unwrap_or_default();
    let is_plain = env::var_os(PLAIN).is_some_and(|value| !value.is_empty());
    let is_native = variable("TARGET") == "x86_64-unknown-linux-gnu" && variable("HOST") == variable("TARGET");
    if is_plain || !is_native || variable("PROFILE") != "release" {
        return;
    }
    let mut order = order(out);
    // Merges functions with the same code.
    order.push("-Wl,--icf=all".into());
    // Needs glibc 2.36, here and where the binary shall run.
    let packed = [order.as_slice(), &["-Wl,-z,pack-relative-relocs".into()]].concat();
    if let Some(args) = [packed, order].into_iter().find(|args| works(args, out)) {
        for arg in args {
            println!("cargo:rustc-link-arg-bins={arg}");
        }
    }
}

/// Returns the linker arguments that group the functions. lld takes exact names in an order, at no cost; and, in a linker
/// script, patterns, which it tries on everything: each takes some milliseconds.
fn order(out: &Path) -> Vec<String> {
    let read = |name| fs::read_to_string(name).expect("the names of functions are part of the sources");
    let (every, common) = (read("startup/every.txt"), read("startup/common.txt"));
    let order = out.join("startup.order");
    fs::write(&order, format!("{every}{common}")).expect("OUT_DIR is writable");

    // The first line tells which compiler gave the names.
    let is_current = every.lines().next() == Some(&format!("# {}", rustc_version()));
    let is_stale = |name: &&str| name.contains(".llvm.") || !is_current;
    let mut patterns: Vec<_> = every.lines().filter(is_stale).filter_map(pattern).collect();
    patterns.sort();
    patterns.dedup();
    let mut sections = String::from("SECTIONS {\n.text.openkv_startup : {\n");
    for pattern in patterns {
        // What seldom runs has a prefix. Some of it runs at startup.
        writeln!(sections, "*(.text.{pattern} .text.unlikely.{pattern})").expect("a string takes all");
    }
    sections.push_str("}\n} INSERT BEFORE .text;\n");
    let script = out.join("startup.ld");
    fs::write(&script, sections).expect("OUT_DIR is writable");

    vec![
        format!("-Wl,--symbol-ordering-file={}", order.display()),
        "-Wl,--no-warn-symbol-ordering".into(),
        format!("-Wl,-T,{}", script.display()),
    ]
}

/// The name of a Rust function, with a `*` for what depends on the compiler or on where the sources lie: the hash and the
/// suffix of the one scheme, the hashes of crates and the suffix of the other. None for what is not Rust.
fn pattern(name: &str) -> Option<String> {
    if let Some(path) = name.strip_prefix("_R") {
        let mut parts = path.split(".llvm.").next()?.split("Cs");
        let mut pattern = format!("_R{}", parts.next()?);
        for part in parts {
            // A hash of some ten letters and digits, and an underscore. Anything else is part of a name.
            let end = part.find('_').filter(|end| *end >= 8);
            pattern += "Cs";
            pattern += end.map_or("", |_| "*");
            pattern += &part[end.unwrap_or(0)..];
        }
        return Some(pattern + "*");
    }
    let (path, _) = name.split_once("17h").filter(|(_, hash)| hash.as_bytes().get(16) == Some(&b'E'))?;
    Some(format!("{path}17h*"))
}

/// Whether the linker in use takes the arguments, and the loader its output. Only lld does, with which rustc links by
/// default.
fn works(args: &[String], out: &Path) -> bool {
    let (source, probe) = (out.join("probe.rs"), out.join("probe"));
    fs::write(&source, "fn main() {}").expect("OUT_DIR is writable");
    let flags = env::var("CARGO_ENCODED_RUSTFLAGS").unwrap_or_default();
    let mut rustc = rustc();
    rustc.arg(source).arg("-o").arg(&probe).args(flags.split('\x1f').filter(|flag| !flag.is_empty()));
    rustc.args(env::var("RUSTC_LINKER").ok().map(|linker| format!("-Clinker={linker}")));
    rustc.args(args.iter().map(|arg| format!("-Clink-arg={arg}")));
    let succeeds = |command: &mut Command| command.output().is_ok_and(|output| output.status.success());
    succeeds(&mut rustc) && succeeds(&mut Command::new(probe))
}

fn rustc() -> Command {
    Command::new(env::var_os("RUSTC").expect("cargo sets RUSTC"))
}

/// As in `rustc 1.95.0 (59807616e 2026-04-14)`.
fn rustc_version() -> String {
    let output = rustc().arg("--version").output().expect("the compiler runs");
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

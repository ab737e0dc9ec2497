//! Compiles what the snapshot did not evaluate, so that a script that needs it finds it compiled. V8 takes that only where its
//! flags are the same, and a process that makes a snapshot has others. So the build script runs itself once more for this.

use std::fmt::Write;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::{env, fs};

use deno_core::{JsRuntime, RuntimeOptions, v8};

/// A source that is loaded on first use.
#[derive(Clone)]
pub struct Source {
    pub specifier: String,
    /// Whether it is a module, and no script.
    pub is_module: bool,
    /// The file that has the text as it is compiled.
    pub path: PathBuf,
}

/// Where V8 expects what it reads to begin.
const ALIGNMENT: usize = 8;

/// The argument of the process that compiles.
const COMPILE: &str = "compile";

/// The file in which the build script tells that process the sources.
const LIST: &str = "lazy.list";

/// Compiles sources, in another process.
pub fn write(out: &Path, sources: &[Source]) {
    let mut list = String::new();
    for Source { specifier, is_module, path } in sources {
        writeln!(list, "{specifier}\t{is_module}\t{}", path.display()).expect("a string takes all");
    }
    fs::write(out.join(LIST), list).expect("OUT_DIR is writable");
    let program = env::current_exe().expect("the build script has a path");
    let status = Command::new(program).arg(COMPILE).status().expect("the build script can be run");
    assert!(status.success(), "the sources that are loaded on first use could not be compiled: {status}");
}

/// Returns whether this is the process that compiles, which has done that then.
pub fn is_done(out: &Path) -> bool {
    if env::args().nth(1).is_none_or(|argument| argument != COMPILE) {
        return false;
    }
    let list = fs::read_to_string(out.join(LIST)).expect("the build script has written the list");
    let sources: Vec<_> = list.lines().map(read).collect();
    compile_all(out, &sources);
    true
}

/// Reads a line of the list.
fn read(line: &str) -> Source {
    let [specifier, is_module, path] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line:?}") };
    Source { specifier: specifier.into(), is_module: is_module == "true", path: path.into() }
}

/// Writes the compiled sources, one after another, and a table of their places in Rust.
fn compile_all(out: &Path, sources: &[Source]) {
    // V8 has tasks for later, which the runtime spawns.
    let tokio = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("threads can be created");
    let _entered = tokio.enter();
    let mut runtime = JsRuntime::new(RuntimeOptions::default());
    deno_core::scope!(scope, &mut runtime);
    let (mut compiled, mut table) = (Vec::new(), Vec::new());
    for source in sources {
        let start = compiled.len();
        compiled.extend(compile(scope, source));
        table.push((&source.specifier, start..compiled.len()));
        compiled.resize(compiled.len().next_multiple_of(ALIGNMENT), 0);
    }
    table.sort_by_key(|(specifier, _)| *specifier);
    let mut rows = String::from("&[");
    for (specifier, range) in table {
        write!(rows, "({specifier:?}, {range:?}),").expect("a string takes all");
    }
    rows.push(']');
    fs::write(out.join("code_cache.bin"), compiled).expect("OUT_DIR is writable");
    fs::write(out.join("code_cache.rs"), rows).expect("OUT_DIR is writable");
}

fn compile(scope: &mut v8::PinScope, Source { specifier, is_module, path }: &Source) -> Vec<u8> {
    let text = fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let string = |text: &str| v8::String::new(scope, text).expect("the text is short enough");
    let (name, text, parameter) = (string(specifier), string(&text), string("__bootstrap"));
    let origin = v8::ScriptOrigin::new(scope, name.into(), 0, 0, false, -1, None, false, false, *is_module, None);
    let mut source = v8::script_compiler::Source::new(text, Some(&origin));
    let compiled = if *is_module {
        let module = v8::script_compiler::compile_module(scope, &mut source);
        module.and_then(|module| module.get_unbound_module_script(scope).create_code_cache())
    } else {
        let function = v8::script_compiler::compile_function(
            scope,
            &mut source,
            &[parameter],
            &[],
            v8::script_compiler::CompileOptions::NoCompileOptions,
            v8::script_compiler::NoCacheReason::NoReason,
        );
        function.and_then(|function| function.create_code_cache())
    };
    compiled.unwrap_or_else(|| panic!("{specifier} does not compile")).to_vec()
}

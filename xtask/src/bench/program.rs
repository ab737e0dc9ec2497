//! A program of many modules, whose startup is measured. It is generated, as its size alone matters.

use std::fmt::Write;
use std::path::Path;
use std::{fs, io};

/// The number of modules that the main module imports, and uses.
const MODULES: usize = 100;
/// The number of functions of a module, which make it 7 KB long.
const FUNCTIONS: usize = 30;

/// Writes the modules into a directory, with the main module `main.ts`.
pub fn write(directory: &Path) -> io::Result<()> {
    fs::create_dir_all(directory)?;
    let mut module = String::new();
    for i in 0..FUNCTIONS {
        let function = format!(
            "export interface Entry{i} {{\n  count: number;\n  name?: string;\n}}\n\n/** Adds up what entry {i} stands for. */\n\
             export function sum{i}(entry: Entry{i}): number {{\n  let sum = 0;\n  for (let k = 0; k < entry.count; k++) {{\n    \
             sum += k * {i};\n  }}\n  return sum as number;\n}}\n\n"
        );
        module.push_str(&function);
    }
    let (mut imports, mut uses) = (String::new(), String::new());
    for i in 0..MODULES {
        fs::write(directory.join(format!("module{i}.ts")), &module)?;
        writeln!(imports, "import {{ sum3 as sum{i} }} from \"./module{i}.ts\";")
            .expect("writing to a string cannot fail");
        writeln!(uses, "sum += sum{i}({{ count: {i} }});").expect("writing to a string cannot fail");
    }
    fs::write(directory.join("main.ts"), format!("{imports}\nlet sum = 0;\n{uses}"))
}

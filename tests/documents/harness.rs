//! The harnesses of the blocks: the block `testdata/documents/NAME.ts` runs within `tests/documents/NAME.ts`, a script
//! that supplies what the text omits, and checks what it says. Lines of it that start with `//#` are directives:
//!
//! - `block` inserts the block; `block 4` and `block 4-5` insert some of its lines.
//! - ``replace `X` with `Y` `` replaces text in the next `block` only.
//! - `because REASON` states why a block does not run unchanged, or contains no code.
//! - `flags FLAGS` are the flags of `openkv run`. Scripts have no other permissions.

use crate::support::{Sandbox, read_repository};

pub struct Harness {
    /// The document and the file: `1-guide/01.ts`.
    pub name: String,
    /// The harness with the block in it.
    script: String,
    flags: Vec<String>,
    pub runs: Runs,
}

/// How a block runs, with the reason if it does not run unchanged.
pub enum Runs {
    Unchanged,
    Corrected(String),
    WithoutCode(String),
}

impl Harness {
    /// Reads the harness of a block, and inserts the block. Panics if the harness is invalid.
    pub fn read(name: &str, block: &str) -> Self {
        let lines: Vec<&str> = block.split_inclusive('\n').collect();
        let mut used = vec![false; lines.len()];
        let mut changed = false;
        let mut replacements: Vec<(&str, &str)> = Vec::new();
        let mut reason = None;
        let mut flags = Vec::new();
        let mut script = String::new();

        let text = read_repository(&format!("tests/documents/{name}"));
        for line in text.split_inclusive('\n') {
            let Some(marker) = line.trim().strip_prefix("//# ") else {
                script.push_str(line);
                continue;
            };
            let (word, rest) = marker.split_once(' ').unwrap_or((marker, ""));
            match word {
                "because" => reason = Some(rest.to_owned()),
                "flags" => flags.extend(rest.split(' ').map(str::to_owned)),
                "replace" => {
                    let pair = rest.strip_prefix('`').and_then(|rest| rest.strip_suffix('`'));
                    let pair = pair.and_then(|pair| pair.split_once("` with `"));
                    replacements.push(pair.unwrap_or_else(|| panic!("{name}: invalid replacement: {line}")));
                }
                "block" => {
                    changed |= !rest.is_empty() || !replacements.is_empty();
                    let range = range(rest, lines.len())
                        .unwrap_or_else(|| panic!("{name}: the block has no such lines: {line}"));
                    used[range.clone()].fill(true);
                    let mut part = lines[range].concat();
                    for (old, new) in replacements.drain(..) {
                        assert!(part.contains(old), "{name}: the block does not contain {old}");
                        part = part.replace(old, new);
                    }
                    script.push_str(&part);
                }
                _ => panic!("{name}: unknown directive: {line}"),
            }
        }

        let unused = lines.iter().zip(used).find(|(line, used)| !used && !line.trim().is_empty());
        assert!(unused.is_none(), "{name}: omits a line of the block: {unused:?}");
        assert!(replacements.is_empty(), "{name}: no block follows the replacements {replacements:?}");
        let has_code = lines.iter().map(|line| line.trim()).any(|line| !line.is_empty() && !line.starts_with("//"));
        let runs = match reason {
            None if has_code && !changed => Runs::Unchanged,
            Some(reason) if has_code && changed => Runs::Corrected(reason),
            Some(reason) if !has_code && !changed => Runs::WithoutCode(reason),
            None => panic!("{name}: states no reason why the block does not run unchanged"),
            Some(reason) => panic!("{name}: the block runs unchanged, although {reason}"),
        };
        Self { name: name.to_owned(), script, flags, runs }
    }

    /// Runs the script in a temporary directory.
    ///
    /// # Errors
    /// The exit code and the output of a script that fails.
    pub fn run(&self) -> Result<(), String> {
        let sandbox = Sandbox::new();
        for shared in ["documents/harness.ts", "conformance/harness.ts"] {
            sandbox.write(shared, read_repository(&format!("tests/{shared}")));
        }
        let path = format!("documents/{}", self.name);
        sandbox.write(&path, &self.script);
        let args = ["run"].into_iter().chain(self.flags.iter().map(String::as_str)).chain([path.as_str()]);
        let output = sandbox.openkv(args);
        match (output.code, output.stdout.as_str(), output.stderr.as_str()) {
            (Some(0), "", "") => Ok(()),
            (code, stdout, stderr) => Err(format!("{}: exits with {code:?}\n{stdout}{stderr}", self.name)),
        }
    }
}

/// Parses a range of lines such as `4-5` or `4`, counted from 1. An empty one selects all lines.
fn range(text: &str, lines: usize) -> Option<std::ops::Range<usize>> {
    if text.is_empty() {
        return Some(0..lines);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
    (1 <= first && first <= last && last <= lines).then(|| first - 1..last)
}

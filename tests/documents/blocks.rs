//! The TypeScript blocks of the documents in `testdata/documents`.

use std::collections::BTreeMap;
use std::fs;

use crate::support::{read_repository, repository};

/// Returns the TypeScript blocks of a document, in order, byte for byte. Lines within an indented fence lose up to the indentation of the
/// fence.
pub fn blocks(document: &str) -> Vec<String> {
    let text = read_repository(&format!("testdata/documents/{document}.md"));
    let mut lines = text.split_inclusive('\n');
    let mut blocks = Vec::new();
    while let Some(line) = lines.next() {
        let fence = line.trim_start_matches(' ');
        let Some(language) = fence.strip_prefix("```") else { continue };
        let indentation = line.len() - fence.len();
        let block = lines.by_ref().take_while(|line| line.trim() != "```").map(|line| unindent(line, indentation));
        let block: String = block.collect();
        if ["ts", "tsx", "typescript"].contains(&language.trim()) {
            blocks.push(block);
        }
    }
    blocks
}

fn unindent(line: &str, indentation: usize) -> &str {
    let spaces = line.len() - line.trim_start_matches(' ').len();
    &line[spaces.min(indentation)..]
}

/// Returns the expected files of the blocks of a document: 01.ts is the first.
pub fn files(document: &str) -> BTreeMap<String, String> {
    blocks(document).into_iter().zip(1..).map(|(block, number)| (format!("{number:02}.ts"), block)).collect()
}

/// Reads the files of a directory of the repository. Returns none if it does not exist.
pub fn read_directory(directory: &str) -> BTreeMap<String, String> {
    let Ok(files) = fs::read_dir(repository(directory)) else { return BTreeMap::new() };
    let names = files.map(|file| file.unwrap().file_name().into_string().expect("names of files are UTF-8"));
    names.map(|name| (name.clone(), read_repository(&format!("{directory}/{name}")))).collect()
}

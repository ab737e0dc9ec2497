//! The TypeScript blocks of the documents, which lie in `testdata/documents`.

use std::collections::BTreeMap;
use std::fs;

use crate::support::{read_repository, repository};

/// The blocks of a document, in its order: what stands between a fence that names TypeScript and the fence that closes
/// it, byte for byte. Lines within an indented fence, as lists have them, lose as much indentation as the fence has, so
/// far as they have it.
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

/// The files that the blocks of a document are to be: 01.ts is the first.
pub fn files(document: &str) -> BTreeMap<String, String> {
    blocks(document).into_iter().zip(1..).map(|(block, number)| (format!("{number:02}.ts"), block)).collect()
}

/// The files of a directory of the repository: none, if there is no such directory.
pub fn read_directory(directory: &str) -> BTreeMap<String, String> {
    let Ok(files) = fs::read_dir(repository(directory)) else { return BTreeMap::new() };
    let names = files.map(|file| file.unwrap().file_name().into_string().expect("names of files are UTF-8"));
    names.map(|name| (name.clone(), read_repository(&format!("{directory}/{name}")))).collect()
}

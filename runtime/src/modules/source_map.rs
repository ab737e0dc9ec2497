//! Inline source maps at the end of modules, as Deno's emitter writes them.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use memchr::memrchr2;

const PREFIX: &str = "//# sourceMappingURL=data:application/json;base64,";

/// Returns the offset of the source map in the last line of a module. Without it, V8 parses the module faster.
pub(super) fn start(code: &[u8]) -> Option<usize> {
    let end = code.trim_ascii_end();
    let line = memrchr2(b'\n', b'\r', end).map_or(0, |at| at + 1);
    end[line..].starts_with(PREFIX.as_bytes()).then_some(line)
}

/// Decodes the source map in the last line of a module.
pub(super) fn decode(code: &[u8]) -> Option<Vec<u8>> {
    let map = code[start(code)?..].trim_ascii_end();
    BASE64_STANDARD.decode(&map[PREFIX.len()..]).ok()
}

#[cfg(test)]
mod tests {
    use super::{decode, start};

    #[test]
    fn source_map_is_found_in_the_last_line_only() {
        let map = "//# sourceMappingURL=data:application/json;base64,e30=";
        let code = format!("a();\n{map}\n \n");
        assert_eq!((start(code.as_bytes()), decode(code.as_bytes())), (Some(5), Some(b"{}".to_vec())));
        assert_eq!(start(map.as_bytes()), Some(0));
        for code in ["", "\n", "a();", &format!("{map}\na();"), &format!("a(); {map}")] {
            assert_eq!((start(code.as_bytes()), decode(code.as_bytes())), (None, None), "{code}");
        }
        let corrupt = format!("{map}!");
        assert_eq!((start(corrupt.as_bytes()), decode(corrupt.as_bytes())), (Some(0), None));
    }
}

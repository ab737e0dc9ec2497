//! Files with environment variables, one `NAME=value` per line, in the format that Deno accepts.

use std::collections::HashSet;
use std::env;
use std::ffi::OsString;

use deno_os::ProcessEnvGuard;

/// Sets the variables in these files that are not set yet. Later files take precedence over earlier ones, and within a file
/// the first line of a name. Returns a message for each file that could not be read.
///
/// # Safety
/// There must be no other thread: the environment of a process has no lock.
pub(super) unsafe fn load(files: &[String]) -> Vec<String> {
    // SAFETY: the caller guarantees that there is no other thread.
    apply(files, |name| env::var_os(name).is_none(), |name, value| unsafe { env::set_var(name, value) })
}

/// Sets the variables in these files again, except those in `inherited`, the names that were set before the files were first
/// loaded.
pub(super) fn reload(files: &[String], inherited: &HashSet<OsString>) -> Vec<String> {
    let environment = ProcessEnvGuard::lock();
    let mut known = inherited.clone();
    apply(files, |name| known.insert(name.into()), |name, value| environment.set_var(name, value))
}

fn apply(files: &[String], mut is_wanted: impl FnMut(&str) -> bool, mut set: impl FnMut(&str, String)) -> Vec<String> {
    let mut errors = vec![];
    for file in files.iter().rev() {
        match std::fs::read_to_string(file) {
            Ok(text) => {
                for Line { name, value } in lines(text.strip_prefix('\u{feff}').unwrap_or(&text)) {
                    if is_wanted(name) {
                        set(name, value.expand(|name| env::var(name).unwrap_or_default()));
                    }
                }
            }
            Err(error) => errors.push(format!("Failed to read the environment file \"{file}\": {error}")),
        }
    }
    errors
}

#[derive(Debug, PartialEq)]
struct Line<'a> {
    name: &'a str,
    value: Value<'a>,
}

/// A value as written in the file, by its quotes.
#[derive(Debug, PartialEq)]
enum Value<'a> {
    /// No quotes: variables are expanded.
    Bare(&'a str),
    /// `"`: variables are expanded, and `\n` is a line break.
    Double(&'a str),
    /// `'` or a backtick: taken literally.
    Literal(&'a str),
}

/// Iterates over the lines that set a variable.
fn lines(text: &str) -> impl Iterator<Item = Line<'_>> {
    let mut rest = text;
    std::iter::from_fn(move || {
        while !rest.is_empty() {
            let start = rest.trim_start();
            let (line, after) = start.split_once('\n').unwrap_or((start, ""));
            rest = after;
            let Some((name, value)) = line.split_once('=').filter(|_| !line.starts_with('#')) else { continue };
            let name = name.strip_prefix("export ").unwrap_or(name).trim();
            // A quoted value may span lines.
            let value_and_rest = &start[line.len() - value.len()..];
            let value = match quoted(value_and_rest.trim_start_matches([' ', '\t'])) {
                Some((value, after)) => {
                    rest = after.split_once('\n').map_or("", |(_, after)| after);
                    value
                }
                None => Value::Bare(value.split('#').next().unwrap_or_default().trim()),
            };
            // An environment cannot have other variables.
            if !name.is_empty() && !name.contains('\0') && !value.text().contains('\0') {
                return Some(Line { name, value });
            }
        }
        None
    })
}

/// Parses a quoted value. Returns it with the text after it, or `None` without an opening or a closing quote.
fn quoted(text: &str) -> Option<(Value<'_>, &str)> {
    let quote = text.chars().next().filter(|c| ['"', '\'', '`'].contains(c))?;
    let text = &text[1..];
    let mut escaped = false;
    let end = text.find(|c| {
        let found = c == quote && !escaped;
        escaped = c == '\\' && !escaped;
        found
    })?;
    let value = if quote == '"' { Value::Double(&text[..end]) } else { Value::Literal(&text[..end]) };
    Some((value, &text[end + 1..]))
}

impl<'a> Value<'a> {
    fn text(&self) -> &'a str {
        let (Self::Bare(text) | Self::Double(text) | Self::Literal(text)) = self;
        text
    }

    /// Returns the value of the variable, with `$NAME` and `${NAME}` expanded.
    fn expand(&self, lookup: impl Fn(&str) -> String) -> String {
        let text = match self {
            Self::Bare(text) => (*text).to_owned(),
            Self::Double(text) => text.replace("\\n", "\n"),
            Self::Literal(text) => return (*text).to_owned(),
        };
        let mut expanded = String::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once('$') {
            if let Some(before) = before.strip_suffix('\\') {
                expanded.push_str(before);
                expanded.push('$');
                rest = after;
                continue;
            }
            expanded.push_str(before);
            let name;
            (name, rest) = match after.strip_prefix('{') {
                Some(after) => after.split_once('}').unwrap_or((after, "")),
                None => {
                    let end = after.find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
                    after.split_at(end.unwrap_or(after.len()))
                }
            };
            expanded.push_str(&lookup(name));
        }
        expanded + rest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The expected values are Deno's, with A set to 1.
    #[test]
    fn lines_are_parsed_as_on_deno() {
        let lookup = |name: &str| if name == "A" { "1".into() } else { String::new() };
        for (text, expected) in [
            ("K=v", &[("K", "v")][..]),
            (" # K=v\n\nK\n=v\n", &[]),
            ("  K =  a b \t\r\nexport L=2\nK.1-x=3", &[("K", "a b"), ("L", "2"), ("K.1-x", "3")]),
            ("K=a#b\nL=\"#\"#c\nM= #c", &[("K", "a"), ("L", "#"), ("M", "")]),
            ("K=p=q", &[("K", "p=q")]),
            ("K=\"a\nb\" c\nL='\n'\nM=`\"'`", &[("K", "a\nb"), ("L", "\n"), ("M", "\"'")]),
            ("K=\"open\nL=1", &[("K", "\"open"), ("L", "1")]),
            (r#"K="\n\t\"\\n""#, &[("K", "\n\\t\\\"\\\n")]),
            (r"K=a\nb", &[("K", r"a\nb")]),
            (r"K='it\'s\n $A'", &[("K", r"it\'s\n $A")]),
            ("K=$A-${A}-\"$A\"", &[("K", "1-1-\"1\"")]),
            ("K=\"${A}$A.${NO}$NO$\"\nL=`$A`", &[("K", "11."), ("L", "$A")]),
            (r"K=\$A\\$A", &[("K", r"$A\$A")]),
            ("K=${A\nL=$A_B", &[("K", "1"), ("L", "")]),
            ("K=a\0b\nL=1", &[("L", "1")]),
        ] {
            let read: Vec<_> = lines(text).map(|line| (line.name, line.value.expand(lookup))).collect();
            let read: Vec<_> = read.iter().map(|(name, value)| (*name, value.as_str())).collect();
            assert_eq!(read, expected, "{text:?}");
        }
    }
}

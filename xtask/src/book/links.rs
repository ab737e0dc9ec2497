//! The links and headings of a document in Markdown, in the form in which our documents write them.

use std::ops::Range;

/// A link or an image, `[text](target)`.
#[derive(Debug, PartialEq, Eq)]
pub struct Link<'a> {
    pub line: usize,
    pub text: &'a str,
    pub target: &'a str,
    /// The bytes of the link in its document.
    range: Range<usize>,
}

/// Returns the links outside of code blocks.
pub fn links(document: &str) -> Vec<Link<'_>> {
    let mut links = Vec::new();
    for (number, start, line) in prose(document) {
        let mut position = 0;
        while let Some(middle) = line[position..].find("](").map(|offset| position + offset) {
            let Some(end) = line[middle..].find(')').map(|offset| middle + offset) else { break };
            if let Some(begin) = line[..middle].rfind('[').filter(|begin| *begin >= position) {
                links.push(Link {
                    line: number,
                    text: &line[begin + 1..middle],
                    target: &line[middle + 2..end],
                    range: start + begin..start + end + 1,
                });
            }
            position = end + 1;
        }
    }
    links
}

/// Returns the document with the text of some links instead of the links.
pub fn without(document: &str, is_left_out: impl Fn(&str) -> bool) -> String {
    let mut result = String::new();
    let mut copied = 0;
    for link in links(document).into_iter().filter(|link| is_left_out(link.target)) {
        result += &document[copied..link.range.start];
        result += link.text;
        copied = link.range.end;
    }
    result + &document[copied..]
}

/// Returns the fragments by which links refer to the headings.
pub fn headings(document: &str) -> Vec<String> {
    let is_kept = |c: &char| c.is_alphanumeric() || "-_ ".contains(*c);
    let fragment =
        |text: &str| text.trim().to_lowercase().chars().filter(is_kept).collect::<String>().replace(' ', "-");
    let lines = prose(document).filter(|(.., line)| line.starts_with('#'));
    lines.map(|(.., line)| fragment(line.trim_start_matches('#'))).collect()
}

/// Returns the lines outside of code blocks: their number, their first byte, and their text.
fn prose(document: &str) -> impl Iterator<Item = (usize, usize, &str)> {
    let mut in_code = false;
    let mut position = 0;
    document.split_inclusive('\n').zip(1..).filter_map(move |(line, number)| {
        let start = position;
        position += line.len();
        let is_fence = line.trim_start().starts_with("```");
        in_code ^= is_fence;
        (!in_code && !is_fence).then_some((number, start, line))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const DOCUMENT: &str = "# A `b`, c\n[x](y.md) and ![z](../z.svg#q)\n```\n[no](link)\n# no\n```\n## End\n[a](b)\n";

    #[test]
    fn links_outside_of_code_are_found() {
        let found: Vec<_> = links(DOCUMENT).into_iter().map(|link| (link.line, link.text, link.target)).collect();
        assert_eq!(found, [(2, "x", "y.md"), (2, "z", "../z.svg#q"), (8, "a", "b")]);
    }

    #[test]
    fn left_out_links_become_their_text() {
        let text = without("see [x](../y) and [z](w).", |target| target.starts_with("../"));
        assert_eq!(text, "see x and [z](w).");
    }

    #[test]
    fn headings_have_fragments() {
        assert_eq!(headings(DOCUMENT), ["a-b-c", "end"]);
    }
}

//! Completion with the Tab key: names of the global scope, and properties.

use std::collections::BTreeSet;

use deno_core::serde_json::{Value, json};

use super::session::Session;

/// The group of objects that the inspector holds for a completion.
const OBJECT_GROUP: &str = "completion";

impl Session {
    /// Completes the input before the cursor. Returns the start of the word to replace, in bytes, and the candidates, in
    /// alphabetical order.
    pub fn complete(&mut self, typed: &str) -> (usize, Vec<String>) {
        let (object, word) = split(typed);
        let mut names = BTreeSet::new();
        match object {
            Some(object) => self.add_properties(object, &mut names),
            None => {
                let lexical = self.call("Runtime.globalLexicalScopeNames", json!({})).unwrap_or_default();
                names.extend(lexical["names"].as_array().into_iter().flatten().filter_map(text));
                self.add_properties("globalThis", &mut names);
            }
        }
        let _ = self.call("Runtime.releaseObjectGroup", json!({ "objectGroup": OBJECT_GROUP }));
        (typed.len() - word.len(), names.into_iter().filter(|name| name.starts_with(word) && is_word(name)).collect())
    }

    /// Adds the names of the own and inherited properties of an expression's value. Expressions with side effects are not
    /// evaluated.
    fn add_properties(&mut self, expression: &str, names: &mut BTreeSet<String>) {
        // Primitive values have the properties of their wrapper objects.
        let expression =
            format!("(value => value === undefined || value === null ? undefined : Object(value))({expression})");
        let parameters =
            json!({ "expression": expression, "throwOnSideEffect": true, "objectGroup": OBJECT_GROUP, "silent": true });
        let object = self.call("Runtime.evaluate", parameters).unwrap_or_default();
        let Some(id) = object["result"].get("objectId").filter(|_| object.get("exceptionDetails").is_none()) else {
            return;
        };
        let parameters = json!({ "objectId": id, "ownProperties": false, "nonIndexedPropertiesOnly": true });
        let properties = self.call("Runtime.getProperties", parameters).unwrap_or_default();
        let properties = properties["result"].as_array().into_iter().flatten();
        names.extend(properties.filter(|property| property.get("symbol").is_none()).filter_map(|it| text(&it["name"])));
    }
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(Into::into)
}

/// Splits the input into the expression of an object, if there is one, and the word to complete: `a.b.c` into `a.b` and `c`.
fn split(typed: &str) -> (Option<&str>, &str) {
    let is_part = |c: char| c.is_alphanumeric() || matches!(c, '_' | '$' | '.' | '?');
    let chain = &typed[typed.trim_end_matches(is_part).len()..];
    match chain.rsplit_once('.') {
        Some((object, word)) => (Some(object.trim_end_matches('?')), word),
        None => (None, chain),
    }
}

/// Returns whether a name can follow a dot.
fn is_word(name: &str) -> bool {
    let mut chars = name.chars();
    let is_letter = |c: char| c.is_alphabetic() || matches!(c, '_' | '$');
    chars.next().is_some_and(is_letter) && chars.all(|c| is_letter(c) || c.is_numeric())
}

#[cfg(test)]
mod tests {
    use super::split;

    #[test]
    fn object_precedes_the_last_dot() {
        for (typed, object, word) in [
            ("", None, ""),
            ("con", None, "con"),
            ("1 + con", None, "con"),
            ("console.", Some("console"), ""),
            ("f(a.b.c", Some("a.b"), "c"),
            ("a?.b", Some("a"), "b"),
            ("f().b", Some(""), "b"),
        ] {
            assert_eq!(split(typed), (object, word), "{typed}");
        }
    }
}

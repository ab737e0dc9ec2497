//! Edits `deno.json` and `package.json`. Comments, order and indentation stay.

use std::path::{Path, PathBuf};

use jsonc_parser::cst::{CstInputValue, CstObject, CstObjectProp, CstRootNode};
use openkv::Registry;

/// The kind of a file.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Kind {
    DenoJson,
    PackageJson,
}

/// The entry of `package.json` for a dependency. `deno.json` has `imports` only.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Section {
    Dependencies,
    DevDependencies,
    OptionalDependencies,
}

impl Section {
    /// All, in the order of the file.
    const ALL: [Self; 3] = [Self::Dependencies, Self::DevDependencies, Self::OptionalDependencies];

    fn name(self) -> &'static str {
        match self {
            Self::Dependencies => "dependencies",
            Self::DevDependencies => "devDependencies",
            Self::OptionalDependencies => "optionalDependencies",
        }
    }
}

/// A package, with the version that was chosen.
pub(super) struct Selected {
    pub alias: String,
    pub registry: Registry,
    pub name: String,
    /// The versions that are accepted from now on.
    pub range: String,
}

/// A file, which is written by [`save`](Self::save).
pub(super) struct Manifest {
    pub kind: Kind,
    pub path: PathBuf,
    is_new: bool,
    root: CstRootNode,
    object: CstObject,
}

impl Manifest {
    /// Reads a file.
    pub fn open(kind: Kind, path: &Path) -> Result<Self, String> {
        let text =
            std::fs::read_to_string(path).map_err(|error| format!("failed to read {}: {error}", path.display()))?;
        Self::parse(kind, path, &text, false)
    }

    /// Reads a file, or prepares a new one.
    pub fn open_or_new(kind: Kind, path: &Path) -> Result<Self, String> {
        if path.exists() { Self::open(kind, path) } else { Self::parse(kind, path, "{}\n", true) }
    }

    fn parse(kind: Kind, path: &Path, text: &str, is_new: bool) -> Result<Self, String> {
        let invalid = |error: &dyn std::fmt::Display| format!("failed to parse {}: {error}", path.display());
        let root = CstRootNode::parse(text, &jsonc_parser::ParseOptions::default()).map_err(|error| invalid(&error))?;
        let object = root.object_value_or_create().ok_or_else(|| invalid(&"it must be an object"))?;
        Ok(Self { kind, path: path.to_owned(), is_new, root, object })
    }

    /// Returns whether the file has an entry.
    pub fn has(&self, entry: &str) -> bool {
        self.object.get(entry).is_some()
    }

    /// Adds a dependency, or replaces it. In `package.json`, it is in one section only.
    pub fn add(&self, selected: &Selected, section: Section) -> Result<(), String> {
        let Selected { alias, registry, name, range } = selected;
        let (list, value) = match self.kind {
            Kind::DenoJson => (
                self.object_of("imports", self.object.properties().len())?,
                format!("{}:{name}@{range}", registry.prefix()),
            ),
            Kind::PackageJson => {
                for other in Section::ALL.into_iter().filter(|other| *other != section) {
                    self.remove_from(other.name(), alias);
                }
                (self.object_of(section.name(), self.index_of(section))?, value_in_package_json(selected))
            }
        };
        let value = CstInputValue::String(value);
        match list.get(alias) {
            Some(entry) => entry.set_value(value),
            None => {
                let is_before = |entry: &CstObjectProp| {
                    let name = entry.name().and_then(|name| name.decoded_value().ok());
                    name.is_some_and(|name| name < *alias)
                };
                let index = list.properties().iter().take_while(|entry| is_before(entry)).count();
                list.insert(index, alias, value);
            }
        }
        Ok(())
    }

    /// Removes a dependency. Returns whether it was there.
    pub fn remove(&self, alias: &str) -> bool {
        let lists: &[&str] = match self.kind {
            Kind::DenoJson => &["imports"],
            Kind::PackageJson => &Section::ALL.map(Section::name),
        };
        lists.iter().filter(|list| self.remove_from(list, alias)).count() > 0
    }

    /// Writes the file.
    pub fn save(&self) -> Result<(), String> {
        std::fs::write(&self.path, self.root.to_string())
            .map_err(|error| format!("failed to write {}: {error}", self.path.display()))
    }

    /// Returns whether the file does not exist yet.
    pub fn is_new(&self) -> bool {
        self.is_new
    }

    /// Returns the object of an entry, which is inserted if it is missing.
    fn object_of(&self, entry: &str, index: usize) -> Result<CstObject, String> {
        let found = match self.object.get(entry) {
            Some(found) => found,
            None => self.object.insert(index, entry, CstInputValue::Object(Vec::new())),
        };
        let object = found.object_value();
        object.ok_or_else(|| format!("the entry \"{entry}\" of {} must be an object", self.path.display()))
    }

    /// Returns where a section belongs: after those that precede it, or before those that follow it.
    fn index_of(&self, section: Section) -> usize {
        let own = Section::ALL.iter().position(|other| *other == section).unwrap_or_default();
        let (before, after) = Section::ALL.split_at(own);
        let found = |section: &Section| self.object.get(section.name());
        match (before.iter().rev().find_map(found), after.iter().find_map(found)) {
            (Some(entry), _) => entry.property_index() + 1,
            (None, Some(entry)) => entry.property_index(),
            (None, None) => self.object.properties().len(),
        }
    }

    /// Removes an entry of a list, and the list if it is empty then. Returns whether the entry was there.
    fn remove_from(&self, list: &str, entry: &str) -> bool {
        let Some(list) = self.object.get(list) else { return false };
        let Some(object) = list.object_value() else { return false };
        let Some(entry) = object.get(entry) else { return false };
        entry.remove();
        if object.properties().is_empty() {
            list.remove();
            self.object.ensure_multiline();
        }
        true
    }
}

/// Returns the value of a dependency in `package.json`. npm knows packages of JSR by other names.
fn value_in_package_json(Selected { alias, registry, name, range }: &Selected) -> String {
    match registry {
        Registry::Npm if alias == name => range.clone(),
        Registry::Npm => format!("npm:{name}@{range}"),
        Registry::Jsr => format!("npm:@jsr/{}@{range}", name.trim_start_matches('@').replace('/', "__")),
    }
}

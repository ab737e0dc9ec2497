use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use deno_core::url::Url;
use glob::{MatchOptions, Pattern, PatternError};

use crate::environment::Environment;

/// The reason why the test modules could not be found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// A path does not exist.
    #[error("No such file or directory: \"{0}\"")]
    NotFound(String),
    /// A directory cannot be read.
    #[error("failed to read {directory:?}: {source}")]
    Unreadable {
        /// The directory.
        directory: PathBuf,
        /// The reason.
        source: io::Error,
    },
    /// A path is not a valid glob pattern.
    #[error("Invalid glob pattern \"{pattern}\": {source}")]
    Pattern {
        /// The path.
        pattern: String,
        /// The reason.
        source: PatternError,
    },
}

const EXTENSIONS: [&str; 8] = ["ts", "tsx", "mts", "cts", "js", "jsx", "mjs", "cjs"];

/// Directories whose modules are never tests of the project.
const SKIPPED: [&str; 2] = ["node_modules", ".git"];

/// Paths and glob patterns, and the directory that they are relative to.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The directory.
    pub base: PathBuf,
    /// The paths.
    pub paths: Vec<String>,
}

impl Paths {
    /// Returns the files and directories where [`discover`] searches.
    ///
    /// # Errors
    /// A pattern is invalid.
    pub fn roots(&self) -> Result<Vec<PathBuf>, DiscoveryError> {
        if self.paths.is_empty() {
            return Ok(vec![self.base.clone()]);
        }
        let local = self.paths.iter().filter(|path| remote(path).is_none());
        let root = |path: &String| match Selector::of(&self.base, path)? {
            Selector::Path(root) | Selector::Pattern { root, .. } => Ok(root),
        };
        local.map(root).collect()
    }
}

/// Finds the test modules at paths and URLs: files themselves, the modules in directories whose names mark them as tests, and all
/// modules that match glob patterns. Without any paths, searches the base. `ignored` excludes files and directories, and includes
/// those again that begin with `!`: the last match takes precedence.
///
/// # Errors
/// A path does not exist, a directory cannot be read, or a pattern is invalid.
pub fn discover(named: &Paths, ignored: &[Paths]) -> Result<Vec<Url>, DiscoveryError> {
    let Paths { base, paths } = named;
    let ignored = ignored
        .iter()
        .flat_map(|Paths { base, paths }| paths.iter().map(move |path| (base, path)))
        .map(|(base, path): (&PathBuf, &String)| match path.strip_prefix('!') {
            Some(path) => Ok((false, Selector::of(base, path)?)),
            None => Ok((true, Selector::of(base, path)?)),
        })
        .collect::<Result<Vec<_>, DiscoveryError>>()?;
    let is_ignored = |path: &Path| {
        ignored.iter().rev().find(|(_, selector)| selector.covers(path)).is_some_and(|(is_ignored, _)| *is_ignored)
    };

    let mut named = vec![];
    let mut found = vec![];
    let everywhere = vec![String::from(".")];
    for path in if paths.is_empty() { &everywhere } else { paths } {
        if let Some(url) = remote(path) {
            named.push(url);
            continue;
        }
        match Selector::of(base, path)? {
            Selector::Path(file) if file.is_dir() => {
                walk(&file, &|path| is_test(path) && !is_ignored(path), &mut found)?
            }
            Selector::Path(file) if file.exists() => named.extend((!is_ignored(&file)).then(|| url_of(&file))),
            Selector::Path(_) => return Err(DiscoveryError::NotFound(path.clone())),
            Selector::Pattern { root, pattern } => {
                let matches =
                    |path: &Path| is_module(path) && pattern.matches_path_with(path, MATCHING) && !is_ignored(path);
                walk(&root, &matches, &mut found)?;
            }
        }
    }
    found.sort_by(|a, b| a.as_os_str().cmp(b.as_os_str()));
    let mut seen = HashSet::new();
    named.extend(found.iter().map(|path| url_of(path)));
    named.retain(|url| seen.insert(url.clone()));
    Ok(named)
}

const MATCHING: MatchOptions =
    MatchOptions { case_sensitive: true, require_literal_separator: true, require_literal_leading_dot: false };

/// A path of the command line.
enum Selector {
    /// A file or directory.
    Path(PathBuf),
    /// A glob pattern, and the last directory without wildcards, where its matches are searched.
    Pattern { root: PathBuf, pattern: Pattern },
}

impl Selector {
    fn of(base: &Path, path: &str) -> Result<Self, DiscoveryError> {
        let local = Url::parse(path).ok().filter(|url| url.scheme() == "file").and_then(|url| url.to_file_path().ok());
        let absolute = local.unwrap_or_else(|| clean(&base.join(path)));
        let has_wildcards = |text: &str| text.contains(['*', '?', '[']);
        if !has_wildcards(path) || absolute.exists() {
            return Ok(Self::Path(absolute));
        }
        let fixed: PathBuf = Path::new(path)
            .components()
            .take_while(|part| !has_wildcards(&part.as_os_str().to_string_lossy()))
            .collect();
        let root = clean(&base.join(fixed));
        // Only the path itself is a pattern: the base may contain wildcard characters.
        let escaped = PathBuf::from(Pattern::escape(&base.to_string_lossy()));
        let pattern = Pattern::new(&clean(&escaped.join(path)).to_string_lossy())
            .map_err(|source| DiscoveryError::Pattern { pattern: path.into(), source })?;
        Ok(Self::Pattern { root, pattern })
    }

    fn covers(&self, path: &Path) -> bool {
        match self {
            Self::Path(covered) => path.starts_with(covered),
            Self::Pattern { pattern, .. } => path.ancestors().any(|path| pattern.matches_path_with(path, MATCHING)),
        }
    }
}

/// Adds the wanted files within a directory.
fn walk(directory: &Path, is_wanted: &dyn Fn(&Path) -> bool, found: &mut Vec<PathBuf>) -> Result<(), DiscoveryError> {
    let unreadable = |source| DiscoveryError::Unreadable { directory: directory.into(), source };
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        // Links to directories are not followed, as they may form cycles.
        if entry.file_type().map_err(unreadable)?.is_dir() {
            let is_cache = Environment::at_start().cache_directory.as_ref().is_ok_and(|cache| *cache == path);
            if !is_cache && !SKIPPED.iter().any(|name| entry.file_name() == *name) {
                walk(&path, is_wanted, found)?;
            }
        } else if is_wanted(&path) {
            found.push(path);
        }
    }
    Ok(())
}

/// Returns whether a module has the name of a test: `test.ts`, `x_test.ts`, `x.test.ts`, or within a directory `__tests__`.
fn is_test(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let named = stem == "test" || stem.ends_with("_test") || stem.ends_with(".test");
    is_module(path) && (named || path.components().any(|part| part.as_os_str() == "__tests__"))
}

fn is_module(path: &Path) -> bool {
    path.extension().is_some_and(|extension| EXTENSIONS.iter().any(|known| extension == *known))
}

/// Parses the URL of a module that is not a file.
fn remote(path: &str) -> Option<Url> {
    Url::parse(path).ok().filter(|url| ["http", "https", "data", "jsr"].contains(&url.scheme()))
}

fn url_of(path: &Path) -> Url {
    Url::from_file_path(path).expect("the path is absolute")
}

/// Removes `.` and `..` from an absolute path.
fn clean(path: &Path) -> PathBuf {
    let mut cleaned = PathBuf::new();
    for part in path.components() {
        match part {
            Component::CurDir => {}
            Component::ParentDir => {
                cleaned.pop();
            }
            _ => cleaned.push(part),
        }
    }
    cleaned
}

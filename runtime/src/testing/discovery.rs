use std::collections::HashSet;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

use deno_core::url::Url;
use glob::{MatchOptions, Pattern, PatternError};

use crate::environment::Environment;

/// Why the modules to test could not be found.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum DiscoveryError {
    /// A path names nothing.
    #[error("No such file or directory: \"{0}\"")]
    NotFound(String),
    /// A directory cannot be read.
    #[error("{directory:?} cannot be read: {source}")]
    Unreadable {
        /// The directory.
        directory: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A path has wildcards in it that make no sense.
    #[error("Invalid glob pattern \"{pattern}\": {source}")]
    Pattern {
        /// The path.
        pattern: String,
        /// Why.
        source: PatternError,
    },
}

const EXTENSIONS: [&str; 8] = ["ts", "tsx", "mts", "cts", "js", "jsx", "mjs", "cjs"];

/// Directories with other people's modules, or none at all.
const SKIPPED: [&str; 2] = ["node_modules", ".git"];

/// Paths, some with wildcards, and the directory that they start from.
#[derive(Clone, Debug)]
pub struct Paths {
    /// The directory.
    pub base: PathBuf,
    /// The paths.
    pub paths: Vec<String>,
}

/// The modules that paths and URLs stand for: a file for itself, a directory for the modules in it whose names say that they
/// are tests, and a path with wildcards for such modules, too. No paths at all stand for the base. `ignored` takes files and
/// directories out, and puts those back that begin with `!`: the last that matches decides.
///
/// # Errors
/// A path that names nothing, a directory that cannot be read, or a pattern that is none.
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

/// What a path of the command line stands for.
enum Selector {
    /// A file or directory.
    Path(PathBuf),
    /// What matches a pattern, below the last directory without wildcards.
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
        // Only what was written is a pattern: the names of directories above may hold anything.
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

/// Adds the files below a directory that are wanted.
fn walk(directory: &Path, is_wanted: &dyn Fn(&Path) -> bool, found: &mut Vec<PathBuf>) -> Result<(), DiscoveryError> {
    let unreadable = |source| DiscoveryError::Unreadable { directory: directory.into(), source };
    for entry in fs::read_dir(directory).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let path = entry.path();
        // Links to directories are not followed: they may lead in circles.
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

/// Whether the name of a module says that it holds tests: `test.ts`, `x_test.ts`, `x.test.ts`, or in a directory `__tests__`.
fn is_test(path: &Path) -> bool {
    let stem = path.file_stem().unwrap_or_default().to_string_lossy();
    let named = stem == "test" || stem.ends_with("_test") || stem.ends_with(".test");
    is_module(path) && (named || path.components().any(|part| part.as_os_str() == "__tests__"))
}

fn is_module(path: &Path) -> bool {
    path.extension().is_some_and(|extension| EXTENSIONS.iter().any(|known| extension == *known))
}

/// The URL of a module that is no file.
fn remote(path: &str) -> Option<Url> {
    Url::parse(path).ok().filter(|url| ["http", "https", "data", "jsr"].contains(&url.scheme()))
}

fn url_of(path: &Path) -> Url {
    Url::from_file_path(path).expect("the path is absolute")
}

/// An absolute path without `.` and `..`.
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

use std::path::{Component, Path, PathBuf};

use deno_core::url::Url;
use deno_resolver::npm::DenoInNpmPackageChecker;
use node_resolver::InNpmPackageChecker;

/// Which files are of packages of npm. A script imports those of its project without a permission.
#[derive(Clone, Debug)]
pub(super) struct Packages {
    pub checker: DenoInNpmPackageChecker,
    /// The directory of the workspace.
    pub root: PathBuf,
}

impl Packages {
    /// Whether a file is of a package.
    pub fn contain(&self, file: &Url) -> bool {
        self.checker.in_npm_package(file)
    }

    /// Whether a file is of a package that modules of the project find by its name: one in the cache, or in the directory
    /// `node_modules` of the workspace, of a member, or of a directory above.
    pub fn own(&self, file: &Url) -> bool {
        let in_reach = || match &self.checker {
            DenoInNpmPackageChecker::Managed(_) => true,
            DenoInNpmPackageChecker::Byonm(_) => file.to_file_path().is_ok_and(|path| is_in_reach(&self.root, &path)),
        };
        self.contain(file) && in_reach()
    }
}

fn is_in_reach(root: &Path, file: &Path) -> bool {
    let is_packages = |part: &Component| part.as_os_str() == "node_modules";
    let directory: PathBuf = file.components().take_while(|part| !is_packages(part)).collect();
    root.starts_with(&directory) || directory.starts_with(root)
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::is_in_reach;

    #[test]
    fn packages_of_the_workspace_and_above_are_in_reach() {
        for (file, expected) in [
            ("/a/b/node_modules/x/y.js", true),
            ("/a/b/member/node_modules/x/node_modules/z/y.js", true),
            ("/a/node_modules/x/y.js", true),
            ("/node_modules/x/y.js", true),
            ("/a/bc/node_modules/x/y.js", false),
            ("/other/node_modules/x/y.js", false),
        ] {
            assert_eq!(is_in_reach(Path::new("/a/b"), Path::new(file)), expected, "{file}");
        }
    }
}

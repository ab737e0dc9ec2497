//! What the commands do.

use deno_core::url::Url;
use deno_semver::Version;
use deno_semver::package::PackageReq;
use deno_terminal::colors;
use node_resolver::PackageJsonThreadLocalCache;
use openkv::{Installer, Manifests, Registry, installer};

use super::manifest::{Kind, Manifest, Section, Selected};
use super::request::{Request, alias_to_remove};
use crate::cli::flags::RuntimeFlags;
use crate::cli::launch;

/// How dependencies are installed.
pub(super) struct Install {
    /// Whether only the lock file is updated.
    pub lock_only: bool,
    /// Whether dependencies are declared in `package.json` only.
    pub package_json: bool,
}

/// The packages to add, and how.
pub(super) struct Add {
    pub packages: Vec<String>,
    pub section: Section,
    /// Whether the packages are installed without being declared.
    pub no_save: bool,
    /// Whether only the chosen version is accepted from now on.
    pub exact: bool,
    /// Whether packages are imported by their names without the scope.
    pub unscoped: bool,
    /// The registry of packages without a prefix.
    pub registry: Registry,
    pub install: Install,
}

/// What a command does.
pub(super) enum Action {
    Add(Add),
    Remove(Vec<String>, Install),
    /// Installs the dependencies of the configuration files.
    Install(Install),
    /// Installs the dependencies of modules.
    Cache(Vec<String>),
}

impl Action {
    pub async fn run(&self, flags: &RuntimeFlags) -> Result<(), String> {
        match self {
            Self::Add(add) => add.run(flags).await,
            Self::Remove(packages, install) => remove(packages, install, flags).await,
            Self::Install(install) => install_all(Vec::new(), install.lock_only, flags).await,
            Self::Cache(files) => {
                let modules = files.iter().map(|file| launch::url(file)).collect::<Result<Vec<_>, _>>()?;
                // Its host is trusted, as by `openkv run`.
                let remote = modules.iter().find(|module| module.scheme() != "file").cloned();
                let (_, installer) = open(remote, flags)?;
                installer.cache(modules).await.map_err(|error| error.to_string())
            }
        }
    }
}

/// Finds the project of the current directory, for a remote module if there is one.
fn open(remote: Option<Url>, flags: &RuntimeFlags) -> Result<(Manifests, Installer), String> {
    // The files may have changed.
    PackageJsonThreadLocalCache::clear();
    let main_module = remote.map_or_else(|| launch::url("./$deno$install.ts"), Ok)?;
    let options = launch::options(flags, main_module, Vec::new())?;
    let manifests = options.project.manifests().map_err(|error| error.to_string())?;
    Ok((manifests, installer(options).map_err(|error| error.to_string())?))
}

/// Installs all dependencies, and further packages.
async fn install_all(further: Vec<Url>, lock_only: bool, flags: &RuntimeFlags) -> Result<(), String> {
    let (_, installer) = open(None, flags)?;
    installer.install(further, lock_only).await.map_err(|error| error.to_string())
}

async fn remove(packages: &[String], install: &Install, flags: &RuntimeFlags) -> Result<(), String> {
    let (Manifests { deno_json, package_json, prefers_package_json }, _) = open(None, flags)?;
    let deno_json = deno_json.filter(|_| !install.package_json && !prefers_package_json);
    let files = [(Kind::PackageJson, package_json), (Kind::DenoJson, deno_json)];
    let opened = files.iter().filter_map(|(kind, path)| Some(Manifest::open(*kind, path.as_deref()?)));
    let manifests = opened.collect::<Result<Vec<_>, _>>()?;
    let mut removed = false;
    for package in packages {
        let alias = alias_to_remove(package)?;
        if manifests.iter().filter(|manifest| manifest.remove(&alias)).count() > 0 {
            removed = true;
            log(flags, &format!("Removed {}", colors::green(alias)));
        }
    }
    if !removed {
        log(flags, "No packages were removed");
        return Ok(());
    }
    manifests.iter().try_for_each(Manifest::save)?;
    install_all(Vec::new(), install.lock_only, flags).await
}

impl Add {
    async fn run(&self, flags: &RuntimeFlags) -> Result<(), String> {
        let requests = self.requests()?;
        let (found, installer) = open(None, flags)?;
        let (deno_json, package_json) = self.manifests(&found, &requests)?;
        if let Some(file) = deno_json.as_ref().filter(|file| file.has("importMap")) {
            return Err(format!(
                "dependencies cannot be added to {}, which has an \"importMap\": move it to \"imports\"",
                file.path.display()
            ));
        }
        // Of both files, the one that is nearer gets packages of npm.
        let depth = |file: &Option<Manifest>| file.as_ref().map(|file| file.path.components().count());
        let npm_first = depth(&package_json) >= depth(&deno_json);
        let mut further = Vec::new();
        for request in &requests {
            let version = find(&installer, request).await?;
            let range = self.range(&request.package, &version);
            log(flags, &format!("Add {}{}{version}", colors::green(request.prefixed_name()), colors::gray("@")));
            if self.no_save || self.section == Section::OptionalDependencies {
                let specifier = format!("{}@{range}", request.prefixed_name());
                further.push(Url::parse(&specifier).map_err(|error| format!("{specifier}: {error}"))?);
            }
            let selected = Selected {
                alias: request.alias.clone(),
                registry: request.registry,
                name: request.package.name.to_string(),
                range,
            };
            let wants_package_json = request.registry == Registry::Npm && npm_first;
            let file = match (&deno_json, &package_json) {
                (Some(_), Some(package_json)) if wants_package_json => package_json,
                (Some(deno_json), _) => deno_json,
                (None, Some(package_json)) => package_json,
                (None, None) => unreachable!("one of the files is created"),
            };
            file.add(&selected, self.section)?;
        }
        if !self.no_save {
            for file in [&deno_json, &package_json].into_iter().flatten() {
                file.save()?;
                if file.is_new() {
                    let name = file.path.file_name().unwrap_or_default().to_string_lossy();
                    log(flags, &format!("Created {name} configuration file."));
                }
            }
        }
        install_all(further, self.install.lock_only, flags).await
    }

    fn requests(&self) -> Result<Vec<Request>, String> {
        let mut requests: Vec<Request> = Vec::new();
        for package in &self.packages {
            let mut request = Request::parse(package, self.registry)?;
            if self.unscoped {
                request = request.without_scope();
                if let Some(other) = requests.iter().find(|other| other.alias == request.alias) {
                    return Err(format!(
                        "{} and {} would both be added as \"{}\": add one of them as ALIAS@{}",
                        other.prefixed_name(),
                        request.prefixed_name(),
                        request.alias,
                        request.prefixed_name()
                    ));
                }
            }
            requests.push(request);
        }
        Ok(requests)
    }

    /// Opens the files that declare dependencies: `deno.json` and `package.json`. If there is none, or none for packages of
    /// JSR, prepares a `deno.json`.
    fn manifests(
        &self,
        found: &Manifests,
        requests: &[Request],
    ) -> Result<(Option<Manifest>, Option<Manifest>), String> {
        let current = launch::current_directory()?;
        if self.install.package_json || found.prefers_package_json {
            let path = found.package_json.clone().unwrap_or_else(|| current.join("package.json"));
            return Ok((None, Some(Manifest::open_or_new(Kind::PackageJson, &path)?)));
        }
        let package_json = found.package_json.as_deref().map(|path| Manifest::open(Kind::PackageJson, path));
        let package_json = package_json.transpose()?;
        let has_jsr = requests.iter().any(|request| request.registry == Registry::Jsr);
        let deno_json = match &found.deno_json {
            Some(path) => Some(Manifest::open(Kind::DenoJson, path)?),
            None if package_json.is_some() && !has_jsr => None,
            None => Some(Manifest::open_or_new(Kind::DenoJson, &current.join("deno.json"))?),
        };
        Ok((deno_json, package_json))
    }

    /// Returns the versions that are accepted from now on.
    fn range(&self, package: &PackageReq, version: &Version) -> String {
        let requested = package.version_req.version_text();
        // A range of prereleases includes unrelated ones.
        let is_exact = self.exact || requested == version.to_string() || !version.pre.is_empty();
        let operator = match () {
            () if is_exact => "",
            () if requested.starts_with('~') => "~",
            () => "^",
        };
        format!("{operator}{version}")
    }
}

/// Returns the best version of a package.
async fn find(installer: &Installer, request: &Request) -> Result<Version, String> {
    let Request { registry, package, .. } = request;
    if let Some(version) = installer.find(*registry, package).await.map_err(|error| error.to_string())? {
        return Ok(version);
    }
    let name = colors::red(request.prefixed_name());
    let other = match registry {
        Registry::Npm => Registry::Jsr,
        Registry::Jsr => Registry::Npm,
    };
    match installer.find(other, package).await {
        Ok(Some(_)) => {
            let other = other.prefix();
            Err(format!("{name} was not found, but a matching {other} package exists. Did you mean {other}:{package}?"))
        }
        _ => Err(format!("{name} was not found.")),
    }
}

fn log(flags: &RuntimeFlags, line: &str) {
    if !flags.quiet {
        eprintln!("{line}");
    }
}

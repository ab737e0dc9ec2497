//! Resolves a path to a database and a call.

use super::hosted::Hosted;
use crate::wire::metadata::Version;
use crate::wire::paths;

/// A call to an endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    SnapshotRead,
    AtomicWrite,
    Watch,
    Read,
    Expiries,
    Count,
    DeleteRange,
    Write,
    Dequeue,
    Start,
    Finish,
}

impl Call {
    /// All calls, in the order of their discriminants.
    pub const ALL: [Self; 11] = [
        Self::SnapshotRead,
        Self::AtomicWrite,
        Self::Watch,
        Self::Read,
        Self::Expiries,
        Self::Count,
        Self::DeleteRange,
        Self::Write,
        Self::Dequeue,
        Self::Start,
        Self::Finish,
    ];

    /// Returns the path of the call relative to its endpoint, which is also its name in metrics and events.
    pub fn path(self) -> &'static str {
        match self {
            Call::SnapshotRead => paths::SNAPSHOT_READ,
            Call::AtomicWrite => paths::ATOMIC_WRITE,
            Call::Watch => paths::WATCH,
            Call::Read => paths::READ,
            Call::Expiries => paths::EXPIRIES,
            Call::Count => paths::COUNT,
            Call::DeleteRange => paths::DELETE_RANGE,
            Call::Write => paths::WRITE,
            Call::Dequeue => paths::DEQUEUE,
            Call::Start => paths::START,
            Call::Finish => paths::FINISH,
        }
    }

    /// Returns whether the call changes the database or claims messages.
    pub fn is_write(self) -> bool {
        match self {
            Call::SnapshotRead | Call::Watch | Call::Read | Call::Expiries | Call::Count => false,
            Call::AtomicWrite | Call::DeleteRange | Call::Write | Call::Dequeue | Call::Start | Call::Finish => true,
        }
    }
}

/// The database and the call of a path.
pub(crate) struct Target<'s> {
    pub hosted: &'s Hosted,
    /// The version of the endpoint, and the call. `None` for the metadata exchange.
    pub call: Option<(Version, Call)>,
}

impl<'s> Target<'s> {
    /// Resolves a path.
    pub fn resolve(databases: &'s [Hosted], path: &str) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        let (name, rest) = path.split_once('/').unwrap_or((path, ""));
        if let Some(hosted) = databases.iter().find(|hosted| hosted.name == name) {
            return Self::within(hosted, rest);
        }
        let [only] = databases else { return None };
        Self::within(only, path)
    }

    fn within(hosted: &'s Hosted, path: &str) -> Option<Self> {
        if path.is_empty() {
            return Some(Self { hosted, call: None });
        }
        let (version, path) = path.strip_prefix('v')?.split_once('/')?;
        let version = Version::from_number(version.parse().ok()?)?;
        let call = Call::ALL.into_iter().find(|call| call.path() == path)?;
        Some(Self { hosted, call: Some((version, call)) })
    }
}

#[cfg(test)]
mod tests {
    use openkv_engine::sqlite::{self, Location, Options};
    use uuid::Uuid;

    use super::*;

    fn hosted(name: &str) -> Hosted {
        let database = sqlite::open(Location::Memory, Options::default()).unwrap();
        Hosted { name: name.into(), database, id: Uuid::nil() }
    }

    #[test]
    fn single_database_is_at_the_root_and_at_its_name() {
        let databases = [hosted("a")];
        let resolve = |path| Target::resolve(&databases, path).map(|target| target.call);
        assert_eq!(resolve("/"), Some(None));
        assert_eq!(resolve("/a"), Some(None));
        assert_eq!(resolve("/a/"), Some(None));
        assert_eq!(resolve("/v3/watch"), Some(Some((Version::V3, Call::Watch))));
        assert_eq!(resolve("/a/v2/openkv/count"), Some(Some((Version::V2, Call::Count))));
        for path in ["", "*", "/b", "//", "/v3", "/v3/", "/v4/watch", "/v3/watch/", "/v3//watch", "/a/a", "/vx/watch"] {
            assert!(resolve(path).is_none(), "{path}");
        }
    }

    #[test]
    fn several_databases_are_at_their_names() {
        let databases = [hosted("a"), hosted("b")];
        let resolve = |path| Target::resolve(&databases, path).map(|target| target.hosted.name.as_str());
        assert_eq!(resolve("/b/v1/snapshot_read"), Some("b"));
        assert_eq!(resolve("/a"), Some("a"));
        assert_eq!(resolve("/"), None);
        assert_eq!(resolve("/v3/snapshot_read"), None);
    }
}

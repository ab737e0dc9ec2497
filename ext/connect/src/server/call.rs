//! Which database and which of its calls a path names.

use super::hosted::Hosted;
use crate::wire::metadata::Version;
use crate::wire::paths;

/// What a client asks an endpoint for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    SnapshotRead,
    AtomicWrite,
    Watch,
    Read,
    Count,
    DeleteRange,
    Write,
    Dequeue,
    Start,
    Finish,
}

impl Call {
    /// All calls, in the order of their numbers.
    pub const ALL: [Self; 10] = [
        Self::SnapshotRead,
        Self::AtomicWrite,
        Self::Watch,
        Self::Read,
        Self::Count,
        Self::DeleteRange,
        Self::Write,
        Self::Dequeue,
        Self::Start,
        Self::Finish,
    ];

    /// Returns the path of the call below that of its endpoint, which is its name in metrics and events as well.
    pub fn path(self) -> &'static str {
        match self {
            Call::SnapshotRead => paths::SNAPSHOT_READ,
            Call::AtomicWrite => paths::ATOMIC_WRITE,
            Call::Watch => paths::WATCH,
            Call::Read => paths::READ,
            Call::Count => paths::COUNT,
            Call::DeleteRange => paths::DELETE_RANGE,
            Call::Write => paths::WRITE,
            Call::Dequeue => paths::DEQUEUE,
            Call::Start => paths::START,
            Call::Finish => paths::FINISH,
        }
    }

    /// Whether the call changes the database, or takes messages from it.
    pub fn is_write(self) -> bool {
        match self {
            Call::SnapshotRead | Call::Watch | Call::Read | Call::Count => false,
            Call::AtomicWrite | Call::DeleteRange | Call::Write | Call::Dequeue | Call::Start | Call::Finish => true,
        }
    }
}

/// What a path names.
pub(crate) struct Target<'s> {
    pub hosted: &'s Hosted,
    /// A call of the endpoint of a version. None for the metadata exchange.
    pub call: Option<(Version, Call)>,
}

impl<'s> Target<'s> {
    /// Finds what a path names.
    pub fn find(databases: &'s [Hosted], path: &str) -> Option<Self> {
        let path = path.strip_prefix('/')?;
        let (name, rest) = path.split_once('/').unwrap_or((path, ""));
        if let Some(hosted) = databases.iter().find(|hosted| hosted.name == name) {
            return Self::below(hosted, rest);
        }
        let [only] = databases else { return None };
        Self::below(only, path)
    }

    fn below(hosted: &'s Hosted, path: &str) -> Option<Self> {
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
    fn only_database_is_at_the_root_and_at_its_name() {
        let databases = [hosted("a")];
        let find = |path| Target::find(&databases, path).map(|target| target.call);
        assert_eq!(find("/"), Some(None));
        assert_eq!(find("/a"), Some(None));
        assert_eq!(find("/a/"), Some(None));
        assert_eq!(find("/v3/watch"), Some(Some((Version::V3, Call::Watch))));
        assert_eq!(find("/a/v2/openkv/count"), Some(Some((Version::V2, Call::Count))));
        for path in ["", "*", "/b", "//", "/v3", "/v3/", "/v4/watch", "/v3/watch/", "/v3//watch", "/a/a", "/vx/watch"] {
            assert!(find(path).is_none(), "{path}");
        }
    }

    #[test]
    fn one_of_several_is_named() {
        let databases = [hosted("a"), hosted("b")];
        let find = |path| Target::find(&databases, path).map(|target| target.hosted.name.as_str());
        assert_eq!(find("/b/v1/snapshot_read"), Some("b"));
        assert_eq!(find("/a"), Some("a"));
        assert_eq!(find("/"), None);
        assert_eq!(find("/v3/snapshot_read"), None);
    }
}

//! The measures and their targets.

/// A measure.
pub struct Measure {
    /// Its name, for the script and on the command line.
    pub name: &'static str,
    /// Its title in the table.
    pub title: &'static str,
    pub source: Source,
    /// The target ratio of OpenKV to Deno, if any.
    pub target: Option<f64>,
}

/// The source of a measure's value, which determines its unit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// A script, `kv.ts` or `remote.ts`: operations per second.
    Script,
    /// The time of a process that runs this script, in milliseconds.
    Startup(&'static str),
    /// The peak resident memory of a process that runs this script, in MiB.
    PeakMemory(&'static str),
}

impl Source {
    /// Returns the number of runs in a round. The script repeats its operation in one run; a process is only one sample.
    pub fn runs(self) -> usize {
        match self {
            Source::Script => 1,
            Source::Startup(_) => 20,
            Source::PeakMemory(_) => 3,
        }
    }

    /// Returns the ratio of the values of OpenKV and Deno: how many times as fast, or how many times the memory.
    pub fn ratio(self, ours: f64, theirs: f64) -> f64 {
        match self {
            Source::Script | Source::PeakMemory(_) => ours / theirs,
            Source::Startup(_) => theirs / ours,
        }
    }

    /// Returns whether a lower ratio is better.
    pub fn is_cost(self) -> bool {
        matches!(self, Source::PeakMemory(_))
    }
}

impl Measure {
    /// Returns whether a ratio reaches the target. `None` without a target.
    pub fn is_met(&self, ratio: f64) -> Option<bool> {
        self.target.map(|target| if self.source.is_cost() { ratio <= target } else { ratio >= target })
    }
}

/// All measures, in the order of the table.
pub const MEASURES: &[Measure] = &[
    script("get-hit", "get of a stored key", 18.0),
    script("get-miss", "get of a missing key", 20.0),
    script("get-100-in-flight", "get, 100 in flight", 5.0),
    script("get-many-10", "getMany of 10 keys", 7.0),
    script("list", "list of 50,000", 4.0),
    script("list-batch-1000", "list of 50,000, batches of 1000", 3.0),
    script("list-reverse", "list of 50,000, reverse", 3.5),
    script("list-limit-10", "list, limit 10", 8.0),
    script("set", "set, one by one", 1.3),
    script("sum", "sum, one by one", 1.3),
    script("atomic-10-sets", "atomic of 10 sets", 1.3),
    script("set-500-in-flight", "set, 500 in flight", 15.0),
    script("bulk-load", "bulk load by atomics of 500", 2.0),
    script("memory-get", "get in :memory:", 18.0),
    script("memory-set", "set in :memory:", 8.0),
    script("queue", "queue, one by one", 2.0),
    script("queue-1000-ready", "queue, 1000 ready", 20.0),
    script("watch", "watch round trip", 1.4),
    script("open-close", "open and close", 3.0),
    Measure { name: "startup", title: "startup, empty script", source: Source::Startup("empty.ts"), target: Some(1.3) },
    Measure {
        name: "startup-modules",
        title: "startup, 100 modules",
        source: Source::Startup("modules/main.ts"),
        target: Some(1.0),
    },
    Measure {
        name: "memory-empty",
        title: "peak memory, empty script",
        source: Source::PeakMemory("empty.ts"),
        target: Some(0.8),
    },
    Measure {
        name: "memory-list",
        title: "peak memory, list of 50,000",
        source: Source::PeakMemory("list.ts"),
        target: None,
    },
];

/// What is measured of a server, by real Deno, in the order of the table: `remote.ts`. The targets are the ratios to `denokv`.
pub const OF_SERVERS: &[Measure] = &[
    script("get", "get, awaited", 10.0),
    script("set", "set, awaited", 10.0),
    script("get-100-in-flight", "get, 100 in flight", 3.0),
    script("set-100-in-flight", "set, 100 in flight", 3.0),
    script("list", "list of 1,000, batches of 100", 2.0),
    script("list-batch-500", "list of 1,000, batches of 500", 2.0),
    plain("watch", "watch, from set to item"),
];

/// What is measured of the backend over etcd, by `openkv_bench`. The targets are the ratios to etcd by hand.
pub const OF_ETCD: &[Measure] = &remote([Some(0.8), Some(0.8), Some(1.0 / 1.2), Some(1.0 / 1.2)]);

/// What is measured of the backend over PostgreSQL, by `openkv_bench`. The targets are the ratios to PostgreSQL by hand.
pub const OF_POSTGRES: &[Measure] = &remote([None, Some(0.7), Some(1.0 / 1.3), None]);

/// Returns the measures of a remote backend, the first of which have these targets.
const fn remote([set, in_flight, get, get_eventual]: [Option<f64>; 4]) -> [Measure; 15] {
    [
        Measure { target: set, ..plain("set", "set, awaited") },
        Measure { target: in_flight, ..plain("set-100-in-flight", "set, 100 in flight") },
        Measure { target: get, ..plain("get", "get, awaited") },
        Measure { target: get_eventual, ..plain("get-eventual", "get, eventual consistency") },
        plain("list-1000", "list of 1,000, limit 10"),
        plain("list-1000-reverse", "list of 1,000, limit 10, reverse"),
        plain("list-10000", "list of 10,000, limit 10"),
        plain("list-10000-reverse", "list of 10,000, limit 10, reverse"),
        plain("list-100000", "list of 100,000, limit 10"),
        plain("list-100000-reverse", "list of 100,000, limit 10, reverse"),
        plain("list-1000000", "list of 1,000,000, limit 10"),
        plain("list-1000000-reverse", "list of 1,000,000, limit 10, reverse"),
        plain("set-in-1000000", "set, awaited, in 1,000,000 entries"),
        plain("watch", "watch, from set to item"),
        plain("queue", "queue, 100 in flight"),
    ]
}

/// What is measured of stores with values of several kinds, in the order of the table: `others/main.ts`. The targets are the ratios to
/// lmdb.
pub const OF_STORES: &[Measure] = &[
    script("get-small", "get of a small object", 1.0),
    script("get-nested", "get of a nested object", 1.0),
    script("get-10kb", "get of 10 KB of text", 1.0),
    script("get-bytes", "get of 1000 bytes", 1.0),
    script("get-u64", "get of a 64-bit counter", 1.0),
    script("list-small", "list of small objects", 1.0),
    script("list-nested", "list of nested objects", 1.0),
    script("list-10kb", "list of 10 KB of text", 1.0),
    script("list-bytes", "list of 1000 bytes", 1.0),
    script("list-u64", "list of 64-bit counters", 1.0),
    plain("set-small", "set of a small object"),
    plain("set-10kb", "set of 10 KB of text"),
    plain("load-small", "load of small objects"),
    plain("load-nested", "load of nested objects"),
    plain("load-10kb", "load of 10 KB of text"),
];

const fn script(name: &'static str, title: &'static str, target: f64) -> Measure {
    Measure { name, title, source: Source::Script, target: Some(target) }
}

/// A measure without a target.
const fn plain(name: &'static str, title: &'static str) -> Measure {
    Measure { name, title, source: Source::Script, target: None }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_have_the_same_measures() {
        for (script, measures) in [("kv.ts", MEASURES), ("remote.ts", OF_SERVERS)] {
            let script = std::fs::read_to_string(crate::root().join("benches").join(script)).unwrap();
            let (_, table) = script.split_once("const measures").unwrap();
            let (table, _) = table.split_once("\n};").unwrap();
            let name = |line: &str| Some(line.strip_prefix("  \"")?.split('"').next()?.to_owned());
            let names: Vec<_> = table.lines().filter_map(name).collect();
            let expected = measures.iter().filter(|measure| measure.source == Source::Script);
            assert_eq!(names, expected.map(|measure| measure.name).collect::<Vec<_>>());
        }
    }

    #[test]
    fn higher_speed_and_lower_memory_meet_a_target() {
        let measure = |name| MEASURES.iter().find(|measure| measure.name == name).unwrap();
        let met = |name, ours, theirs| measure(name).is_met(measure(name).source.ratio(ours, theirs));
        assert_eq!([met("get-hit", 180.0, 10.0), met("get-hit", 170.0, 10.0)], [Some(true), Some(false)]);
        assert_eq!([met("startup", 10.0, 13.0), met("startup", 13.0, 10.0)], [Some(true), Some(false)]);
        assert_eq!([met("memory-empty", 8.0, 10.0), met("memory-empty", 9.0, 10.0)], [Some(true), Some(false)]);
        assert_eq!(met("memory-list", 8.0, 10.0), None);
    }
}

//! Checks histories for linearizability: each operation must appear to take effect at one moment between its start and its end. The
//! search is that of Wing and Gong, with Lowe's memoization of visited states.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};

/// The number of keys of a history.
pub const KEYS: usize = 3;

/// The state of a key: a number, and the versionstamp of the commit that wrote it.
pub type Cell = Option<(u64, String)>;

type State = [Cell; KEYS];

/// An operation and its result.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The time of the call, in nanoseconds of a clock that all processes share.
    pub begin: u64,
    /// The time of the result.
    pub end: u64,
    pub event: Event,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub enum Event {
    /// One read of several keys.
    Read(Vec<(usize, Cell)>),
    /// A write. `committed` is its versionstamp, or `None` if its check failed.
    Write { check: Option<(usize, Option<String>)>, changes: Vec<(usize, Change)>, committed: Option<String> },
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Change {
    Set(u64),
    /// Adds to the number, or sets a missing one.
    Add(u64),
    Delete,
}

impl Event {
    /// Returns the state after the event. `None` if it cannot happen in this state.
    fn after(&self, before: &State) -> Option<State> {
        match self {
            Event::Read(cells) => cells.iter().all(|(key, cell)| before[*key] == *cell).then(|| before.clone()),
            Event::Write { check, changes, committed } => {
                let stamp = |key: usize| before[key].as_ref().map(|(_, stamp)| stamp);
                let holds = check.as_ref().is_none_or(|(key, expected)| stamp(*key) == expected.as_ref());
                let Some(version) = committed else { return (!holds).then(|| before.clone()) };
                let mut after = holds.then(|| before.clone())?;
                for (key, change) in changes {
                    let stored = after[*key].as_ref().map_or(0, |(number, _)| *number);
                    after[*key] = match change {
                        Change::Set(number) => Some((*number, version.clone())),
                        Change::Add(number) => Some((stored.wrapping_add(*number), version.clone())),
                        Change::Delete => None,
                    };
                }
                Some(after)
            }
        }
    }

    /// Returns the versionstamp of a committed write.
    pub fn committed(&self) -> Option<&String> {
        match self {
            Event::Read(_) => None,
            Event::Write { committed, .. } => committed.as_ref(),
        }
    }
}

/// Checks a history of up to 64 operations that starts without values. Returns the number of visited states.
///
/// # Errors
/// If no order of the operations explains their results, or the versionstamps are not in the order of the commits.
pub fn check(history: &[Record]) -> Result<usize, &'static str> {
    for (one, version) in history.iter().filter_map(|record| Some((record, record.event.committed()?))) {
        let is_later = |record: &&Record| one.end < record.begin;
        let later = history.iter().filter(is_later).filter_map(|record| record.event.committed());
        if later.into_iter().any(|other| other <= version) {
            return Err("a commit has a versionstamp that is not greater than that of an earlier commit");
        }
    }
    let mut seen = HashSet::new();
    if search(history, 0, State::default(), &mut seen) {
        Ok(seen.len())
    } else {
        Err("no order of the operations explains their results")
    }
}

/// Returns whether the operations that are not `done` can follow in a state.
fn search(history: &[Record], done: u64, state: State, seen: &mut HashSet<(u64, State)>) -> bool {
    let pending = || history.iter().enumerate().filter(|(i, _)| done & (1 << i) == 0);
    // An operation that starts after another one has ended follows it.
    let Some(first_end) = pending().map(|(_, record)| record.end).min() else { return true };
    if !seen.insert((done, state.clone())) {
        return false;
    }
    pending().filter(|(_, record)| record.begin <= first_end).any(|(i, record)| {
        record.event.after(&state).is_some_and(|after| search(history, done | (1 << i), after, seen))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cell(number: u64, stamp: &str) -> Cell {
        Some((number, stamp.into()))
    }

    fn record(begin: u64, end: u64, event: Event) -> Record {
        Record { begin, end, event }
    }

    fn read(begin: u64, end: u64, cells: &[(usize, Cell)]) -> Record {
        record(begin, end, Event::Read(cells.to_vec()))
    }

    fn write(begin: u64, end: u64, changes: &[(usize, Change)], stamp: &str) -> Record {
        record(begin, end, Event::Write { check: None, changes: changes.to_vec(), committed: Some(stamp.into()) })
    }

    /// Sets the first key if it has the expected versionstamp.
    fn replace(begin: u64, end: u64, expected: &str, number: u64, committed: Option<&str>) -> Record {
        let check = Some((0, Some(expected.into())));
        let changes = vec![(0, Change::Set(number))];
        record(begin, end, Event::Write { check, changes, committed: committed.map(Into::into) })
    }

    #[test]
    fn accepts_linearizable_histories() {
        let one = write(0, 9, &[(0, Change::Set(1))], "1");
        // Reads that are concurrent with the write may see it or not, but not go back.
        assert!(check(&[one.clone(), read(1, 2, &[(0, None)]), read(3, 4, &[(0, cell(1, "1"))])]).is_ok());
        assert!(check(&[one.clone(), read(1, 2, &[(0, cell(1, "1"))]), read(3, 4, &[(0, None)])]).is_err());
        let sum = write(0, 9, &[(0, Change::Add(2)), (1, Change::Add(2))], "2");
        assert!(check(&[one, sum, read(10, 11, &[(0, cell(3, "2")), (1, cell(2, "2"))])]).is_ok());
    }

    #[test]
    fn rejects_a_stale_read_after_a_write() {
        let history = [write(0, 1, &[(0, Change::Set(1))], "1"), read(2, 3, &[(0, None)])];
        assert!(check(&history).is_err());
    }

    #[test]
    fn rejects_a_lost_update() {
        let first = write(0, 1, &[(0, Change::Set(1))], "1");
        let [one, other] = [replace(2, 9, "1", 2, Some("2")), replace(3, 8, "1", 3, Some("3"))];
        assert!(check(&[first.clone(), one.clone(), other]).is_err());
        assert!(check(&[first.clone(), one, replace(3, 8, "1", 3, None)]).is_ok());
        // They must not both fail either.
        assert!(check(&[first, replace(2, 9, "1", 2, None), replace(3, 8, "1", 3, None)]).is_err());

        let sums = [write(0, 9, &[(0, Change::Add(1))], "1"), write(0, 9, &[(0, Change::Add(1))], "2")];
        let lost = read(10, 11, &[(0, cell(1, "2"))]);
        assert!(check(&[sums[0].clone(), sums[1].clone(), lost]).is_err());
    }

    #[test]
    fn rejects_a_torn_read_and_a_torn_write() {
        let both = write(0, 9, &[(0, Change::Add(1)), (1, Change::Add(1))], "1");
        assert!(check(&[both.clone(), read(1, 8, &[(0, cell(1, "1")), (1, None)])]).is_err());
        assert!(check(&[both, read(10, 11, &[(1, None)])]).is_err());
    }

    #[test]
    fn rejects_versionstamps_that_go_back() {
        let history = [write(0, 1, &[(0, Change::Set(1))], "2"), write(2, 3, &[(1, Change::Set(1))], "1")];
        assert!(check(&history).is_err());
    }
}

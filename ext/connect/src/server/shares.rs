//! Limits of resources that all clients share: none can take everything.

use std::sync::Arc;

use parking_lot::Mutex;

/// A resource with a limit, and what each token uses of it.
///
/// A token may use as much as would be left for the others: one token up to a half of the resource, and a second one up to a half
/// of the rest. A server with one token, or none, has no others to leave anything for.
pub(crate) struct Shares {
    limit: usize,
    state: Mutex<State>,
}

struct State {
    used: usize,
    /// By the position of the token.
    by_token: Vec<usize>,
}

impl Shares {
    /// Creates the account of a resource that a number of tokens share.
    pub fn new(limit: usize, tokens: usize) -> Arc<Self> {
        let state = State { used: 0, by_token: vec![0; tokens.max(1)] };
        Arc::new(Self { limit, state: Mutex::new(state) })
    }

    /// Returns how much is used.
    pub fn used(&self) -> usize {
        self.state.lock().used
    }

    /// Takes an amount for a token. Returns `None` if it exceeds the limit or the share of the token.
    pub fn take(self: &Arc<Self>, token: usize, amount: usize) -> Option<Share> {
        let mut share = Share { shares: self.clone(), token, amount: 0 };
        share.grow(amount).then_some(share)
    }
}

/// An amount of a resource, released on drop.
pub(crate) struct Share {
    shares: Arc<Shares>,
    token: usize,
    amount: usize,
}

impl Share {
    /// Takes more. Returns false if it exceeds the limit or the share of the token.
    pub fn grow(&mut self, amount: usize) -> bool {
        let limit = self.shares.limit;
        let mut state = self.shares.state.lock();
        let is_alone = state.by_token.len() == 1;
        let Some(left) = state.used.checked_add(amount).and_then(|used| limit.checked_sub(used)) else { return false };
        let Some(own) = state.by_token.get_mut(self.token) else { return false };
        // A token that has nothing may take any part of what is left.
        if !is_alone && *own > 0 && *own + amount > left {
            return false;
        }
        *own += amount;
        state.used += amount;
        self.amount += amount;
        true
    }
}

impl Drop for Share {
    fn drop(&mut self) {
        let mut state = self.shares.state.lock();
        state.used -= self.amount;
        if let Some(own) = state.by_token.get_mut(self.token) {
            *own -= self.amount;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resource_is_bounded_and_released() {
        let shares = Shares::new(10, 0);
        let mut first = shares.take(0, 6).unwrap();
        assert!(shares.take(0, 5).is_none());
        assert!(first.grow(4));
        assert!(!first.grow(1) && !first.grow(usize::MAX));
        assert_eq!(shares.used(), 10);
        drop(first);
        assert_eq!(shares.used(), 0);
    }

    #[test]
    fn each_token_leaves_a_part_for_the_others() {
        let shares = Shares::new(100, 3);
        let first = shares.take(0, 50).unwrap();
        assert!(shares.take(0, 1).is_none());
        let _second = shares.take(1, 25).unwrap();
        assert!(shares.take(1, 1).is_none());
        assert!(shares.take(2, 12).is_some());
        drop(first);
        assert!(shares.take(1, 20).is_some());
    }
}

//! Whose turn it is at a store across a network: so many requests at a time, and nobody waits behind one wide query.

use tokio::sync::{Semaphore, SemaphorePermit};

use crate::account::Account;

/// The share of all turns that reads never take: what is written must not wait behind queries.
const KEPT_FOR_WRITES: usize = 4;
/// More at a time than any machine has connections for.
const MOST: usize = 1 << 16;

#[derive(Debug)]
pub(crate) struct Turns {
    all: Semaphore,
    reads: Semaphore,
    /// Of the turns for reads, those that one query may have.
    pub(crate) of_one_query: usize,
}

/// Gives the turn back when dropped.
pub(crate) struct Turn<'a> {
    _held: [Option<SemaphorePermit<'a>>; 3],
}

impl Turns {
    pub(crate) fn new(max_requests: usize) -> Self {
        let all = max_requests.clamp(1, MOST);
        let reads = all - all / KEPT_FOR_WRITES;
        Turns { all: Semaphore::new(all), reads: Semaphore::new(reads), of_one_query: reads.div_ceil(2) }
    }

    pub(crate) async fn any(&self) -> Turn<'_> {
        // None of these is ever closed, so there is always a turn.
        Turn { _held: [self.all.acquire().await.ok(), None, None] }
    }

    /// Waits first where only the query itself is in the way.
    pub(crate) async fn read<'a>(&'a self, account: Option<&'a Account>) -> Turn<'a> {
        let own = match account {
            Some(account) => account.turns.acquire().await.ok(),
            None => None,
        };
        let read = self.reads.acquire().await.ok();
        Turn { _held: [self.all.acquire().await.ok(), read, own] }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures::future::poll_immediate;

    #[tokio::test]
    async fn a_wide_query_leaves_turns_to_others_and_reads_leave_some_to_writes() {
        let turns = Turns::new(8);
        let (wide, other) = (Account::new(turns.of_one_query), Account::new(turns.of_one_query));
        let mut held = Vec::new();
        while let Some(turn) = poll_immediate(turns.read(Some(&wide))).await {
            held.push(turn);
        }
        assert_eq!(held.len(), 3);
        while let Some(turn) = poll_immediate(turns.read(Some(&other))).await {
            held.push(turn);
        }
        assert_eq!(held.len(), 6);
        assert!(poll_immediate(turns.read(None)).await.is_none());
        while let Some(turn) = poll_immediate(turns.any()).await {
            held.push(turn);
        }
        assert_eq!(held.len(), 8);
        drop(held.remove(0));
        assert!(poll_immediate(turns.read(Some(&wide))).await.is_some());
    }

    #[tokio::test]
    async fn one_turn_is_enough_for_everybody() {
        let turns = Turns::new(0);
        let account = Account::new(turns.of_one_query);
        assert!(poll_immediate(turns.read(Some(&account))).await.is_some());
        assert!(poll_immediate(turns.any()).await.is_some());
    }
}

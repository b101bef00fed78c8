//! How many questions are worked on at a time, and who waits.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::Arc;

use flamestore_clock::Clock;
use flamestore_model::{Fault, FaultId, TenantId};
use parking_lot::Mutex;
use tokio::sync::oneshot;

/// Seconds after which a refused caller should come again.
const AGAIN_AFTER_SECS: u32 = 1;

const NANOS_PER_SECOND: f64 = 1e9;

/// Hears how busy a gate is.
pub trait Observe: Send + Sync {
    /// After each change: questions that are worked on, and those that wait.
    fn busy(&self, running: usize, waiting: usize);
    /// How long a question has waited until it was let through.
    fn waited(&self, seconds: f64);
}

/// Lets so many questions through at a time. Those that wait are let through tenant by tenant in turn, so that one with many
/// questions does not hold up the others. A question to several tenants stands in the line of each, and goes when the first
/// of them has its turn: what takes up the turns of a tenant are the questions that read it. When as many wait as may, the
/// longest line gives up its last place to a tenant with a shorter one.
pub struct Gate {
    /// `frontend_worker.max_concurrent`
    max_running: usize,
    /// `querier.max_queued`
    max_waiting: usize,
    state: Mutex<State>,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observe>,
}

#[derive(Debug, Default)]
struct State {
    running: usize,
    /// Those that wait, by their number.
    waiting: BTreeMap<u64, oneshot::Sender<Turn>>,
    next_number: u64,
    /// The numbers by tenant; the first tenant is next. A number may stand in several lines, and in some of them still when
    /// it has been let through.
    lines: VecDeque<(TenantId, VecDeque<u64>)>,
}

/// A question under way. Dropping it lets the next one through.
pub struct Turn(Option<Arc<Gate>>);

impl fmt::Debug for Gate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Gate({} at a time, {} wait)", self.max_running, self.max_waiting)
    }
}

impl fmt::Debug for Turn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Turn")
    }
}

impl Gate {
    /// At least one question is let through at a time.
    pub fn new(max_running: usize, max_waiting: usize, clock: Arc<dyn Clock>, observer: Arc<dyn Observe>) -> Arc<Self> {
        Arc::new(Gate { max_running: max_running.max(1), max_waiting, state: Mutex::default(), clock, observer })
    }

    /// Waits for a turn of one of these tenants; gives the places in their lines up when dropped.
    ///
    /// # Errors
    /// `Unavailable` when as many wait as may, and no other tenant has more of them.
    pub async fn turn(self: &Arc<Self>, tenants: &[TenantId]) -> Result<Turn, Fault> {
        let asked = self.clock.monotonic_nanos();
        let (give, turn) = oneshot::channel();
        {
            let mut state = self.state.lock();
            if state.running < self.max_running {
                state.running += 1;
                self.tell(&mut state);
                self.observer.waited(0.0);
                return Ok(Turn(Some(self.clone())));
            }
            if state.waiting.len() >= self.max_waiting {
                state.forget_gone();
            }
            if state.waiting.len() >= self.max_waiting && !state.shorten_longest(tenants) {
                return Err(self.full());
            }
            state.wait(tenants, give);
            self.tell(&mut state);
        }
        let turn = turn.await.map_err(|_| self.full())?;
        self.observer.waited(self.clock.monotonic_nanos().saturating_sub(asked) as f64 / NANOS_PER_SECOND);
        Ok(turn)
    }

    fn full(&self) -> Fault {
        let (waiting, running) = (self.max_waiting, self.max_running);
        let found = format_args!("{waiting} queries wait for {running} that are worked on");
        Fault::over(FaultId::TooManyQueries, found, waiting).again_after(AGAIN_AFTER_SECS)
    }

    fn tell(&self, state: &mut State) {
        state.forget_gone();
        self.observer.busy(state.running, state.waiting.len());
    }

    fn next(self: &Arc<Self>) {
        let mut state = self.state.lock();
        while let Some((tenant, mut line)) = state.lines.pop_front() {
            let first = std::iter::from_fn(|| line.pop_front()).find_map(|number| state.waiting.remove(&number));
            if !line.is_empty() {
                state.lines.push_back((tenant, line));
            }
            let Some(first) = first else { continue };
            match first.send(Turn(Some(self.clone()))) {
                Ok(()) => return self.tell(&mut state),
                // Nobody waits there any more. The turn goes on to the next, not back to the gate.
                Err(mut unused) => drop(unused.0.take()),
            }
        }
        state.running -= 1;
        self.tell(&mut state);
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        if let Some(gate) = self.0.take() {
            gate.next();
        }
    }
}

impl State {
    fn wait(&mut self, tenants: &[TenantId], give: oneshot::Sender<Turn>) {
        let number = self.next_number;
        self.next_number += 1;
        self.waiting.insert(number, give);
        for tenant in tenants {
            match self.lines.iter_mut().find(|(known, _)| known == tenant) {
                Some((_, line)) => line.push_back(number),
                None => self.lines.push_back((tenant.clone(), VecDeque::from([number]))),
            }
        }
    }

    /// Sends away the last of the longest line, if it stays at least as long as one of these tenants' lines becomes.
    fn shorten_longest(&mut self, tenants: &[TenantId]) -> bool {
        let lines = self.lines.iter().filter(|(tenant, _)| tenants.contains(tenant));
        let mine = lines.map(|(_, line)| line.len()).max().unwrap_or(0);
        let Some((_, longest)) = self.lines.iter_mut().max_by_key(|(_, line)| line.len()) else { return false };
        if longest.len() < mine + 2 {
            return false;
        }
        // Its caller is told by the end of the channel.
        longest.pop_back().and_then(|last| self.waiting.remove(&last)).is_some()
    }

    fn forget_gone(&mut self) {
        self.waiting.retain(|_, waiting| !waiting.is_closed());
        for (_, line) in &mut self.lines {
            line.retain(|number| self.waiting.contains_key(number));
        }
        self.lines.retain(|(_, line)| !line.is_empty());
    }
}

#[cfg(test)]
mod tests {
    use std::task::Poll;

    use flamestore_clock::ManualClock;
    use futures::future::{BoxFuture, FutureExt, poll_immediate};

    use super::*;

    /// Remembers what it heard last.
    #[derive(Default)]
    struct Heard(Mutex<(usize, usize)>, Mutex<Vec<f64>>);

    impl Observe for Heard {
        fn busy(&self, running: usize, waiting: usize) {
            *self.0.lock() = (running, waiting);
        }

        fn waited(&self, seconds: f64) {
            self.1.lock().push(seconds);
        }
    }

    fn gate(max_waiting: usize) -> (Arc<Gate>, Arc<Heard>, Arc<ManualClock>) {
        let (heard, clock) = (Arc::new(Heard::default()), ManualClock::at_nanos(0));
        (Gate::new(1, max_waiting, clock.clone(), heard.clone()), heard, clock)
    }

    fn tenants(names: &str) -> Vec<TenantId> {
        TenantId::parse_many(names).unwrap()
    }

    /// A question that has asked for its turn.
    async fn asked(gate: &Arc<Gate>, name: &'static str) -> BoxFuture<'static, Result<Turn, Fault>> {
        let gate = gate.clone();
        let mut turn = async move { gate.turn(&tenants(name)).await }.boxed();
        assert!(poll_immediate(&mut turn).await.is_none(), "there was no need to wait");
        turn
    }

    async fn is_let_through(turn: &mut BoxFuture<'static, Result<Turn, Fault>>) -> Option<Turn> {
        std::future::poll_fn(|cx| match turn.poll_unpin(cx) {
            Poll::Ready(turn) => Poll::Ready(Some(turn.unwrap())),
            Poll::Pending => Poll::Ready(None),
        })
        .await
    }

    #[tokio::test]
    async fn tenants_take_turns_however_many_questions_each_has() {
        let (gate, heard, clock) = gate(10);
        let running = gate.turn(&tenants("a")).await.unwrap();
        let (mut a1, mut a2, mut b) = (asked(&gate, "a").await, asked(&gate, "a").await, asked(&gate, "b").await);
        assert_eq!(*heard.0.lock(), (1, 3));
        clock.advance(std::time::Duration::from_secs(2));
        drop(running);
        let first = is_let_through(&mut a1).await.unwrap();
        assert!(is_let_through(&mut a2).await.is_none() && is_let_through(&mut b).await.is_none());
        drop(first);
        let second = is_let_through(&mut b).await.unwrap();
        assert!(is_let_through(&mut a2).await.is_none());
        drop(second);
        assert!(is_let_through(&mut a2).await.is_some());
        assert_eq!(*heard.0.lock(), (0, 0));
        assert_eq!(*heard.1.lock(), [0.0, 2.0, 2.0, 2.0]);
    }

    #[tokio::test]
    async fn a_question_to_several_tenants_goes_when_the_first_of_them_has_its_turn() {
        let (gate, heard, _) = gate(10);
        let running = gate.turn(&tenants("a")).await.unwrap();
        let (mut a1, mut a2) = (asked(&gate, "a").await, asked(&gate, "a").await);
        let mut both = asked(&gate, "a|b").await;
        let mut b = asked(&gate, "b").await;
        assert_eq!(*heard.0.lock(), (1, 4));
        drop(running);
        let first = is_let_through(&mut a1).await.unwrap();
        assert!(is_let_through(&mut both).await.is_none());
        drop(first);
        // The turn of b, in whose line nobody stands before it.
        let second = is_let_through(&mut both).await.unwrap();
        assert!(is_let_through(&mut a2).await.is_none() && is_let_through(&mut b).await.is_none());
        drop(second);
        let third = is_let_through(&mut a2).await.unwrap();
        drop(third);
        assert!(is_let_through(&mut b).await.is_some());
        assert_eq!(*heard.0.lock(), (0, 0));
        assert!(gate.state.lock().lines.is_empty(), "it stands in no line any more");
    }

    #[tokio::test]
    async fn a_question_to_several_tenants_counts_once_and_leaves_every_line() {
        let (gate, heard, _) = gate(2);
        let running = gate.turn(&tenants("a")).await.unwrap();
        let gone = asked(&gate, "a|b|c").await;
        let mut c = asked(&gate, "c").await;
        assert_eq!(*heard.0.lock(), (1, 2));
        assert!(gate.turn(&tenants("b")).await.is_err());
        drop(gone);
        let mut b = asked(&gate, "b").await;
        drop(running);
        let first = is_let_through(&mut c).await.unwrap();
        drop(first);
        assert!(is_let_through(&mut b).await.is_some());
    }

    #[tokio::test]
    async fn beyond_the_line_is_a_refusal_with_the_names_of_the_keys() {
        let (gate, ..) = gate(1);
        let running = gate.turn(&tenants("a")).await.unwrap();
        let waiting = asked(&gate, "a").await;
        let fault = gate.turn(&tenants("b")).await.unwrap_err();
        assert_eq!(fault.kind, flamestore_model::Kind::Unavailable);
        assert!(fault.message.contains("querier.max_queued"), "{fault}");
        assert_eq!(fault.again_after_secs, Some(AGAIN_AFTER_SECS));
        // Who goes away leaves room.
        drop(waiting);
        let mut other = asked(&gate, "b").await;
        drop(running);
        assert!(is_let_through(&mut other).await.is_some());
    }

    #[tokio::test]
    async fn a_tenant_that_fills_all_places_gives_some_up_to_others() {
        let (gate, heard, _) = gate(4);
        let running = gate.turn(&tenants("a")).await.unwrap();
        let mut a = vec![];
        for _ in 0..4 {
            a.push(asked(&gate, "a").await);
        }
        let mut b = [asked(&gate, "b").await, asked(&gate, "b").await];
        // Two each: nobody has more than b would have then.
        for name in ["a", "b"] {
            assert!(gate.turn(&tenants(name)).await.is_err());
        }
        for _ in 0..2 {
            let fault = a.pop().unwrap().await.unwrap_err();
            assert_eq!(fault.id, FaultId::TooManyQueries, "the last ones, as if they had come too late");
        }
        assert_eq!(*heard.0.lock(), (1, 4));
        drop(running);
        for turn in [&mut a[0], &mut b[0]].into_iter() {
            drop(is_let_through(turn).await.unwrap());
        }
    }

    #[tokio::test]
    async fn a_turn_that_nobody_took_is_not_lost() {
        let (gate, ..) = gate(10);
        let running = gate.turn(&tenants("a")).await.unwrap();
        let (given, gone) = (asked(&gate, "a").await, asked(&gate, "a").await);
        drop(gone);
        drop(running);
        // It has its turn, and goes away before it looks.
        drop(given);
        assert!(poll_immediate(gate.turn(&tenants("a"))).await.unwrap().is_ok());
        assert_eq!(gate.state.lock().running, 0);
    }
}

//! Whatever is done in whatever order, and wherever it breaks off: what was acknowledged and is not past retention is
//! answered, once. One seed is one trace; a failure names its seed, and `FLAMESTORE_SIM_SEED=n` runs it alone.

use std::num::NonZero;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering::SeqCst};
use std::time::Duration;

use flamestore_clock::Clock;
use flamestore_index::Index;
use flamestore_model::TimeRange;
use futures::TryStreamExt;

use flamestore_compactor::delete::State;
use flamestore_compactor::lost::CONFIRMED;

use crate::same::live;
use crate::support::{Struck, World, runtime, tenant_of};

const SEEDS: u64 = 200;
const STEPS: usize = 30;

impl World {
    /// Of one service, from some time on. What is broken off is asked for again, until it is known to be done.
    async fn delete(&mut self) {
        let (tenant, service) = (self.below(2) as u8, self.below(3));
        let now_ms = self.clock.now_millis();
        let from_ms = now_ms - self.below(60 * 60) as i64 * 1000;
        let selector = format!("{{service_name=\"svc-{service}\"}}");
        let storms = match self.below(4) {
            0 => {
                self.fuse.store(1 + self.below(20) as i64, SeqCst);
                let _ = self.compactor().delete(&tenant_of(tenant), &selector, from_ms, now_ms).await;
                self.crash().await;
                false
            }
            what => what == 1,
        };
        if storms {
            self.storm.begin();
        }
        let asked = self.compactor().delete(&tenant_of(tenant), &selector, from_ms, now_ms).await;
        self.storm.end();
        let receipt = match asked {
            Err(_) if storms => self.compactor().delete(&tenant_of(tenant), &selector, from_ms, now_ms).await.unwrap(),
            asked => asked.unwrap(),
        };
        self.struck.deletions.fetch_add(u64::from(receipt.blocks_to_rewrite > 0), SeqCst);
        let range = TimeRange::from_millis(from_ms, now_ms);
        self.pushed.retain(|p| p.tenant != tenant || p.service != service || !range.contains(p.time));
    }

    /// Whatever goes on goes on in a storm.
    async fn weather(&mut self) {
        self.storm.begin();
        for _ in 0..=self.below(2) {
            match self.below(5) {
                0 => drop(self.engine().flush().await),
                1 => drop(self.compactor().clean_all().await),
                2 => self.crash().await,
                _ => {
                    let _ = self.engine().flush().await;
                    let _ = self.compactor().compact_all().await;
                }
            }
        }
        self.storm.end();
    }

    /// Another process on the bucket merges, and may clean when this one has seen what it did.
    async fn visit(&mut self) {
        let other = World::beside(self).await;
        other.compactor().compact_all().await.unwrap();
        self.struck.visits.fetch_add(1, SeqCst);
        if self.below(2) == 0 {
            self.compactor().clean_all().await.unwrap();
            other.compactor().clean_all().await.unwrap();
        }
    }

    /// Somebody deletes objects of a block by hand, and puts them back when they are missed; meanwhile life goes on. Nothing is
    /// answered that must not be, and in the end nothing is missing.
    async fn bereave(&mut self, when: &str) {
        let tenant = self.below(2) as u8;
        self.compactor().clean_all().await.unwrap();
        let blocks = live(self, tenant).await;
        if blocks.is_empty() {
            return;
        }
        let block = &blocks[self.below(blocks.len() as u64) as usize];
        let folder = format!("{}/blocks/{}", tenant_of(tenant), block.ulid);
        let mut keys: Vec<String> = self.bucket.list(&folder).map_ok(|o| o.key).try_collect().await.unwrap();
        keys.sort();
        if self.below(2) == 0 {
            keys = vec![keys.swap_remove(self.below(keys.len() as u64) as usize)];
        }
        let mut kept = Vec::new();
        for key in keys {
            kept.push((key.clone(), self.bucket.get(&key).await.unwrap()));
            self.bucket.delete(&key).await.unwrap();
        }
        self.struck.bereft.fetch_add(1, SeqCst);
        for _ in 0..self.below(9) {
            match self.below(8) {
                0 => self.push().await,
                1 => self.engine().flush().await.unwrap(),
                2 => drop(self.compactor().compact_all().await),
                3 => self.crash().await,
                4 => self.delete().await,
                5 => self.weather().await,
                _ => self.compactor().clean_all().await.unwrap(),
            }
            self.clock.advance(Duration::from_secs(1));
            for t in 0..2 {
                for (id, value) in self.answered(t, when).await.0 {
                    let is_known = self.pushed.iter().any(|p| p.tenant == t && p.id == id && p.value == value);
                    assert!(is_known, "{when}: {id:?} is answered");
                }
            }
        }
        if self.below(2) == 0 {
            for _ in 0..=CONFIRMED {
                self.answered(tenant, when).await;
                self.compactor().clean_all().await.unwrap();
                self.clock.advance(Duration::from_secs(1));
            }
        }
        let index = Index::new(self.bucket.clone(), tenant_of(tenant), self.clock.clone());
        let given_up = index.view(4).await.unwrap().snapshot.is_lost(block.ulid);
        self.struck.given_up.fetch_add(u64::from(given_up), SeqCst);
        for (key, content) in kept {
            self.bucket.put(&key, content).await.unwrap();
        }
        self.compactor().clean_all().await.unwrap();
    }

    async fn step(&mut self, when: &str) {
        match self.below(18) {
            0..=3 => {
                for _ in 0..=self.below(3) {
                    self.push().await;
                }
            }
            4..=5 => self.engine().flush().await.unwrap(),
            6 => self.compactor().compact_all().await.unwrap(),
            7 => self.compactor().clean_all().await.unwrap(),
            12 => self.delete().await,
            8 => self.clock.advance(Duration::from_secs(600 + self.below(4 * 3600))),
            9 => self.crash().await,
            13..=14 => self.weather().await,
            16 => self.visit().await,
            17 => self.bereave(when).await,
            15 => {
                let (tenant, many) = (self.below(2) as u8, [1, 2, usize::MAX][self.below(3) as usize]);
                self.damage_index(tenant, many).await;
                if self.below(2) == 0 {
                    self.crash().await;
                }
            }
            // The bucket goes away in the middle, and then the process.
            what => {
                self.fuse.store(1 + self.below(if what == 10 { 12 } else { 60 }) as i64, SeqCst);
                match self.below(4) {
                    0 => drop(self.engine().flush().await),
                    1 => drop(self.compactor().clean_all().await),
                    _ => {
                        let _ = self.engine().flush().await;
                        let _ = self.compactor().compact_all().await;
                    }
                }
                if self.below(2) == 0 {
                    self.crash().await;
                }
                self.fuse.store(-1, SeqCst);
                // What was done and not answered for is gone on from.
                if self.below(3) == 0 {
                    self.clock.advance(Duration::from_secs(3 * 3600));
                    self.compactor().compact_all().await.unwrap();
                }
            }
        }
    }
}

/// Returns every call of the bucket.
async fn simulate(seed: u64, struck: Arc<Struck>) -> Vec<String> {
    // One job at a time: of two, either may be the first to make a call.
    let mut world = World::tuned(seed, struck, |config| config.concurrency = 1).await;
    for step in 0..STEPS {
        let when = format!("seed {seed}, step {step}");
        world.step(&when).await;
        if step % 3 == 0 {
            world.check(&when).await;
        }
    }
    world.crash().await;
    world.check(&format!("seed {seed}, started again")).await;
    world.engine().flush().await.unwrap();
    // All windows end; then everything goes.
    world.clock.advance(Duration::from_secs(10 * 3600));
    let before = world.answers().await;
    world.compactor().compact_all().await.unwrap();
    world.check(&format!("seed {seed}, all compacted")).await;
    assert_eq!(world.answers().await, before, "seed {seed}: compaction changes an answer");
    for t in 0..2 {
        let open = world.compactor().deletions(&tenant_of(t)).await.unwrap();
        assert!(open.iter().all(|r| r.state != State::Hidden), "seed {seed}: {open:?}");
    }
    world.compactor().clean_all().await.unwrap();
    world.check(&format!("seed {seed}, cleaned")).await;
    world.clock.advance(Duration::from_secs(26 * 3600));
    world.compactor().clean_all().await.unwrap();
    world.clock.advance(Duration::from_secs(3600));
    world.compactor().clean_all().await.unwrap();
    for t in 0..2 {
        let index = Index::new(world.bucket.clone(), tenant_of(t), world.clock.clone());
        let view = index.view(4).await.unwrap();
        assert!(view.live.is_empty() && view.snapshot.dead.is_empty(), "seed {seed}: {view:?}");
        let folders = world.bucket.list_dirs(&format!("tenant-{t}/blocks")).await.unwrap();
        assert!(folders.is_empty(), "seed {seed}: bytes are left in {folders:?}");
        let leases: Vec<_> = world.bucket.list(&format!("tenant-{t}/leases")).try_collect().await.unwrap();
        assert_eq!(leases, [], "seed {seed}");
    }
    world.storm.trace()
}

#[test]
fn the_same_seed_makes_the_same_trace() {
    for seed in [1, 2, 3] {
        let run = || runtime().block_on(simulate(seed, Arc::default()));
        let (one, other) = (run(), run());
        assert!(one.len() > 200, "{} calls", one.len());
        let differs = one.iter().zip(&other).position(|(a, b)| a != b);
        assert_eq!(differs.map(|at| (at, &one[at], &other[at])), None, "seed {seed}");
        assert_eq!(one.len(), other.len(), "seed {seed}");
    }
}

#[test]
fn no_order_of_steps_and_breaks_changes_what_is_answered() {
    let struck = Arc::new(Struck::default());
    let one = std::env::var("FLAMESTORE_SIM_SEED").ok().and_then(|s| s.parse::<u64>().ok());
    let seeds: Vec<u64> = one.map_or_else(|| (0..SEEDS).collect(), |seed| vec![seed]);
    // Each seed is a world of its own.
    let next = AtomicUsize::new(0);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, NonZero::get) {
            scope.spawn(|| {
                let runtime = runtime();
                while let Some(seed) = seeds.get(next.fetch_add(1, SeqCst)) {
                    runtime.block_on(simulate(*seed, struck.clone()));
                }
            });
        }
    });
    let count = |counter: &AtomicU64| counter.load(SeqCst);
    println!(
        "{} seeds: {} checks, {} compactions, {} failed, {} faults, {} crashes ({} with a log), {} blocks too old, {} deleted",
        seeds.len(),
        count(&struck.checks),
        count(&struck.compacted),
        count(&struck.compactions_failed),
        count(&struck.faults),
        count(&struck.crashes),
        count(&struck.restarts_with_log),
        count(&struck.marked_old),
        count(&struck.deleted),
    );
    println!(
        "{} snapshots damaged, {} times an index made again from the blocks",
        count(&struck.damaged),
        count(&struck.made_again),
    );
    println!(
        "{} blocks lost objects, {} of them were given up and came back",
        count(&struck.bereft),
        count(&struck.given_up),
    );
    println!(
        "in storms: {} starts, {} calls failed before and {} after their effect, {} throttled, {} delayed, {} half reads, \
         {} flipped bits, {} listings out of date",
        count(&struck.starts_in_storms),
        count(&struck.failed_before),
        count(&struck.failed_after),
        count(&struck.throttled),
        count(&struck.delayed),
        count(&struck.partial_reads),
        count(&struck.flipped_bits),
        count(&struck.stale_lists),
    );
    let mut corrupt = struck.corrupt.lock().clone();
    // Objects that are gone are told, too.
    corrupt.retain(|fault| !fault.contains("/index/") && !fault.contains("not there"));
    assert_eq!(corrupt, Vec::<String>::new(), "nothing else that stands in the bucket is damaged");
    if one.is_none() {
        for (what, counter) in [
            ("compactions", &struck.compacted),
            ("failed compactions", &struck.compactions_failed),
            ("faults", &struck.faults),
            ("crashes", &struck.crashes),
            ("restarts with a log", &struck.restarts_with_log),
            ("blocks past retention", &struck.marked_old),
            ("deleted blocks", &struck.deleted),
            ("deletions on request", &struck.deletions),
            ("damaged snapshots", &struck.damaged),
            ("blocks that lost objects", &struck.bereft),
            ("blocks that were given up", &struck.given_up),
            ("visits of another process", &struck.visits),
            ("indexes made again from the blocks", &struck.made_again),
            ("roll-ups", &struck.rolled_up),
            ("starts in storms", &struck.starts_in_storms),
            ("calls that failed before their effect", &struck.failed_before),
            ("answers that were lost", &struck.failed_after),
            ("calls that were throttled", &struck.throttled),
            ("calls that took their time", &struck.delayed),
            ("reads that came in part", &struck.partial_reads),
            ("bits that flipped", &struck.flipped_bits),
            ("listings out of date", &struck.stale_lists),
        ] {
            assert!(count(counter) >= SEEDS / 10, "too few {what}: {}", count(counter));
        }
    }
}

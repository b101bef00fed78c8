//! Finished parts of answers are used again, and never where they would be wrong.

use flamestore_api::{Answer, Reader};
use flamestore_block::Ulid;
use flamestore_engine::Engine;
use flamestore_flamegraph::Tree;
use flamestore_index::{Deletion, Snapshot};
use flamestore_model::{Matcher, TimeRange, TreeQuery};

use crate::support::{Disk, Model, Spec, everything, query, runtime, tenant, together};

async fn ask(engine: &Engine, query: &TreeQuery) -> Answer<Tree> {
    engine.tree(&tenant(0), query).await.unwrap()
}

/// From one second to another, both included.
fn seconds(from: i64, to: i64) -> TimeRange {
    let at = |second| Spec { second, ..Spec::simple(1) }.time_nanos();
    TimeRange { from_nanos: at(from), to_nanos: at(to) }
}

/// Blocks of the seconds 0 and 1, 2 and 3, and so on; the profile of a second has its number plus one as value.
async fn filled(disk: &Disk, engine: &Engine, blocks: i64) {
    let mut model = Model::default();
    for block in 0..blocks {
        for second in [2 * block, 2 * block + 1] {
            model.push(engine, Spec { second, ..Spec::simple(second + 1) }).await.unwrap();
        }
        engine.flush().await.unwrap();
        disk.clock.advance(std::time::Duration::from_secs(2));
    }
}

#[test]
fn a_block_within_the_range_is_read_once_however_the_window_moves() {
    let _together = together();
    runtime().block_on(async {
        let disk = Disk::in_memory();
        let engine = disk.start().await;
        filled(&disk, &engine, 6).await;
        let first = ask(&engine, &query(None, 0, seconds(0, 9))).await;
        assert_eq!((first.value.total(), first.reads.blocks, first.reads.cached_blocks), (55, 5, 0));
        // One block comes in, one goes out, one is cut.
        let moved = ask(&engine, &query(None, 0, seconds(3, 11))).await;
        assert_eq!((moved.value.total(), moved.reads.blocks, moved.reads.cached_blocks), (72, 5, 3));
        let again = ask(&engine, &query(None, 0, seconds(3, 11))).await;
        assert_eq!((again.value.total(), again.reads.cached_blocks, again.reads.requests), (72, 5, 0));
        // Another question is another answer.
        let other = ask(&engine, &query(Some(0), 0, seconds(3, 11))).await;
        assert_eq!((other.value.total(), other.reads.cached_blocks), (72, 0));
        assert_eq!(ask(&engine, &query(None, 1, seconds(3, 11))).await.reads.cached_blocks, 0);
        let mut same = query(Some(0), 0, seconds(3, 11));
        same.select.selector.matchers.push(Matcher::equal("pod", "p0"));
        ask(&engine, &same).await;
        same.select.selector.matchers.reverse();
        assert_eq!(ask(&engine, &same).await.reads.cached_blocks, 5, "the order of conditions does not matter");
        assert!(engine.stats().result_cache_bytes > 0);
    });
}

#[test]
fn what_was_deleted_between_two_questions_is_in_neither_answer_and_back_when_it_is_shown_again() {
    let _together = together();
    runtime().block_on(async {
        let disk = Disk::in_memory();
        let engine = disk.start().await;
        filled(&disk, &engine, 2).await;
        let all = query(None, 0, everything());
        let blocks: Vec<Ulid> = {
            let names = disk.bucket.list_dirs("tenant-0/blocks").await.unwrap();
            names.iter().filter_map(|name| Ulid::parse(name)).collect()
        };
        assert_eq!(blocks.len(), 2);
        let hide = |deleted: Vec<(&str, TimeRange)>| {
            let mut now = Snapshot::empty("tenant-0");
            now.deletions.extend(deleted.into_iter().map(|(selector, range)| Deletion {
                id: Ulid(1),
                listed_in: 1,
                selector: selector.to_owned(),
                from_nanos: range.from_nanos,
                until_nanos: range.to_nanos,
                asked_ms: 0,
                blocks: blocks.clone(),
                replaced: vec![],
            }));
            engine.follow(&tenant(0), &now).unwrap();
        };
        let of = |from, to| ("{}", seconds(from, to));
        let of_nobody = || ("{pod=\"none\"}", everything());
        for _ in 0..2 {
            assert_eq!(ask(&engine, &all).await.value.total(), 10);
            hide(vec![of(1, 1)]);
            assert_eq!(ask(&engine, &all).await.value.total(), 8);
            hide(vec![of(1, 1), of(2, 9)]);
            assert_eq!(ask(&engine, &all).await.value.total(), 1);
            hide(vec![of_nobody()]);
            assert_eq!(ask(&engine, &all).await.value.total(), 10);
            hide(vec![]);
        }
        assert_eq!(ask(&engine, &all).await.reads.cached_blocks, 2, "each state of the blocks has its own parts");
    });
}

#[test]
fn the_cache_stays_within_its_bound_and_can_be_left_out() {
    let _together = together();
    runtime().block_on(async {
        for bound in [0, 20_000] {
            let disk = Disk::in_memory();
            let engine = disk.engine_with(|config| config.result_cache_bytes = bound);
            engine.start().await.unwrap();
            filled(&disk, &engine, 8).await;
            for _ in 0..2 {
                for from in 0..16 {
                    let answer = ask(&engine, &query(None, 0, seconds(from, 15))).await;
                    assert_eq!(answer.value.total(), (from + 1..=16).sum::<i64>());
                    assert!(engine.stats().result_cache_bytes <= bound);
                    assert!(bound > 0 || answer.reads.cached_blocks == 0);
                }
            }
        }
    });
}

//! Which blocks a command is about: those that are named, or all that count.

use clap::Args;
use flamestore_block::meta::meta_key;
use flamestore_block::upload::committed;
use flamestore_block::{Meta, Ulid};
use flamestore_index::{Snapshot, View};
use flamestore_model::{Fault, TenantId};

use crate::blocks::row::{Row, State};
use crate::blocks::store::Store;
use crate::failure::{Exit, Failure};
use crate::times;

/// `meta.json` files that are read at the same time.
pub(crate) const MAX_PARALLEL_METAS: usize = 8;
const NANOS_PER_MILLI: i64 = 1_000_000;

/// Which of all blocks.
#[derive(Debug, Args)]
pub(crate) struct Wanted {
    /// Only blocks that have profiles of this time or later: `now-1h`, seconds or milliseconds since the epoch, or
    /// 2026-02-28T10:00:00Z.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    from: Option<String>,

    /// Only blocks that have profiles of this time or earlier.
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    until: Option<String>,

    /// Only blocks that have profiles of this service; may be given several times.
    #[arg(long = "service", value_name = "NAME")]
    services: Vec<String>,
}

/// The same, understood.
pub(crate) struct Filter<'a> {
    from_ms: Option<i64>,
    until_ms: Option<i64>,
    services: &'a [String],
}

impl Wanted {
    pub(crate) fn read(&self) -> Result<Filter<'_>, Failure> {
        let now = times::now_nanos();
        let read = |text: &Option<String>, option: &str| -> Result<_, Failure> {
            let time = text.as_ref().map(|text| times::parse_time(text, now).map_err(|e| e.at(option)));
            Ok(time.transpose()?.map(|nanos| nanos.div_euclid(NANOS_PER_MILLI)))
        };
        Ok(Filter {
            from_ms: read(&self.from, "--from")?,
            until_ms: read(&self.until, "--until")?,
            services: &self.services,
        })
    }
}

impl Filter<'_> {
    /// A block of which the asked is not known is not wanted.
    pub(crate) fn admits(&self, row: &Row) -> bool {
        self.from_ms.is_none_or(|from| row.max_time_ms.is_some_and(|max| max >= from))
            && self.until_ms.is_none_or(|until| row.min_time_ms.is_some_and(|min| min <= until))
            && (self.services.is_empty() || row.services.iter().any(|service| self.services.contains(service)))
    }
}

/// A block, and what its tenant's index says of it.
pub(crate) struct Found {
    pub(crate) tenant: TenantId,
    pub(crate) meta: Meta,
    pub(crate) row: Row,
}

/// Reads the ids that a user has written.
pub(crate) fn ids(texts: &[String]) -> Result<Vec<Ulid>, Failure> {
    let read = |text: &String| {
        Ulid::parse(text).ok_or_else(|| {
            Failure::usage(format!("{text:?} is no id of a block: 26 characters, as flamectl blocks list shows them"))
        })
    };
    texts.iter().map(read).collect()
}

pub(crate) fn view(store: &Store, tenant: &TenantId) -> Result<View, Failure> {
    store.wait(store.index(tenant).view(MAX_PARALLEL_METAS))
}

/// The named blocks, in the order of their names. Each must be there.
pub(crate) fn named(store: &Store, ids: &[Ulid]) -> Result<Vec<Found>, Failure> {
    let tenants = store.tenants()?;
    let mut snapshots: Vec<Option<Snapshot>> = tenants.iter().map(|_| None).collect();
    let mut found = Vec::with_capacity(ids.len());
    for id in ids {
        let mut of_anybody = None;
        for (tenant, known) in tenants.iter().zip(&mut snapshots) {
            let Some(meta) = store.wait(now(store, tenant, *id))? else { continue };
            if meta.tenant != tenant.as_str() || meta.ulid != *id {
                let key = meta_key(tenant, *id);
                return Err(Failure::new(Exit::Damaged, format!("{key} describes a block of another place")));
            }
            let snapshot = match known {
                Some(snapshot) => snapshot,
                // A damaged list says nothing of the block; verify says that it is damaged.
                None => known.insert(
                    store
                        .wait(store.index(tenant).latest())?
                        .snapshot
                        .unwrap_or_else(|_| Snapshot::empty(tenant.as_str())),
                ),
            };
            of_anybody = Some(Found { tenant: tenant.clone(), row: row(&meta, snapshot), meta });
        }
        found.push(of_anybody.ok_or_else(|| {
            Failure::nothing(format!("there is no block {id}: flamectl blocks list --all shows what there is"))
        })?);
    }
    Ok(found)
}

fn row(meta: &Meta, snapshot: &Snapshot) -> Row {
    let dead = snapshot.dead.iter().find(|d| d.ulid == meta.ulid);
    let state = match dead {
        Some(_) => State::Dead,
        None if snapshot.is_lost(meta.ulid) => State::Lost,
        None if meta.level > 0 && snapshot.seq > 0 && snapshot.block(meta.ulid).is_none() => State::Orphan,
        None => State::Live,
    };
    Row { why: dead.map(|d| d.why.as_str().to_owned()), ..Row::of(meta, state, snapshot) }
}

/// Every block that counts and that the filter admits.
pub(crate) fn counting(store: &Store, filter: &Filter<'_>) -> Result<Vec<Found>, Failure> {
    let mut found = Vec::new();
    for tenant in store.tenants()? {
        found.extend(counting_of(store, &tenant, filter)?);
    }
    Ok(found)
}

/// The same of one tenant.
pub(crate) fn counting_of(store: &Store, tenant: &TenantId, filter: &Filter<'_>) -> Result<Vec<Found>, Failure> {
    let view = view(store, tenant)?;
    let found = view.live.into_iter().map(|meta| {
        let row = Row::of(&meta, State::Live, &view.snapshot);
        Found { tenant: tenant.clone(), meta, row }
    });
    Ok(found.filter(|found| filter.admits(&found.row)).collect())
}

/// The `meta.json` of a block as it is now; `None`: it has been deleted.
pub(crate) async fn now(store: &Store, tenant: &TenantId, id: Ulid) -> Result<Option<Meta>, Fault> {
    committed(store.bucket(), &meta_key(tenant, id)).await
}

//! One block of several: symbols joined, profiles in order, each once.
//!
//! Hot in the compactor. Holds the sources decoded: see [`memory`](crate::plan::memory).

use std::collections::{BTreeMap, BTreeSet};

use flamestore_block::ulid::block_id;
use flamestore_block::{
    Block, BlockMeta, DatasetInput, Origin, ProfileInput, SeriesInput, Ulid, VERSION, Whole, Written, write_block,
};
use flamestore_model::{Fault, Labels, TenantId};
use flamestore_symbols::{Symbols, Union};

/// Makes the block that replaces `sources`. The same sources give the same id and the same bytes, whoever merges them and
/// whenever.
///
/// The sum of every query stays the same, but for one thing: a profile that stands in two blocks under one id, which a
/// push that was tried again leaves, is kept once. `deletions` names the requests whose profiles the sources hide: they are
/// left out for good, so what is made depends on them. `None`: nothing is left.
///
/// Fails as `Corrupt` when a source cannot be read; the fault names it.
pub async fn merge(
    sources: &[Block],
    tenant: &TenantId,
    level: u32,
    deletions: &BTreeSet<Ulid>,
) -> Result<Option<Written>, Fault> {
    let services: BTreeSet<&str> =
        sources.iter().flat_map(|b| &b.meta().datasets).map(|d| d.service_name.as_str()).collect();
    let mut datasets = Vec::with_capacity(services.len());
    for service in services {
        let mut wholes = Vec::new();
        for block in sources {
            let of_service = block.meta().datasets.iter().position(|d| d.service_name == service);
            if let Some(dataset) = of_service {
                wholes.push(Box::pin(block.whole(dataset)).await?);
            }
        }
        let service = service.to_owned();
        let merged = blocking(move || Merged::of(service, wholes)).await?;
        datasets.extend(Some(merged).filter(|dataset| !dataset.series.is_empty()));
    }
    if datasets.is_empty() {
        return Ok(None);
    }
    let meta = BlockMeta {
        ulid: id_of(sources, tenant, level, deletions),
        tenant: tenant.clone(),
        level,
        origin: Origin::default(),
        sources: sources.iter().map(|b| b.meta().ulid).collect::<BTreeSet<_>>().into_iter().collect(),
        origins: sources
            .iter()
            .flat_map(|b| b.meta().origins().to_vec())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .collect(),
    };
    blocking(move || {
        let inputs: Vec<&dyn DatasetInput> = datasets.iter().map(|d| d as &dyn DatasetInput).collect();
        write_block(&inputs, &meta).map(Some)
    })
    .await
}

fn id_of(sources: &[Block], tenant: &TenantId, level: u32, deletions: &BTreeSet<Ulid>) -> Ulid {
    let ids: BTreeSet<Ulid> = sources.iter().map(|b| b.meta().ulid).collect();
    let start = ids.first().map_or(0, |id| id.unix_ms());
    let bytes = |ids: &BTreeSet<Ulid>| ids.iter().flat_map(|id| id.0.to_be_bytes()).collect::<Vec<u8>>();
    block_id(
        start,
        &[
            b"compacted",
            tenant.as_str().as_bytes(),
            &level.to_le_bytes(),
            &VERSION.to_le_bytes(),
            &bytes(&ids),
            &bytes(deletions),
        ],
    )
}

/// The profiles of one service from several blocks.
struct Merged {
    service: String,
    symbols: Symbols,
    parts: Vec<Whole>,
    series: Vec<MergedSeries>,
}

struct MergedSeries {
    profile_type: String,
    labels: Labels,
    /// Part and number of each profile, by (time, id).
    profiles: Vec<(u32, u32)>,
}

impl Merged {
    fn of(service: String, mut parts: Vec<Whole>) -> Result<Self, Fault> {
        let mut union = Union::default();
        for part in &mut parts {
            let to = union.add(part.symbols())?;
            part.renumber(&to)?;
        }
        let mut series: BTreeMap<(&str, &Labels), Vec<(u32, u32)>> = BTreeMap::new();
        for (at, part) in (0u32..).zip(&parts) {
            for (labels, profile_type, profiles) in part.series() {
                let places = profiles.map(|profile| (at, profile as u32));
                series.entry((profile_type, labels)).or_default().extend(places);
            }
        }
        let series = series
            .into_iter()
            .filter(|(_, places)| !places.is_empty())
            .map(|((profile_type, labels), places)| MergedSeries {
                profile_type: profile_type.to_owned(),
                labels: labels.clone(),
                profiles: in_order(&parts, places),
            })
            .collect();
        Ok(Merged { service, symbols: union.into_symbols(), parts, series })
    }
}

/// Profiles of one series by (time, id). One that a second block has under the same id is a push that was tried again.
fn in_order(parts: &[Whole], mut all: Vec<(u32, u32)>) -> Vec<(u32, u32)> {
    let key = |(part, profile): (u32, u32)| {
        let part = &parts[part as usize];
        (part.time_nanos(profile as usize), part.profile_id(profile as usize))
    };
    all.sort_by_key(|place| (key(*place), *place));
    let mut kept: Vec<(u32, u32)> = Vec::with_capacity(all.len());
    for place in all {
        let again = kept.last().is_some_and(|last| last.0 != place.0 && key(*last) == key(place));
        if !again {
            kept.push(place);
        }
    }
    kept
}

impl DatasetInput for Merged {
    fn service_name(&self) -> &str {
        &self.service
    }

    fn symbols(&self) -> &Symbols {
        &self.symbols
    }

    fn series<'a>(&'a self) -> Box<dyn Iterator<Item = SeriesInput<'a>> + 'a> {
        Box::new(self.series.iter().map(move |series| SeriesInput {
            labels: &series.labels,
            profile_type: &series.profile_type,
            profiles: Box::new(series.profiles.iter().map(move |(part, profile)| -> ProfileInput<'a> {
                self.parts[*part as usize].profile(*profile as usize)
            })),
        }))
    }
}

/// Runs what computes for long away from the threads that wait.
async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T, Fault> + Send + 'static) -> Result<T, Fault> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(e) => Err(Fault::internal("a compaction broke off: this is a bug, see the log").caused_by(e)),
    }
}

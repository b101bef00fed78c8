//! `adhocprofiles.v1.AdHocProfileService`: files that a person uploads to look at, kept apart from the series.
//!
//! Each is one object of the bucket, `<tenant>/adhoc/<id>`, with the file as it came.

mod file;
mod id;
mod perf;
mod rendered;

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use flamestore_clock::{Chance, Clock};
use flamestore_flamegraph::Diff;
use flamestore_limits::Overrides;
use flamestore_model::{Fault, FaultId, Kind, TenantId};
use flamestore_objstore::{Bucket, sealed};
use flamestore_proto::adhocprofiles::v1 as wire;
use flamestore_proto::adhocprofiles::v1::ad_hoc_profile_service_server::AdHocProfileService;
use flamestore_rpc::{Place, Told, Tried, to_status};
use futures::TryStreamExt;
use serde::{Deserialize, Serialize};
use tonic::{Request, Response, Status};

use crate::adhoc::file::{Opened, Said};
use crate::frontend::off_the_reactor;
use crate::range;
use crate::render::{Metadata, Rendered};
use crate::settings::tenant_of;

/// The largest file, in bytes as it came.
pub const MAX_FILE_BYTES: usize = 32 << 20;
/// The most files that a list names, the newest.
pub const MAX_LISTED: usize = 1_000;

/// The uploaded files of all tenants. Cheap to clone.
#[derive(Clone)]
pub struct AdHocDoor(Arc<Parts>);

/// The things that ad hoc profiles work with.
pub struct Parts {
    pub bucket: Bucket,
    pub overrides: Arc<Overrides>,
    pub clock: Arc<dyn Clock>,
    pub chance: Arc<dyn Chance>,
}

/// An object of the bucket.
#[derive(Debug, Serialize, Deserialize)]
struct Stored {
    name: String,
    uploaded_at_ms: i64,
    /// Base64.
    file: String,
}

type Answer<T> = Result<Response<T>, Status>;

fn key(tenant: &TenantId, id: &str) -> String {
    format!("{}/adhoc/{id}", tenant.as_str())
}

fn unbase64(text: &str) -> Result<Vec<u8>, Fault> {
    STANDARD.decode(text).map_err(|e| Fault::invalid("the profile is not base64").caused_by(e))
}

impl AdHocDoor {
    pub fn new(parts: Parts) -> Self {
        AdHocDoor(Arc::new(parts))
    }

    async fn load(&self, tenant: &TenantId, id: &str) -> Result<Stored, Fault> {
        if !id::is_valid(id) {
            return Err(Fault::invalid(format!("{id:?} is not the id of an uploaded profile")));
        }
        let object = self.0.bucket.get(&key(tenant, id)).await.map_err(|fault| match fault.kind {
            Kind::NotFound => Fault::new(Kind::NotFound, format!("there is no uploaded profile {id}")),
            _ => fault,
        })?;
        sealed::open(&object).map_err(|e| {
            let fault = Fault::corrupt(format!("the uploaded profile {id} cannot be read")).caused_by(e);
            self.0.bucket.damaged(&key(tenant, id), &fault);
            fault
        })
    }

    fn max_nodes(&self, tenant: &TenantId, asked: Option<i64>) -> Result<usize, Fault> {
        range::max_nodes(asked, &self.0.overrides.of(tenant))
    }

    async fn upload(
        &self,
        tenant: &TenantId,
        request: wire::AdHocProfilesUploadRequest,
        place: &Place,
    ) -> Result<wire::AdHocProfilesGetResponse, Fault> {
        let max_nodes = self.max_nodes(tenant, request.max_nodes)?;
        let stored =
            Arc::new(Stored { name: request.name, uploaded_at_ms: self.0.clock.now_millis(), file: request.profile });
        let file = stored.file(place).await?;
        if file.len() > MAX_FILE_BYTES {
            return Err(Fault::new(Kind::TooLarge, format!("the file is larger than {MAX_FILE_BYTES} bytes")));
        }
        let now_ms = stored.uploaded_at_ms;
        let id = id::make(now_ms, self.0.chance.next_u128(), &stored.name);
        // A file that cannot be shown is not kept.
        let (told_bytes, same) = (file::told_bytes(&file), stored.clone());
        let open = move |cap| file::open(&same.name, &file, None, cap).and_then(|opened| shown(opened, max_nodes));
        let (profile_type, profile_types, flamebearer_profile) = read(place, told_bytes, open).await?;
        let same = stored.clone();
        let object = off_the_reactor(move || serde_json::to_vec(&*same)).await?;
        let object = object.map_err(|e| Fault::internal("the upload cannot be written as JSON").caused_by(e))?;
        self.0.bucket.put_create(&key(tenant, &id), sealed::seal(object).into()).await?;
        Ok(wire::AdHocProfilesGetResponse {
            id,
            name: stored.name.clone(),
            uploaded_at: now_ms,
            profile_type,
            profile_types,
            flamebearer_profile,
        })
    }

    async fn get(
        &self,
        tenant: &TenantId,
        request: wire::AdHocProfilesGetRequest,
        place: &Place,
    ) -> Result<wire::AdHocProfilesGetResponse, Fault> {
        let max_nodes = self.max_nodes(tenant, request.max_nodes)?;
        let stored = self.load(tenant, &request.id).await?;
        let (name, uploaded_at) = (stored.name.clone(), stored.uploaded_at_ms);
        let file = Arc::new(stored).file(place).await?;
        let (told_bytes, of_file) = (file::told_bytes(&file), name.clone());
        let open = move |cap| {
            let opened = file::open(&of_file, &file, request.profile_type.as_deref(), cap)?;
            shown(opened, max_nodes)
        };
        let (profile_type, profile_types, flamebearer_profile) = read(place, told_bytes, open).await?;
        Ok(wire::AdHocProfilesGetResponse {
            id: request.id,
            name,
            uploaded_at,
            profile_type,
            profile_types,
            flamebearer_profile,
        })
    }

    /// The newest first.
    async fn list(&self, tenant: &TenantId) -> Result<Vec<wire::AdHocProfilesProfileMetadata>, Fault> {
        let folder = key(tenant, "");
        let folder = folder.trim_end_matches('/');
        let objects: Vec<_> = self.0.bucket.list(folder).try_collect().await?;
        let mut found: Vec<_> = objects
            .iter()
            .filter_map(|object| {
                let id = object.key.rsplit('/').next()?;
                let (uploaded_at, name) = id::read(id)?;
                Some(wire::AdHocProfilesProfileMetadata { id: id.to_owned(), name: name.to_owned(), uploaded_at })
            })
            .collect();
        found.sort_unstable_by(|a, b| b.id.cmp(&a.id));
        found.truncate(MAX_LISTED);
        Ok(found)
    }

    async fn diff(
        &self,
        tenant: &TenantId,
        request: wire::AdHocProfilesDiffRequest,
        place: &Place,
    ) -> Result<wire::AdHocProfilesDiffResponse, Fault> {
        let max_nodes = self.max_nodes(tenant, request.max_nodes)?;
        let (left, right) =
            tokio::try_join!(self.load(tenant, &request.left_id), self.load(tenant, &request.right_id))?;
        let (left, right) = (Arc::new(left), Arc::new(right));
        let (left_file, right_file) = (left.file(place).await?, right.file(place).await?);
        let told_bytes = file::told_bytes(&left_file) + file::told_bytes(&right_file);
        let compare = move |cap| {
            let of = |stored: &Stored, file: &[u8], wanted: Option<&str>| file::open(&stored.name, file, wanted, cap);
            let (first_left, first_right) = (of(&left, &left_file, None)?, of(&right, &right_file, None)?);
            let both_nameless = first_left.said == Said::Nothing && first_right.said == Said::Nothing;
            let common = first_left.types.iter().filter(|t| both_nameless || first_right.types.contains(t));
            let profile_types: Vec<String> = common.cloned().collect();
            let asked = request.profile_type.as_ref().filter(|t| profile_types.contains(t));
            let Some(wanted) = asked.or(profile_types.first()).cloned() else {
                return Err(Fault::invalid("the two profiles have no type in common"));
            };
            let left = of(&left, &left_file, Some(&wanted))?;
            let right = of(&right, &right_file, Some(&wanted))?;
            let diff = Diff::new(&left.tree, &right.tree, max_nodes);
            let metadata = metadata(&left, "double");
            let flamebearer_profile = json(&Rendered::double(diff, metadata))?;
            Ok(wire::AdHocProfilesDiffResponse { profile_types, flamebearer_profile })
        };
        read(place, told_bytes, compare).await
    }
}

impl Stored {
    /// The bytes of the file, held at the request's place.
    async fn file(self: &Arc<Self>, place: &Place) -> Result<Vec<u8>, Fault> {
        let stored = self.clone();
        let read = move || {
            let file = unbase64(&stored.file);
            let held = file.as_ref().map_or(0, Vec::capacity);
            (file, held)
        };
        let (file, part) = place.work(self.file.len(), read).await?;
        place.keep(part);
        file
    }
}

/// Opens files that say that they have so many bytes, at the request's place. `open` takes the most that one may have.
async fn read<T: Send + 'static>(
    place: &Place,
    told_bytes: usize,
    open: impl Fn(usize) -> Result<T, Fault> + Send + Sync + 'static,
) -> Result<T, Fault> {
    let most = file::MAX_INFLATED_BYTES;
    let told = Told { bytes: told_bytes, most, memory_per_byte: file::MEMORY_PER_BYTE };
    let tried = move |cap| {
        Tried::of(open(cap).map(|opened| (opened, 0)), |fault| cap != most && fault.id == FaultId::ProfileTooLarge)
    };
    Ok(place.read(told, tried).await?.0)
}

/// The shown type, all types, and the flame graph as JSON.
fn shown(mut opened: Opened, max_nodes: usize) -> Result<(String, Vec<String>, String), Fault> {
    opened.tree.truncate(max_nodes);
    let metadata = metadata(&opened, "single");
    let text = json(&Rendered::single(opened.tree.flamegraph(), metadata))?;
    let chosen = opened.types.get(opened.chosen).cloned().unwrap_or_default();
    Ok((chosen, opened.types, text))
}

fn metadata(opened: &Opened, format: &'static str) -> Metadata {
    let name = opened.types.get(opened.chosen).map_or("", String::as_str);
    match &opened.said {
        Said::Nothing => Metadata::of_file(name, format),
        Said::Unit(unit) => Metadata::of(name, unit, format),
        Said::Shown { units, sample_rate } => Metadata::as_shown(name, units, *sample_rate, format),
    }
}

fn json(rendered: &Rendered) -> Result<String, Fault> {
    serde_json::to_string(rendered).map_err(|e| Fault::internal("the answer cannot be written").caused_by(e))
}

#[tonic::async_trait]
impl AdHocProfileService for AdHocDoor {
    async fn upload(
        &self,
        request: Request<wire::AdHocProfilesUploadRequest>,
    ) -> Answer<wire::AdHocProfilesGetResponse> {
        let place = Place::of_request(&request);
        let answer = async { self.upload(&tenant_of(&request)?, request.into_inner(), &place).await };
        answer.await.map(Response::new).map_err(to_status)
    }

    async fn get(&self, request: Request<wire::AdHocProfilesGetRequest>) -> Answer<wire::AdHocProfilesGetResponse> {
        let place = Place::of_request(&request);
        let answer = async { self.get(&tenant_of(&request)?, request.into_inner(), &place).await };
        answer.await.map(Response::new).map_err(to_status)
    }

    async fn list(&self, request: Request<wire::AdHocProfilesListRequest>) -> Answer<wire::AdHocProfilesListResponse> {
        let answer = async { self.list(&tenant_of(&request)?).await };
        let profiles = answer.await.map_err(to_status)?;
        Ok(Response::new(wire::AdHocProfilesListResponse { profiles }))
    }

    async fn diff(&self, request: Request<wire::AdHocProfilesDiffRequest>) -> Answer<wire::AdHocProfilesDiffResponse> {
        let place = Place::of_request(&request);
        let answer = async { self.diff(&tenant_of(&request)?, request.into_inner(), &place).await };
        answer.await.map(Response::new).map_err(to_status)
    }
}

#[cfg(test)]
mod tests {
    use flamestore_clock::{ManualClock, SeededChance};
    use flamestore_limits::Limits;

    use super::*;

    fn door() -> AdHocDoor {
        AdHocDoor::new(Parts {
            bucket: Bucket::in_memory(),
            overrides: Arc::new(Overrides::new(Limits::default())),
            clock: ManualClock::at_nanos(1_795_000_000_000_000_000),
            chance: Arc::new(SeededChance::new(1)),
        })
    }

    fn file(name: &str, text: &str) -> wire::AdHocProfilesUploadRequest {
        let profile = STANDARD.encode(text);
        wire::AdHocProfilesUploadRequest { name: name.into(), profile, max_nodes: None }
    }

    #[tokio::test]
    async fn what_is_uploaded_is_listed_shown_and_compared() {
        let (door, tenant) = (door(), TenantId::parse("a").unwrap());
        let first = door.upload(&tenant, file("x.folded", "a;b 3\n"), &Place::default()).await.unwrap();
        let second = door.upload(&tenant, file("y.folded", "a;c 4\n"), &Place::default()).await.unwrap();
        let listed = door.list(&tenant).await.unwrap();
        assert_eq!(listed.len(), 2);
        assert_eq!(listed[0].uploaded_at, 1_795_000_000_000);
        let request = wire::AdHocProfilesGetRequest { id: first.id.clone(), profile_type: None, max_nodes: None };
        assert_eq!(door.get(&tenant, request, &Place::default()).await.unwrap(), first);
        let request = wire::AdHocProfilesDiffRequest {
            left_id: first.id,
            right_id: second.id,
            profile_type: None,
            max_nodes: None,
        };
        let diff = door.diff(&tenant, request, &Place::default()).await.unwrap();
        assert!(diff.flamebearer_profile.contains(r#""leftTicks":3"#), "{}", diff.flamebearer_profile);
    }

    #[tokio::test]
    async fn another_tenants_file_is_not_found() {
        let (door, a, b) = (door(), TenantId::parse("a").unwrap(), TenantId::parse("b").unwrap());
        let id = door.upload(&a, file("x", "a 1"), &Place::default()).await.unwrap().id;
        let kind = async |id: &str| {
            let request = wire::AdHocProfilesGetRequest { id: id.into(), profile_type: None, max_nodes: None };
            door.get(&b, request, &Place::default()).await.unwrap_err().kind
        };
        assert_eq!(kind(&id).await, Kind::NotFound);
        assert_eq!(kind(&format!("../../a/adhoc/{id}")).await, Kind::Invalid);
    }
}

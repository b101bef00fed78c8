//! `settings.v1.SettingsService`: small texts that user interfaces keep for a tenant.
//!
//! All settings of a tenant are one object of the bucket, `<tenant>/settings/settings.json`, written whole.

use std::collections::BTreeMap;
use std::sync::Arc;

use flamestore_model::{Fault, Kind, TenantId};
use flamestore_objstore::Bucket;
use flamestore_proto::settings::v1 as wire;
use flamestore_proto::settings::v1::settings_service_server::SettingsService;
use flamestore_rpc::{Tenants, to_status};
use serde::{Deserialize, Serialize};
use tokio::sync::Mutex;
use tonic::{Request, Response, Status};

use crate::stored;

/// The most settings of a tenant.
pub const MAX_SETTINGS: usize = 1_000;
/// The largest name and value together, in bytes.
pub const MAX_SETTING_BYTES: usize = 64 << 10;

const WHAT: &str = "the settings";

/// The settings of all tenants. Cheap to clone.
#[derive(Clone)]
pub struct SettingsDoor(Arc<Store>);

struct Store {
    bucket: Bucket,
    /// Held from reading to writing, so that no write is lost to another one.
    writing: Mutex<()>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Stored {
    value: String,
    modified_at_ms: i64,
}

type ByName = BTreeMap<String, Stored>;

impl SettingsDoor {
    pub fn new(bucket: Bucket) -> Self {
        SettingsDoor(Arc::new(Store { bucket, writing: Mutex::default() }))
    }
}

fn key(tenant: &TenantId) -> String {
    format!("{}/settings/settings.json", tenant.as_str())
}

impl Store {
    async fn read(&self, tenant: &TenantId) -> Result<ByName, Fault> {
        Ok(stored::read(&self.bucket, &key(tenant), WHAT).await?.unwrap_or_default())
    }

    async fn write(&self, tenant: &TenantId, settings: &ByName) -> Result<(), Fault> {
        stored::write(&self.bucket, &key(tenant), WHAT, settings).await
    }

    async fn set(&self, tenant: &TenantId, setting: wire::Setting) -> Result<wire::Setting, Fault> {
        if setting.name.is_empty() {
            return Err(Fault::invalid("the setting has no name"));
        }
        if setting.name.len() + setting.value.len() > MAX_SETTING_BYTES {
            return Err(Fault::invalid(format!("the setting is larger than {MAX_SETTING_BYTES} bytes")));
        }
        let _writing = self.writing.lock().await;
        let mut all = self.read(tenant).await?;
        match all.get(&setting.name) {
            Some(known) if known.modified_at_ms > setting.modified_at => {
                return Err(Fault::new(
                    Kind::Conflict,
                    format!("the setting {:?} has a newer update: read it again before you write", setting.name),
                ));
            }
            None if all.len() >= MAX_SETTINGS => {
                return Err(Fault::invalid(format!("there are {MAX_SETTINGS} settings already: delete some first")));
            }
            _ => {}
        }
        let stored = Stored { value: setting.value.clone(), modified_at_ms: setting.modified_at };
        all.insert(setting.name.clone(), stored);
        self.write(tenant, &all).await?;
        Ok(setting)
    }

    async fn delete(&self, tenant: &TenantId, name: &str) -> Result<(), Fault> {
        if name.is_empty() {
            return Err(Fault::invalid("name is required: the setting to delete"));
        }
        let _writing = self.writing.lock().await;
        let mut all = self.read(tenant).await?;
        match all.remove(name) {
            Some(_) => self.write(tenant, &all).await,
            None => Ok(()),
        }
    }
}

/// The one tenant that a plain request is of.
pub(crate) fn tenant_of_parts(parts: &http::request::Parts) -> Result<TenantId, Fault> {
    Tenants::of(&parts.extensions)?.single_or(Kind::Invalid).cloned()
}

/// The one tenant that a request is of.
pub(crate) fn tenant_of<T>(request: &Request<T>) -> Result<TenantId, Fault> {
    Tenants::of(request.extensions())?.single_or(Kind::Invalid).cloned()
}

#[tonic::async_trait]
impl SettingsService for SettingsDoor {
    async fn get(
        &self,
        request: Request<wire::GetSettingsRequest>,
    ) -> Result<Response<wire::GetSettingsResponse>, Status> {
        let answer = async {
            let all = self.0.read(&tenant_of(&request)?).await?;
            let settings = all.into_iter().map(|(name, stored)| wire::Setting {
                name,
                value: stored.value,
                modified_at: stored.modified_at_ms,
            });
            Ok(Response::new(wire::GetSettingsResponse { settings: settings.collect() }))
        };
        answer.await.map_err(to_status)
    }

    async fn set(
        &self,
        request: Request<wire::SetSettingsRequest>,
    ) -> Result<Response<wire::SetSettingsResponse>, Status> {
        let answer = async {
            let tenant = tenant_of(&request)?;
            let setting = request.into_inner().setting;
            let setting = setting.ok_or_else(|| Fault::invalid("the request has no setting"))?;
            let setting = Some(self.0.set(&tenant, setting).await?);
            Ok(Response::new(wire::SetSettingsResponse { setting }))
        };
        answer.await.map_err(to_status)
    }

    async fn delete(
        &self,
        request: Request<wire::DeleteSettingsRequest>,
    ) -> Result<Response<wire::DeleteSettingsResponse>, Status> {
        let answer = async {
            self.0.delete(&tenant_of(&request)?, &request.get_ref().name).await?;
            Ok(Response::new(wire::DeleteSettingsResponse {}))
        };
        answer.await.map_err(to_status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn setting(name: &str, value: &str, modified_at: i64) -> wire::Setting {
        wire::Setting { name: name.into(), value: value.into(), modified_at }
    }

    #[tokio::test]
    async fn the_newer_write_wins_and_tenants_are_apart() {
        let bucket = Bucket::in_memory();
        let door = SettingsDoor::new(bucket.clone());
        let (a, b) = (TenantId::parse("a").unwrap(), TenantId::parse("b").unwrap());
        door.0.set(&a, setting("x", "1", 10)).await.unwrap();
        door.0.set(&a, setting("x", "2", 10)).await.unwrap();
        assert_eq!(door.0.set(&a, setting("x", "3", 9)).await.unwrap_err().kind, Kind::Conflict);
        assert_eq!(door.0.set(&a, setting("", "3", 9)).await.unwrap_err().kind, Kind::Invalid);
        let again = SettingsDoor::new(bucket);
        assert_eq!(again.0.read(&a).await.unwrap()["x"], Stored { value: "2".into(), modified_at_ms: 10 });
        assert!(again.0.read(&b).await.unwrap().is_empty());
        again.0.delete(&a, "x").await.unwrap();
        again.0.delete(&a, "x").await.unwrap();
        assert!(again.0.read(&a).await.unwrap().is_empty());
    }
}

//! Every method of every service, by path.

use std::collections::HashMap;
use std::sync::Arc;

use flamestore_model::Fault;

use crate::caps::BodyCaps;
use crate::json::{MessageIndex, Schema};
use crate::observe::route_label;

/// Services that answer without a tenant.
const OPEN: [&str; 2] = ["/version.v1.", "/grpc."];

/// Paths of methods that change nothing, or what these begin with: they may be called with a GET.
const READS: [&str; 7] = [
    "/querier.v1.QuerierService/",
    "/version.v1.Version/",
    "/capabilities.v1.FeatureFlagsService/",
    "/settings.v1.SettingsService/Get",
    "/adhocprofiles.v1.AdHocProfileService/Get",
    "/adhocprofiles.v1.AdHocProfileService/List",
    "/adhocprofiles.v1.AdHocProfileService/Diff",
];

#[derive(Debug)]
pub(crate) struct Method {
    pub(crate) input: MessageIndex,
    pub(crate) output: MessageIndex,
    pub(crate) unary: bool,
    /// Changes nothing.
    pub(crate) reads: bool,
    /// Connect leaves it to a plain HTTP endpoint of the same path.
    pub(crate) plain: bool,
    pub(crate) cap: usize,
    pub(crate) label: Arc<str>,
    pub(crate) path: Arc<str>,
}

#[derive(Debug)]
pub(crate) struct Methods {
    pub(crate) schema: Arc<Schema>,
    by_path: HashMap<Arc<str>, Method, foldhash::fast::RandomState>,
}

impl Methods {
    pub(crate) fn new(sets: &[&[u8]], caps: &BodyCaps, plain_services: &[String]) -> Result<Self, Fault> {
        let (schema, pool) = Schema::from_descriptor_sets(sets)?;
        let mut by_path = HashMap::default();
        for service in pool.services() {
            for method in service.methods() {
                let path: Arc<str> = format!("/{}/{}", service.full_name(), method.name()).into();
                let find = |name: &str| {
                    schema.find(name).ok_or_else(|| Fault::internal(format!("{path}: no such message {name}")))
                };
                let built = Method {
                    input: find(method.input().full_name())?,
                    output: find(method.output().full_name())?,
                    unary: !method.is_client_streaming() && !method.is_server_streaming(),
                    reads: READS.iter().any(|prefix| path.starts_with(prefix)),
                    plain: plain_services.iter().any(|s| s == service.full_name()),
                    cap: caps.of(&path),
                    label: route_label(&path).into(),
                    path: path.clone(),
                };
                by_path.insert(path, built);
            }
        }
        Ok(Methods { schema: Arc::new(schema), by_path })
    }

    pub(crate) fn get(&self, path: &str) -> Option<&Method> {
        self.by_path.get(path)
    }
}

/// Whether a path answers without a tenant.
pub(crate) fn is_open(path: &str) -> bool {
    OPEN.iter().any(|prefix| path.starts_with(prefix))
}

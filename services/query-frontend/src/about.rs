//! What the server says of itself to clients: its API version and the features that Grafana's apps look for.

use flamestore_proto::capabilities::v1::feature_flags_service_server::FeatureFlagsService;
use flamestore_proto::capabilities::v1::{FeatureFlag, GetFeatureFlagsRequest, GetFeatureFlagsResponse};
use flamestore_proto::version::v1::version_server::Version;
use flamestore_proto::version::v1::{VersionRequest, VersionResponse};
use flamestore_rpc::Tenants;
use tonic::{Request, Response, Status};

/// The version of the query API that clients of this generation speak.
const QUERIER_API: u64 = 1;

/// `version.v1.Version` and `capabilities.v1.FeatureFlagsService`.
#[derive(Debug, Clone, Copy)]
pub struct AboutDoor {
    /// Whether recording rules can be kept.
    pub recording_rules: bool,
}

impl AboutDoor {
    /// Name, whether it is on, and what it means.
    const fn features(self) -> [(&'static str, bool, &'static str); 4] {
        let rules = self.recording_rules;
        [
            (
                "v2StorageLayer",
                true,
                "Queries answer with exemplars, heatmaps and merged profiles of one storage layer",
            ),
            ("pyroscopeRuler", rules, "Recording rules can be kept and listed"),
            ("pyroscopeRulerFunctions", rules, "Recording rules of single functions can be kept and listed"),
            ("utf8LabelNames", false, "Label names in any UTF-8 without asking for them"),
        ]
    }
}

#[tonic::async_trait]
impl Version for AboutDoor {
    async fn version(&self, _: Request<VersionRequest>) -> Result<Response<VersionResponse>, Status> {
        Ok(Response::new(VersionResponse { querier_api: QUERIER_API }))
    }
}

#[tonic::async_trait]
impl FeatureFlagsService for AboutDoor {
    async fn get_feature_flags(
        &self,
        request: Request<GetFeatureFlagsRequest>,
    ) -> Result<Response<GetFeatureFlagsResponse>, Status> {
        Tenants::of_request(&request)?;
        let feature_flags = self
            .features()
            .into_iter()
            .map(|(name, enabled, description)| FeatureFlag {
                name: name.into(),
                enabled,
                description: Some(description.into()),
                documentation_url: None,
            })
            .collect();
        Ok(Response::new(GetFeatureFlagsResponse { feature_flags }))
    }
}

//! Every RPC of the read side, for a process to add to its routes.

use std::sync::Arc;

use flamestore_clock::{Chance, Clock};
use flamestore_limits::Overrides;
use flamestore_objstore::Bucket;
use flamestore_proto::adhocprofiles::v1::ad_hoc_profile_service_server::AdHocProfileServiceServer;
use flamestore_proto::capabilities::v1::feature_flags_service_server::FeatureFlagsServiceServer;
use flamestore_proto::debuginfo::v1alpha1::debuginfo_service_server::DebuginfoServiceServer;
use flamestore_proto::querier::v1::querier_service_server::QuerierServiceServer;
use flamestore_proto::settings::v1::recording_rules_service_server::RecordingRulesServiceServer;
use flamestore_proto::settings::v1::settings_service_server::SettingsServiceServer;
use flamestore_proto::vcs::v1::vcs_service_server::VcsServiceServer;
use flamestore_proto::version::v1::version_server::VersionServer;
use flamestore_rpc::served;
use tonic::service::Routes;

use crate::about::AboutDoor;
use crate::adhoc::{self, AdHocDoor};
use crate::debuginfo::DebuginfoDoor;
use crate::frontend::Frontend;
use crate::grpc::QuerierDoor;
use crate::rules::{self, RulesDoor};
use crate::settings::SettingsDoor;
use crate::vcs::VcsDoor;

/// What the doors work with.
pub struct Doors {
    pub frontend: Arc<Frontend>,
    pub bucket: Bucket,
    pub overrides: Arc<Overrides>,
    pub clock: Arc<dyn Clock>,
    pub chance: Arc<dyn Chance>,
    /// Without it, nobody finds the service of recording rules.
    pub recording_rules: bool,
}

impl Doors {
    /// Adds the services.
    pub fn add_to(self, routes: Routes) -> Routes {
        let Doors { frontend, bucket, overrides, clock, chance, recording_rules } = self;
        let adhoc =
            adhoc::Parts { bucket: bucket.clone(), overrides: overrides.clone(), clock, chance: chance.clone() };
        let about = AboutDoor { recording_rules };
        let routes = routes
            .add_service(served!(QuerierServiceServer::new(QuerierDoor(frontend))))
            .add_service(served!(SettingsServiceServer::new(SettingsDoor::new(bucket.clone()))))
            .add_service(served!(AdHocProfileServiceServer::new(AdHocDoor::new(adhoc))))
            .add_service(served!(DebuginfoServiceServer::new(DebuginfoDoor)))
            .add_service(served!(VcsServiceServer::new(VcsDoor)))
            .add_service(served!(VersionServer::new(about)))
            .add_service(served!(FeatureFlagsServiceServer::new(about)));
        if !recording_rules {
            return routes;
        }
        let rules = RulesDoor::new(rules::Parts { bucket, overrides, chance });
        routes.add_service(served!(RecordingRulesServiceServer::new(rules)))
    }
}

//! `settings.v1.RecordingRulesService`: rules that turn profiles into metrics, kept and listed. Nothing evaluates them here.
//!
//! All rules of a tenant are one object of the bucket, `<tenant>/settings/recording-rules.json`, written whole. Those of
//! the configuration (`limits.recording_rules`) are listed with them and cannot be changed here.

use std::sync::Arc;

use flamestore_clock::Chance;
use flamestore_limits::Overrides;
use flamestore_limits::recording_rule::{
    ExternalLabel, FunctionFilter, MetricType, RecordingRule, StacktraceFilter, id_of, is_id,
};
use flamestore_model::{Fault, FaultId, Kind, TenantId};
use flamestore_objstore::Bucket;
use flamestore_proto::settings::v1 as wire;
use flamestore_proto::settings::v1::recording_rules_service_server::RecordingRulesService;
use flamestore_proto::types::v1::LabelPair;
use flamestore_rpc::to_status;
use tokio::sync::Mutex;
use tonic::{Request, Response, Status};

use crate::settings::tenant_of;
use crate::stored;

/// The largest rule, in bytes of its texts.
pub const MAX_RULE_BYTES: usize = 64 << 10;

/// The rules of all tenants. Cheap to clone.
#[derive(Clone)]
pub struct RulesDoor(Arc<Store>);

/// The things that rules work with.
pub struct Parts {
    pub bucket: Bucket,
    pub overrides: Arc<Overrides>,
    pub chance: Arc<dyn Chance>,
}

struct Store {
    parts: Parts,
    /// Held from reading to writing, so that no write is lost to another one.
    writing: Mutex<()>,
}

impl RulesDoor {
    pub fn new(parts: Parts) -> Self {
        RulesDoor(Arc::new(Store { parts, writing: Mutex::default() }))
    }
}

fn key(tenant: &TenantId) -> String {
    format!("{}/settings/recording-rules.json", tenant.as_str())
}

fn absent(id: &str) -> Fault {
    Fault::new(Kind::NotFound, format!("there is no recording rule {id}"))
}

fn provisioned(id: &str) -> Fault {
    Fault::invalid(format!("the recording rule {id} comes from limits.recording_rules: change it there"))
}

const WHAT: &str = "the recording rules";

impl Store {
    async fn read(&self, tenant: &TenantId) -> Result<Vec<RecordingRule>, Fault> {
        Ok(stored::read(&self.parts.bucket, &key(tenant), WHAT).await?.unwrap_or_default())
    }

    async fn write(&self, tenant: &TenantId, rules: &[RecordingRule]) -> Result<(), Fault> {
        stored::write(&self.parts.bucket, &key(tenant), WHAT, &rules).await
    }

    /// Those of the configuration first; whether each is one of them.
    async fn list(&self, tenant: &TenantId) -> Result<Vec<(RecordingRule, bool)>, Fault> {
        let stored = self.read(tenant).await?;
        let limits = self.parts.overrides.of(tenant);
        let provisioned = limits.recording_rules.iter().map(|rule| (rule.clone(), true));
        let own = stored.into_iter().filter(|rule| !limits.recording_rules.iter().any(|p| p.id == rule.id));
        Ok(provisioned.chain(own.map(|rule| (rule, false))).collect())
    }

    async fn get(&self, tenant: &TenantId, id: &str) -> Result<(RecordingRule, bool), Fault> {
        check_id(id)?;
        let all = self.list(tenant).await?;
        all.into_iter().find(|(rule, _)| rule.id == id).ok_or_else(|| absent(id))
    }

    async fn upsert(&self, tenant: &TenantId, mut rule: RecordingRule) -> Result<RecordingRule, Fault> {
        rule.check().map_err(|wrong| Fault::invalid(format!("invalid request: {wrong}")))?;
        let size = serde_json::to_vec(&rule).map_or(usize::MAX, |json| json.len());
        if size > MAX_RULE_BYTES {
            return Err(Fault::new(Kind::TooLarge, format!("the rule is larger than {MAX_RULE_BYTES} bytes")));
        }
        let limits = self.parts.overrides.of(tenant);
        if limits.recording_rules.iter().any(|p| p.id == rule.id) {
            return Err(provisioned(&rule.id));
        }
        let _writing = self.writing.lock().await;
        let mut all = self.read(tenant).await?;
        if rule.id.is_empty() {
            let taken = |id: &String| all.iter().chain(limits.recording_rules.iter()).any(|known| known.id == *id);
            // One is enough, but for one chance in 10^17.
            rule.id = loop {
                let id = id_of(self.parts.chance.next_u128());
                if !taken(&id) {
                    break id;
                }
            };
        }
        let known = all.iter_mut().find(|known| known.id == rule.id);
        if rule.generation != known.as_ref().map_or(0, |known| known.generation) {
            return Err(Fault::new(
                Kind::Conflict,
                format!("conflicting update of the recording rule {}: read it again before you write", rule.id),
            ));
        }
        rule.generation = rule.generation.saturating_add(1);
        match known {
            Some(known) => *known = rule.clone(),
            None => {
                let most = limits.max_recording_rules;
                if most > 0 && all.len() as u64 >= most {
                    return Err(Fault::over(
                        FaultId::TooManyRules,
                        format_args!("there are {} recording rules", all.len()),
                        most,
                    ));
                }
                all.push(rule.clone());
            }
        }
        self.write(tenant, &all).await?;
        Ok(rule)
    }

    async fn delete(&self, tenant: &TenantId, id: &str) -> Result<(), Fault> {
        check_id(id)?;
        if self.parts.overrides.of(tenant).recording_rules.iter().any(|p| p.id == id) {
            return Err(provisioned(id));
        }
        let _writing = self.writing.lock().await;
        let mut all = self.read(tenant).await?;
        let before = all.len();
        all.retain(|rule| rule.id != id);
        if all.len() == before {
            return Err(absent(id));
        }
        self.write(tenant, &all).await
    }
}

fn check_id(id: &str) -> Result<(), Fault> {
    match id {
        "" => Err(Fault::invalid("id is required: the recording rule that is meant")),
        id if is_id(id) => Ok(()),
        id => Err(Fault::invalid(format!("id {id:?} is not made of letters"))),
    }
}

fn of_wire(r: wire::UpsertRecordingRuleRequest) -> RecordingRule {
    let label = |l: LabelPair| ExternalLabel { name: l.name, value: l.value };
    let function = |f: wire::StacktraceFilterFunctionName| {
        let MetricType::Total = match f.metric_type() {
            wire::MetricType::Total => MetricType::Total,
        };
        FunctionFilter { function_name: f.function_name, metric_type: MetricType::Total }
    };
    RecordingRule {
        id: r.id,
        metric_name: r.metric_name,
        matchers: r.matchers,
        group_by: r.group_by,
        external_labels: r.external_labels.into_iter().map(label).collect(),
        generation: r.generation,
        stacktrace_filter: r
            .stacktrace_filter
            .map(|f| StacktraceFilter { function_name: f.function_name.map(function) }),
    }
}

fn to_wire((rule, provisioned): (RecordingRule, bool)) -> wire::RecordingRule {
    let profile_type = rule.profile_type().unwrap_or_default();
    let function = |f: FunctionFilter| wire::StacktraceFilterFunctionName {
        function_name: f.function_name,
        metric_type: match f.metric_type {
            MetricType::Total => wire::MetricType::Total.into(),
        },
    };
    wire::RecordingRule {
        id: rule.id,
        metric_name: rule.metric_name,
        profile_type,
        matchers: rule.matchers,
        group_by: rule.group_by,
        external_labels: rule.external_labels.into_iter().map(|l| LabelPair { name: l.name, value: l.value }).collect(),
        generation: rule.generation,
        stacktrace_filter: rule
            .stacktrace_filter
            .map(|f| wire::StacktraceFilter { function_name: f.function_name.map(function) }),
        provisioned,
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[tonic::async_trait]
impl RecordingRulesService for RulesDoor {
    async fn get_recording_rule(
        &self,
        request: Request<wire::GetRecordingRuleRequest>,
    ) -> Answer<wire::GetRecordingRuleResponse> {
        let answer = async { self.0.get(&tenant_of(&request)?, &request.get_ref().id).await };
        let rule = Some(to_wire(answer.await.map_err(to_status)?));
        Ok(Response::new(wire::GetRecordingRuleResponse { rule }))
    }

    async fn list_recording_rules(
        &self,
        request: Request<wire::ListRecordingRulesRequest>,
    ) -> Answer<wire::ListRecordingRulesResponse> {
        let answer = async { self.0.list(&tenant_of(&request)?).await };
        let rules = answer.await.map_err(to_status)?.into_iter().map(to_wire).collect();
        Ok(Response::new(wire::ListRecordingRulesResponse { rules }))
    }

    async fn upsert_recording_rule(
        &self,
        request: Request<wire::UpsertRecordingRuleRequest>,
    ) -> Answer<wire::UpsertRecordingRuleResponse> {
        let answer = async { self.0.upsert(&tenant_of(&request)?, of_wire(request.into_inner())).await };
        let rule = Some(to_wire((answer.await.map_err(to_status)?, false)));
        Ok(Response::new(wire::UpsertRecordingRuleResponse { rule }))
    }

    async fn delete_recording_rule(
        &self,
        request: Request<wire::DeleteRecordingRuleRequest>,
    ) -> Answer<wire::DeleteRecordingRuleResponse> {
        let answer = async { self.0.delete(&tenant_of(&request)?, &request.get_ref().id).await };
        answer.await.map_err(to_status)?;
        Ok(Response::new(wire::DeleteRecordingRuleResponse {}))
    }
}

#[cfg(test)]
mod tests {
    use flamestore_clock::SeededChance;
    use flamestore_limits::Limits;

    use super::*;

    fn door(bucket: &Bucket, most: u64) -> RulesDoor {
        let limits = Limits { max_recording_rules: most, ..Limits::default() };
        RulesDoor::new(Parts {
            bucket: bucket.clone(),
            overrides: Arc::new(Overrides::new(limits)),
            chance: Arc::new(SeededChance::new(1)),
        })
    }

    fn rule(metric: &str) -> RecordingRule {
        RecordingRule {
            metric_name: format!("profiles_recorded_{metric}"),
            matchers: vec!["{__profile_type__=\"a:b:c:d:e\", service_name=\"x\"}".into()],
            ..RecordingRule::default()
        }
    }

    #[tokio::test]
    async fn a_rule_is_made_changed_in_turn_and_deleted() {
        let bucket = Bucket::in_memory();
        let (tenant, other) = (TenantId::parse("a").unwrap(), TenantId::parse("b").unwrap());
        let made = door(&bucket, 25).0.upsert(&tenant, rule("x")).await.unwrap();
        assert!(is_id(&made.id) && made.generation == 1, "{made:?}");
        let store = door(&bucket, 25).0;
        assert_eq!(store.get(&tenant, &made.id).await.unwrap(), (made.clone(), false));
        let changed = RecordingRule { group_by: vec!["pod".into()], ..made.clone() };
        let changed = store.upsert(&tenant, changed).await.unwrap();
        assert_eq!(changed.generation, 2);
        assert_eq!(store.upsert(&tenant, made.clone()).await.unwrap_err().kind, Kind::Conflict);
        assert_eq!(store.list(&tenant).await.unwrap(), [(changed, false)]);
        assert!(store.list(&other).await.unwrap().is_empty());
        store.delete(&tenant, &made.id).await.unwrap();
        assert_eq!(store.delete(&tenant, &made.id).await.unwrap_err().kind, Kind::NotFound);
        assert_eq!(store.upsert(&tenant, made).await.unwrap_err().kind, Kind::Conflict);
    }

    #[tokio::test]
    async fn there_are_no_more_rules_than_the_tenant_may_have() {
        let (bucket, tenant) = (Bucket::in_memory(), TenantId::parse("a").unwrap());
        let store = door(&bucket, 2).0;
        for metric in ["x", "y"] {
            store.upsert(&tenant, rule(metric)).await.unwrap();
        }
        let fault = store.upsert(&tenant, rule("z")).await.unwrap_err();
        assert_eq!(fault.kind, Kind::Limited);
        assert!(fault.message.contains("max_recording_rules"), "{fault}");
        assert!(store.upsert(&tenant, rule("no-metric")).await.unwrap_err().message.contains("invalid request"));
    }
}

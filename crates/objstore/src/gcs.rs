//! Buckets of Google Cloud Storage.

use std::sync::Arc;

use flamestore_model::Fault;
use object_store::ObjectStore;
use object_store::gcp::GoogleCloudStorageBuilder;

use crate::endpoint::Endpoint;
use crate::environment::Environment;
use crate::{Bucket, refusal, remote};

/// Which bucket, and who we are. Empty texts are unset. No `Debug`: it holds a secret.
#[derive(Clone)]
pub struct Settings {
    pub bucket: String,
    /// The JSON of a service account's key.
    pub service_account: String,
    /// Another host than Google's. In plain HTTP it is an emulator: no credentials are looked for or sent.
    pub endpoint: String,
}

/// Opens a bucket without asking it anything.
pub fn open(settings: &Settings, prefix: &str, env: Environment<'_>) -> Result<Bucket, Fault> {
    let at = (!settings.endpoint.is_empty())
        .then(|| Endpoint::parse("storage.gcs.endpoint", &settings.endpoint))
        .transpose()?;
    let plain = at.as_ref().is_some_and(|at| at.plain);
    let mut builder = GoogleCloudStorageBuilder::new()
        .with_bucket_name(&settings.bucket)
        .with_retry(remote::retries(remote::MAX_RETRIES))
        .with_client_options(remote::client(plain));
    if let Some(at) = &at {
        builder = builder.with_base_url(&at.url());
    }
    let key = settings.service_account.as_str();
    if plain && !key.is_empty() {
        return Err(Fault::invalid(
            "storage.gcs.service_account is set and storage.gcs.endpoint is plain http, where it would be readable by \
             all: use https, or leave the account out",
        ));
    }
    if plain {
        builder = builder.with_bearer_token("none");
    } else if !key.is_empty() {
        builder = builder.with_service_account_key(key);
    } else if let Some(file) = env("GOOGLE_APPLICATION_CREDENTIALS") {
        builder = builder.with_application_credentials(file);
    }
    let store = builder.build().map_err(|e| match key {
        "" => refusal::unusable("storage.gcs", e),
        // Without its cause: a parser may quote what it could not read.
        _ => Fault::invalid("storage.gcs.service_account is not the JSON of a service account's key"),
    })?;
    Bucket::remote(Arc::new(store) as Arc<dyn ObjectStore>, prefix)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broken_account_is_refused_without_being_quoted() {
        for broken in ["hunter2", "\"hunter2\"", r#"{"private_key": "hunter2"}"#] {
            let settings = Settings { bucket: "b".into(), service_account: broken.into(), endpoint: String::new() };
            let refused = open(&settings, "", &|_| None).unwrap_err();
            assert!(refused.message.contains("storage.gcs.service_account"), "{refused}");
            assert!(!format!("{refused:?}").contains("hunter2"), "{refused:?}");
        }
    }

    #[test]
    fn an_account_is_never_sent_in_plain_http() {
        let settings = |account: &str| Settings {
            bucket: "b".into(),
            service_account: account.into(),
            endpoint: "http://127.0.0.1:1".into(),
        };
        assert!(open(&settings("{}"), "", &|_| None).unwrap_err().message.contains("storage.gcs.endpoint"));
        assert!(open(&settings(""), "", &|_| None).is_ok());
    }
}

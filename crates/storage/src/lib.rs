//! The bucket that the configuration names, for whoever keeps profiles in it and for whoever looks at it from outside.

use flamestore_config::Config;
use flamestore_config::config::{Backend, S3, Storage};
use flamestore_model::Fault;
use flamestore_objstore::{Bucket, Environment, azure, environment, gcs, s3};

/// Opens the bucket without asking it anything; `flamestore_objstore::self_test` tries it.
pub fn open(config: &Config) -> Result<Bucket, Fault> {
    Ok(of(&config.storage, &environment::of_process)?.with_max_requests(config.storage.max_requests))
}

fn of(storage: &Storage, env: Environment<'_>) -> Result<Bucket, Fault> {
    match storage.backend {
        Backend::Filesystem if storage.prefix.is_empty() => Bucket::filesystem(&storage.filesystem_dir),
        Backend::Filesystem => Bucket::filesystem(storage.filesystem_dir.join(&storage.prefix)),
        Backend::S3 => s3::open(&s3_settings(&storage.s3)?, &storage.prefix, env),
        Backend::Gcs => {
            let settings = gcs::Settings {
                bucket: storage.gcs.bucket_name.clone(),
                service_account: storage.gcs.service_account.expose().to_owned(),
                endpoint: storage.gcs.endpoint.clone(),
            };
            gcs::open(&settings, &storage.prefix, env)
        }
        Backend::Azure => {
            let azure = &storage.azure;
            let settings = azure::Settings {
                account_name: azure.account_name.clone(),
                account_key: azure.account_key.expose().to_owned(),
                connection_string: azure.connection_string.expose().to_owned(),
                container: azure.container_name.clone(),
                endpoint_suffix: azure.endpoint_suffix.clone(),
                user_assigned_id: azure.user_assigned_id.clone(),
                tenant_id: azure.az_tenant_id.clone(),
                client_id: azure.client_id.clone(),
                client_secret: azure.client_secret.expose().to_owned(),
                max_retries: usize::try_from(azure.max_retries).unwrap_or(usize::MAX),
            };
            azure::open(&settings, &storage.prefix, env)
        }
    }
}

fn s3_settings(s3: &S3) -> Result<s3::Settings, Fault> {
    let style = match (s3.bucket_lookup_type.as_str(), s3.force_path_style) {
        ("virtual-hosted", true) => {
            return Err(Fault::invalid(
                "storage.s3.bucket_lookup_type is virtual-hosted and storage.s3.force_path_style is true: leave one of \
                 them out",
            ));
        }
        ("virtual-hosted", false) => s3::Style::Host,
        ("path-style", _) | (_, true) => s3::Style::Path,
        _ => s3::Style::Auto,
    };
    if s3.native_aws_auth_enabled && !s3.access_key_id.is_empty() {
        return Err(Fault::invalid(
            "storage.s3.native_aws_auth_enabled is true and storage.s3.access_key_id is set: leave one of them out",
        ));
    }
    let encryption = match (s3.sse_type.as_str(), s3.sse_kms_key_id.as_str()) {
        ("SSE-KMS", key) => Some(s3::Encryption::Kms(key.to_owned())),
        (_, key) if !key.is_empty() => {
            return Err(Fault::invalid("storage.s3.sse.kms_key_id is of use with storage.s3.sse.type SSE-KMS only"));
        }
        ("SSE-S3", _) => Some(s3::Encryption::Store),
        ("", _) => None,
        (other, _) => {
            return Err(Fault::invalid(format!(
                "storage.s3.sse.type is {other:?}: it can be SSE-S3, SSE-KMS or empty"
            )));
        }
    };
    Ok(s3::Settings {
        endpoint: s3.endpoint.clone(),
        region: s3.region.clone(),
        bucket: s3.bucket_name.clone(),
        access_key_id: s3.access_key_id.clone(),
        secret_access_key: s3.secret_access_key.expose().to_owned(),
        insecure: s3.insecure,
        style,
        encryption,
    })
}

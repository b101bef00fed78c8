//! Buckets of Amazon S3 and of what speaks its language.

use std::sync::Arc;

use flamestore_model::Fault;
use object_store::ObjectStore;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};

use crate::endpoint::Endpoint;
use crate::environment::Environment;
use crate::{Bucket, aws_profile, refusal, remote};

/// The region of stores that have none, and of Amazon where nobody says another.
const DEFAULT_REGION: &str = "us-east-1";
const AMAZON: [&str; 2] = [".amazonaws.com", ".amazonaws.com.cn"];

/// Variables that say who we are. Others, such as one for the endpoint, would override the configuration.
const IDENTITY: [&str; 10] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_ENDPOINT_URL_STS",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
];

/// Where the bucket's name goes in a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Style {
    /// In the host name at Amazon, in the path elsewhere.
    Auto,
    Path,
    Host,
}

/// Encryption that the store is asked for with every object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Encryption {
    /// With keys of the store's own.
    Store,
    /// With a key of the key management service; an empty id is the account's default key.
    Kms(String),
}

/// Which bucket, and who we are. Empty texts are unset. No `Debug`: it holds a secret.
#[derive(Clone)]
pub struct Settings {
    pub endpoint: String,
    pub region: String,
    pub bucket: String,
    pub access_key_id: String,
    pub secret_access_key: String,
    /// Plain HTTP.
    pub insecure: bool,
    pub style: Style,
    pub encryption: Option<Encryption>,
}

/// Opens a bucket without asking it anything.
pub fn open(settings: &Settings, prefix: &str, env: Environment<'_>) -> Result<Bucket, Fault> {
    let store = builder(settings, env)?.build().map_err(|e| refusal::unusable("storage.s3", e))?;
    Bucket::remote(Arc::new(store) as Arc<dyn ObjectStore>, prefix)
}

fn builder(settings: &Settings, env: Environment<'_>) -> Result<AmazonS3Builder, Fault> {
    let given = (!settings.endpoint.is_empty()).then(|| endpoint(&settings.endpoint, settings.insecure)).transpose()?;
    let region = [settings.region.clone(), given.as_ref().map_or_else(String::new, |e| region_of(&e.host))]
        .into_iter()
        .find(|r| !r.is_empty())
        .or_else(|| env("AWS_REGION"))
        .or_else(|| env("AWS_DEFAULT_REGION"))
        .unwrap_or_else(|| DEFAULT_REGION.to_owned());
    let mut at =
        given.unwrap_or_else(|| Endpoint { plain: settings.insecure, host: format!("s3.{region}.amazonaws.com") });
    let in_host = match settings.style {
        Style::Path => false,
        Style::Host => true,
        // The certificates of Amazon's hosts do not cover names with dots.
        Style::Auto => AMAZON.iter().any(|a| at.host.ends_with(a)) && !settings.bucket.contains('.'),
    };
    if in_host {
        at.host = format!("{}.{}", settings.bucket, at.host);
    }
    let mut builder = AmazonS3Builder::new()
        .with_bucket_name(&settings.bucket)
        .with_region(region)
        .with_endpoint(at.url())
        .with_virtual_hosted_style_request(in_host)
        // Objects are deleted one at a time here, and not every store can delete many.
        .with_disable_bulk_delete(true)
        .with_retry(remote::retries(remote::MAX_RETRIES))
        .with_client_options(remote::client(at.plain));
    match &settings.encryption {
        None => {}
        Some(Encryption::Store) => builder = set(builder, "aws_server_side_encryption", "AES256")?,
        Some(Encryption::Kms(key)) => {
            builder = set(builder, "aws_server_side_encryption", "aws:kms")?;
            if !key.is_empty() {
                builder = set(builder, "aws_sse_kms_key_id", key)?;
            }
        }
    }
    identify(builder, settings, env)
}

/// Keys of the configuration, else of the environment, else of the profile, else what the machine is told it is.
fn identify(mut builder: AmazonS3Builder, settings: &Settings, env: Environment<'_>) -> Result<AmazonS3Builder, Fault> {
    match (settings.access_key_id.as_str(), settings.secret_access_key.as_str()) {
        ("", "") => {}
        ("", _) => return Err(half("storage.s3.secret_access_key", "storage.s3.access_key_id")),
        (_, "") => return Err(half("storage.s3.access_key_id", "storage.s3.secret_access_key")),
        (id, secret) => return Ok(builder.with_access_key_id(id).with_secret_access_key(secret)),
    }
    match (env("AWS_ACCESS_KEY_ID").is_some(), env("AWS_SECRET_ACCESS_KEY").is_some()) {
        (true, false) => return Err(half("the variable AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY")),
        (false, true) => return Err(half("the variable AWS_SECRET_ACCESS_KEY", "AWS_ACCESS_KEY_ID")),
        _ => {}
    }
    let mut found = false;
    for name in IDENTITY {
        if let Some(value) = env(name) {
            found = true;
            builder = set(builder, &name.to_ascii_lowercase(), &value)?;
        }
    }
    if !found && let Some(keys) = aws_profile::keys(env)? {
        builder = builder.with_access_key_id(keys.id).with_secret_access_key(keys.secret);
        if let Some(token) = keys.token {
            builder = builder.with_token(token);
        }
    }
    Ok(builder)
}

fn half(there: &str, missing: &str) -> Fault {
    Fault::invalid(format!("{there} is set without {missing}: set both, or neither"))
}

fn set(builder: AmazonS3Builder, name: &str, value: &str) -> Result<AmazonS3Builder, Fault> {
    let key: AmazonS3ConfigKey =
        name.parse().map_err(|e| Fault::internal(format!("the S3 client has no setting {name}")).caused_by(e))?;
    Ok(builder.with_config(key, value))
}

fn endpoint(text: &str, insecure: bool) -> Result<Endpoint, Fault> {
    let mut at = Endpoint::parse("storage.s3.endpoint", text)?;
    let scheme = text.contains("://");
    if at.plain && !insecure {
        return Err(Fault::invalid(
            "storage.s3.endpoint says http and storage.s3.insecure is false: set it to true if requests may go \
             unencrypted",
        ));
    }
    if scheme && !at.plain && insecure {
        return Err(Fault::invalid(
            "storage.s3.endpoint says https and storage.s3.insecure is true: leave one of them out",
        ));
    }
    at.plain = insecure;
    Ok(at)
}

/// `eu-west-1` of `s3.eu-west-1.amazonaws.com` and its like; empty for every other host.
fn region_of(host: &str) -> String {
    let Some(name) = AMAZON.iter().find_map(|a| host.strip_suffix(a)) else { return String::new() };
    let last = name.rsplit('.').next().unwrap_or_default();
    let region = last.strip_prefix("s3-").unwrap_or(last);
    // A region has the form area-direction-number.
    if region.split('-').count() >= 3 { region.to_owned() } else { String::new() }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOTHING: Environment<'static> = &|_| None;

    fn settings() -> Settings {
        Settings {
            endpoint: String::new(),
            region: String::new(),
            bucket: "b".into(),
            access_key_id: String::new(),
            secret_access_key: String::new(),
            insecure: false,
            style: Style::Auto,
            encryption: None,
        }
    }

    fn value(settings: &Settings, env: Environment<'_>, name: &str) -> Option<String> {
        builder(settings, env).ok()?.get_config_value(&name.parse().ok()?)
    }

    #[test]
    fn the_bucket_is_in_the_host_at_amazon_and_in_the_path_elsewhere() {
        let at = |endpoint: &str, bucket: &str, style| {
            let s = Settings { endpoint: endpoint.into(), bucket: bucket.into(), style, ..settings() };
            let in_host = value(&s, NOTHING, "aws_virtual_hosted_style_request").unwrap();
            (value(&s, NOTHING, "aws_endpoint").unwrap(), in_host == "true")
        };
        let path = |url: &str| (url.to_owned(), false);
        let host = |url: &str| (url.to_owned(), true);
        assert_eq!(at("", "b", Style::Auto), host("https://b.s3.us-east-1.amazonaws.com"));
        assert_eq!(at("", "b.c", Style::Auto), path("https://s3.us-east-1.amazonaws.com"));
        assert_eq!(at("", "b", Style::Path), path("https://s3.us-east-1.amazonaws.com"));
        assert_eq!(at("minio:9000", "b", Style::Auto), path("https://minio:9000"));
        assert_eq!(at("https://minio:9000/", "b", Style::Host), host("https://b.minio:9000"));
    }

    #[test]
    fn the_region_comes_from_the_key_then_the_host_then_the_environment() {
        let env: Environment<'_> = &|name| (name == "AWS_REGION").then(|| "eu-north-1".to_owned());
        let region = |region: &str, endpoint: &str, env| {
            let s = Settings { region: region.into(), endpoint: endpoint.into(), ..settings() };
            value(&s, env, "aws_region").unwrap()
        };
        let host = "s3.eu-west-1.amazonaws.com";
        assert_eq!(region("eu-central-1", host, env), "eu-central-1");
        assert_eq!(region("", host, env), "eu-west-1");
        assert_eq!(region("", "s3.dualstack.ap-south-1.amazonaws.com", env), "ap-south-1");
        assert_eq!(region("", "s3.cn-north-1.amazonaws.com.cn", env), "cn-north-1");
        assert_eq!(region("", "s3.amazonaws.com", env), "eu-north-1");
        assert_eq!(region("", "", NOTHING), "us-east-1");
    }

    #[test]
    fn keys_of_the_configuration_win_and_halves_are_refused() {
        let env: Environment<'_> = &|name| match name {
            "AWS_ACCESS_KEY_ID" => Some("from-env".into()),
            "AWS_SECRET_ACCESS_KEY" | "AWS_SESSION_TOKEN" => Some("secret".into()),
            "AWS_ENDPOINT_URL_S3" => Some("https://elsewhere".into()),
            _ => None,
        };
        let mut s = settings();
        assert_eq!(value(&s, env, "aws_access_key_id").unwrap(), "from-env");
        assert_eq!(value(&s, env, "aws_session_token").unwrap(), "secret");
        assert_eq!(value(&s, env, "aws_endpoint_url_s3"), None);
        s.access_key_id = "mine".into();
        let refused = builder(&s, env).unwrap_err().to_string();
        assert_eq!(
            refused,
            "storage.s3.access_key_id is set without storage.s3.secret_access_key: set both, or neither"
        );
        s.secret_access_key = "s".into();
        assert_eq!(value(&s, env, "aws_access_key_id").unwrap(), "mine");
        assert_eq!(value(&s, env, "aws_session_token"), None);
        let half: Environment<'_> = &|name| (name == "AWS_SECRET_ACCESS_KEY").then(|| "s".to_owned());
        assert!(builder(&settings(), half).unwrap_err().to_string().contains("AWS_ACCESS_KEY_ID"));
    }

    #[test]
    fn a_scheme_that_contradicts_the_keys_is_refused() {
        let refused = |endpoint: &str, insecure| {
            builder(&Settings { endpoint: endpoint.into(), insecure, ..settings() }, NOTHING)
                .err()
                .map(|f| f.to_string())
        };
        assert!(refused("http://h", false).unwrap().contains("storage.s3.insecure"));
        assert!(refused("https://h", true).unwrap().contains("storage.s3.insecure"));
        assert_eq!(refused("http://h", true), None);
        assert_eq!(refused("h", true), None);
    }

    #[test]
    fn encryption_is_asked_for_as_set() {
        let kms = Settings { encryption: Some(Encryption::Kms("key-1".into())), ..settings() };
        assert_eq!(value(&kms, NOTHING, "aws_server_side_encryption").unwrap(), "aws:kms");
        assert_eq!(value(&kms, NOTHING, "aws_sse_kms_key_id").unwrap(), "key-1");
        let own = Settings { encryption: Some(Encryption::Store), ..settings() };
        assert_eq!(value(&own, NOTHING, "aws_server_side_encryption").unwrap(), "AES256");
        for settings in [kms, own, settings()] {
            assert!(open(&settings, "p", NOTHING).is_ok());
        }
    }
}

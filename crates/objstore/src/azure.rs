//! Containers of Azure Blob Storage.

use std::sync::Arc;

use flamestore_model::Fault;
use object_store::ObjectStore;
use object_store::azure::{AzureConfigKey, MicrosoftAzureBuilder};

use crate::endpoint::Endpoint;
use crate::environment::Environment;
use crate::{Bucket, refusal, remote};

mod connection;

use connection::Connection;

/// The host after the account's name.
const PUBLIC_CLOUD: &str = "blob.core.windows.net";

/// Which container, and who we are. Empty texts are unset. No `Debug`: it holds secrets.
#[derive(Clone, Default)]
pub struct Settings {
    pub account_name: String,
    pub account_key: String,
    pub connection_string: String,
    pub container: String,
    pub endpoint_suffix: String,
    /// The managed identity to be, by its client id.
    pub user_assigned_id: String,
    pub tenant_id: String,
    pub client_id: String,
    pub client_secret: String,
    /// Attempts after the first.
    pub max_retries: usize,
}

/// Opens a container without asking it anything.
pub fn open(settings: &Settings, prefix: &str, env: Environment<'_>) -> Result<Bucket, Fault> {
    let store = builder(settings, env)?.build().map_err(|e| refusal::unusable("storage.azure", e))?;
    Bucket::remote(Arc::new(store) as Arc<dyn ObjectStore>, prefix)
}

fn builder(settings: &Settings, env: Environment<'_>) -> Result<MicrosoftAzureBuilder, Fault> {
    let connection = match settings.connection_string.as_str() {
        "" => Connection::default(),
        text => Connection::parse(text)?,
    };
    let account = match [connection.account.as_str(), settings.account_name.as_str()] {
        ["", ""] => {
            return Err(Fault::invalid(
                "storage.backend is azure: set storage.azure.account_name or storage.azure.connection_string",
            ));
        }
        ["", name] | [name, ""] => name,
        [one, other] if one == other => one,
        _ => {
            return Err(Fault::invalid(
                "storage.azure.account_name is not the account of storage.azure.connection_string: leave it out",
            ));
        }
    };
    let at = match (&connection.blob_endpoint, &connection.suffix, settings.endpoint_suffix.as_str()) {
        (Some(url), ..) => Endpoint::parse("storage.azure.connection_string", url)?,
        (None, Some(suffix), _) => Endpoint { plain: connection.plain, host: format!("{account}.blob.{suffix}") },
        (None, None, "") => Endpoint { plain: connection.plain, host: format!("{account}.{PUBLIC_CLOUD}") },
        (None, None, suffix) => {
            Endpoint::parse("storage.azure.endpoint_suffix", &format!("{account}.{}", suffix.trim_start_matches('.')))?
        }
    };
    let builder = MicrosoftAzureBuilder::new()
        .with_account(account)
        .with_container_name(&settings.container)
        .with_endpoint(at.url())
        .with_retry(remote::retries(settings.max_retries))
        .with_client_options(remote::client(at.plain));
    identify(builder, settings, connection, env)
}

/// What the configuration says, else what the machine is told it is.
fn identify(
    builder: MicrosoftAzureBuilder,
    settings: &Settings,
    connection: Connection,
    env: Environment<'_>,
) -> Result<MicrosoftAzureBuilder, Fault> {
    let Settings { account_key, user_assigned_id, tenant_id, client_id, client_secret, .. } = settings;
    let ways = [
        ("storage.azure.connection_string", connection.key.is_some() || connection.sas.is_some()),
        ("storage.azure.account_key", !account_key.is_empty()),
        ("storage.azure.client_secret", !client_secret.is_empty()),
        ("storage.azure.user_assigned_id", !user_assigned_id.is_empty()),
    ];
    let mut set = ways.iter().filter(|(_, set)| *set).map(|(name, _)| *name);
    if let (Some(one), Some(other)) = (set.next(), set.next()) {
        return Err(Fault::invalid(format!("{one} and {other} are both set: keep the one to log in with")));
    }
    if let Some(key) = connection.key.or_else(|| Some(account_key.clone()).filter(|k| !k.is_empty())) {
        return Ok(builder.with_access_key(key).with_credential_type("access_key"));
    }
    if let Some(sas) = connection.sas {
        return Ok(builder.with_config(AzureConfigKey::SasKey, sas).with_credential_type("sas_token"));
    }
    if !user_assigned_id.is_empty() {
        let builder = with_identity_endpoint(builder, env);
        return Ok(builder.with_client_id(user_assigned_id).with_credential_type("managed_identity"));
    }
    let or = |value: &String, name| Some(value.clone()).filter(|v| !v.is_empty()).or_else(|| env(name));
    let (tenant, client) = (or(tenant_id, "AZURE_TENANT_ID"), or(client_id, "AZURE_CLIENT_ID"));
    let secret = or(client_secret, "AZURE_CLIENT_SECRET");
    let mut builder = builder;
    if let Some(host) = env("AZURE_AUTHORITY_HOST") {
        builder = builder.with_authority_host(host);
    }
    match (tenant, client, secret, env("AZURE_FEDERATED_TOKEN_FILE")) {
        (Some(tenant), Some(client), Some(secret), _) => {
            Ok(builder.with_client_secret_authorization(client, secret, tenant).with_credential_type("client_secret"))
        }
        (_, _, Some(_), _) => Err(Fault::invalid(
            "storage.azure.client_secret is set without storage.azure.client_id and storage.azure.az_tenant_id: set \
             all three",
        )),
        (Some(tenant), Some(client), None, Some(token)) => Ok(builder
            .with_tenant_id(tenant)
            .with_client_id(client)
            .with_federated_token_file(token)
            .with_credential_type("workload_identity")),
        (_, client, ..) => {
            if !(tenant_id.is_empty() && client_id.is_empty()) {
                return Err(Fault::invalid(
                    "storage.azure.client_id and storage.azure.az_tenant_id are of use with \
                     storage.azure.client_secret, or with a token in the file of AZURE_FEDERATED_TOKEN_FILE; for a \
                     managed identity set storage.azure.user_assigned_id",
                ));
            }
            let builder = with_identity_endpoint(builder, env).with_credential_type("managed_identity");
            Ok(match client {
                Some(client) => builder.with_client_id(client),
                None => builder,
            })
        }
    }
}

fn with_identity_endpoint(builder: MicrosoftAzureBuilder, env: Environment<'_>) -> MicrosoftAzureBuilder {
    match env("IDENTITY_ENDPOINT") {
        Some(endpoint) => builder.with_msi_endpoint(endpoint),
        None => builder,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: &str = "c2VjcmV0";

    fn settings() -> Settings {
        Settings { account_name: "acc".into(), container: "c".into(), max_retries: 3, ..Settings::default() }
    }

    fn way(settings: &Settings, env: Environment<'_>) -> Result<String, String> {
        let builder = builder(settings, env).map_err(|f| f.to_string())?;
        builder.clone().build().map_err(|e| e.to_string())?;
        Ok(builder.get_config_value(&AzureConfigKey::CredentialType).unwrap_or_default())
    }

    #[test]
    fn each_way_to_log_in_is_chosen_by_what_is_set() {
        let none: Environment<'_> = &|_| None;
        let pod: Environment<'_> = &|name| match name {
            "AZURE_TENANT_ID" | "AZURE_CLIENT_ID" => Some("id".into()),
            "AZURE_FEDERATED_TOKEN_FILE" => Some("/token".into()),
            _ => None,
        };
        assert_eq!(way(&settings(), none).unwrap(), "managed_identity");
        assert_eq!(way(&settings(), pod).unwrap(), "workload_identity");
        let key = Settings { account_key: KEY.into(), ..settings() };
        assert_eq!(way(&key, pod).unwrap(), "access_key");
        let assigned = Settings { user_assigned_id: "me".into(), ..settings() };
        assert_eq!(way(&assigned, pod).unwrap(), "managed_identity");
        let app = Settings { tenant_id: "t".into(), client_id: "c".into(), client_secret: "s".into(), ..settings() };
        assert_eq!(way(&app, pod).unwrap(), "client_secret");
        let connection_string = format!("AccountName=acc;AccountKey={KEY}");
        let text = Settings { connection_string, account_name: String::new(), ..settings() };
        assert_eq!(way(&text, pod).unwrap(), "access_key");
        let connection_string = "AccountName=acc;SharedAccessSignature=sv=2024&sig=abc".into();
        let sas = Settings { connection_string, ..settings() };
        assert_eq!(way(&sas, pod).unwrap(), "sas_token");
    }

    #[test]
    fn halves_and_contradictions_are_refused_by_name() {
        let none: Environment<'_> = &|_| None;
        let refused = |s: Settings| way(&s, none).unwrap_err();
        let both = Settings { account_key: KEY.into(), user_assigned_id: "me".into(), ..settings() };
        assert!(refused(both).contains("storage.azure.user_assigned_id"));
        let half = Settings { client_secret: "hunter2".into(), client_id: "c".into(), ..settings() };
        let said = refused(half);
        assert!(said.contains("storage.azure.az_tenant_id") && !said.contains("hunter2"), "{said}");
        assert!(refused(Settings { client_id: "c".into(), ..settings() }).contains("user_assigned_id"));
        assert!(refused(Settings { account_name: String::new(), ..settings() }).contains("account_name"));
        let other = Settings { connection_string: format!("AccountName=x;AccountKey={KEY}"), ..settings() };
        assert!(refused(other).contains("account_name"));
    }

    #[test]
    fn the_host_is_made_of_account_and_suffix_or_taken_from_the_connection_string() {
        let none: Environment<'_> = &|_| None;
        let host = |s: Settings| builder(&s, none).unwrap().get_config_value(&AzureConfigKey::Endpoint).unwrap();
        assert_eq!(host(settings()), "https://acc.blob.core.windows.net");
        let china = Settings { endpoint_suffix: "blob.core.chinacloudapi.cn".into(), ..settings() };
        assert_eq!(host(china), "https://acc.blob.core.chinacloudapi.cn");
        let text = |text: &str| Settings { connection_string: text.into(), account_name: String::new(), ..settings() };
        assert_eq!(
            host(text("AccountName=a;EndpointSuffix=core.windows.net;DefaultEndpointsProtocol=http")),
            "http://a.blob.core.windows.net"
        );
        assert_eq!(host(text("AccountName=a;BlobEndpoint=http://127.0.0.1:10000/a;")), "http://127.0.0.1:10000/a");
    }
}

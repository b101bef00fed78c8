//! The text in which Azure's portal hands out an account with its key.

use flamestore_model::Fault;

/// What a connection string says. No `Debug`: it holds secrets.
#[derive(Default)]
pub(super) struct Connection {
    pub(super) account: String,
    pub(super) key: Option<String>,
    /// A shared access signature.
    pub(super) sas: Option<String>,
    pub(super) blob_endpoint: Option<String>,
    /// The host after `<account>.blob.`.
    pub(super) suffix: Option<String>,
    /// HTTP without TLS.
    pub(super) plain: bool,
}

impl Connection {
    /// Reads `Name=value;Name=value`. What concerns other services of an account is passed over.
    pub(super) fn parse(text: &str) -> Result<Self, Fault> {
        let mut connection = Connection::default();
        for part in text.split(';').map(str::trim).filter(|part| !part.is_empty()) {
            // Not quoted: it may be a key.
            let Some((name, value)) = part.split_once('=') else {
                return Err(Fault::invalid(
                    "storage.azure.connection_string is not of the form AccountName=...;AccountKey=...",
                ));
            };
            let value = value.trim().to_owned();
            match name.trim().to_ascii_lowercase().as_str() {
                "accountname" => connection.account = value,
                "accountkey" => connection.key = Some(value),
                "sharedaccesssignature" => connection.sas = Some(value.trim_start_matches('?').to_owned()),
                "blobendpoint" => connection.blob_endpoint = Some(value),
                "endpointsuffix" => connection.suffix = Some(value),
                "defaultendpointsprotocol" => connection.plain = value.eq_ignore_ascii_case("http"),
                _ => {}
            }
        }
        Ok(connection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_keep_their_equals_signs_and_other_services_are_passed_over() {
        let text = "DefaultEndpointsProtocol=http;AccountName=a;accountkey=aGk==; QueueEndpoint=http://q;\
                    BlobEndpoint=http://b/a;";
        let c = Connection::parse(text).unwrap();
        assert_eq!((c.account.as_str(), c.key.as_deref(), c.plain), ("a", Some("aGk=="), true));
        assert_eq!(c.blob_endpoint.as_deref(), Some("http://b/a"));
        assert!(c.sas.is_none() && c.suffix.is_none());
        let refused = Connection::parse("hunter2").err().unwrap().to_string();
        assert!(!refused.contains("hunter2"), "{refused}");
    }
}

//! Who is asking: one reading of `X-Scope-OrgID` for every protocol.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::FromRequestParts;
use flamestore_model::{Fault, Kind, TenantId};
use http::request::Parts;
use http::{Extensions, HeaderMap, Response};
use tonic::Status;

use crate::errors::{plain_response, to_status};

/// The header, and the metadata key of gRPC.
pub const TENANT_HEADER: &str = "x-scope-orgid";

/// Whether requests name their tenant.
#[derive(Debug, Clone)]
pub struct Tenancy {
    anonymous: Option<Tenants>,
}

impl Tenancy {
    /// Off: everything belongs to `anonymous` and the header is not even read.
    pub fn new(enabled: bool) -> Self {
        let anonymous = Tenants { ids: Arc::new([TenantId::anonymous()]), several: false };
        Tenancy { anonymous: (!enabled).then_some(anonymous) }
    }

    /// The tenants of a request.
    ///
    /// # Errors
    /// `Unauthenticated` if the header is missing, empty or no tenant's name.
    pub fn read(&self, headers: &HeaderMap) -> Result<Tenants, Fault> {
        if let Some(anonymous) = &self.anonymous {
            return Ok(anonymous.clone());
        }
        let refuse = |why: &'static str| Fault::new(Kind::Unauthenticated, why);
        let text = match headers.get(TENANT_HEADER) {
            Some(value) => value.to_str().map_err(|_| refuse("tenant ID contains unsupported characters"))?,
            None => "",
        };
        if let Ok(id) = TenantId::parse(text) {
            return Ok(Tenants { ids: Arc::new([id]), several: false });
        }
        // An empty name among others stands for nobody, but still makes a write ambiguous.
        if text.split('|').all(str::is_empty) {
            return Err(refuse("no org id"));
        }
        let ids = TenantId::parse_many(text)?;
        let several = ids.len() > 1 || text.split('|').any(str::is_empty);
        Ok(Tenants { ids: ids.into(), several })
    }

    /// Leaves the tenants, or why there are none, with the request.
    pub(crate) fn note(&self, parts: &HeaderMap, extensions: &mut Extensions) -> Option<Fault> {
        match self.read(parts) {
            Ok(tenants) => {
                extensions.insert(tenants);
                None
            }
            Err(fault) => {
                extensions.insert(Refused(fault.message.to_string().into()));
                Some(fault)
            }
        }
    }
}

/// The tenants that a request speaks for: at least one, sorted, each once.
///
/// An axum extractor; handlers of RPCs use [`Tenants::of`].
#[derive(Debug, Clone)]
pub struct Tenants {
    ids: Arc<[TenantId]>,
    several: bool,
}

#[derive(Debug, Clone)]
struct Refused(Arc<str>);

impl Tenants {
    /// What the router left with the request.
    ///
    /// # Errors
    /// `Unauthenticated`.
    pub fn of(extensions: &Extensions) -> Result<&Self, Fault> {
        extensions.get::<Tenants>().ok_or_else(|| {
            let why =
                extensions.get::<Refused>().map_or_else(|| "no org id".to_owned(), |refused| refused.0.to_string());
            Fault::new(Kind::Unauthenticated, why)
        })
    }

    /// As [`Tenants::of`], for the handlers of RPCs.
    ///
    /// # Errors
    /// `unauthenticated`.
    pub fn of_request<T>(request: &tonic::Request<T>) -> Result<&Self, Status> {
        Self::of(request.extensions()).map_err(to_status)
    }

    /// For reads: all of them.
    pub fn all(&self) -> &[TenantId] {
        &self.ids
    }

    /// For writes.
    ///
    /// # Errors
    /// `Unauthenticated` when the request names several.
    pub fn single(&self) -> Result<&TenantId, Fault> {
        self.single_or(Kind::Unauthenticated)
    }

    /// For what belongs to one tenant by its nature, such as settings and ad hoc profiles (`Kind::Invalid`).
    ///
    /// # Errors
    /// Of the given kind when the request names several.
    pub fn single_or(&self, kind: Kind) -> Result<&TenantId, Fault> {
        match self.ids.first() {
            Some(id) if !self.several => Ok(id),
            _ => Err(Fault::new(kind, "multiple org IDs present: this request needs exactly one")),
        }
    }
}

impl<S: Sync> FromRequestParts<S> for Tenants {
    type Rejection = Response<Body>;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Self::Rejection> {
        Self::of(&parts.extensions).cloned().map_err(plain_response)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(header: Option<&str>) -> Result<(Vec<String>, bool), String> {
        let mut headers = HeaderMap::new();
        if let Some(header) = header {
            headers.insert(TENANT_HEADER, http::HeaderValue::from_bytes(header.as_bytes()).unwrap());
        }
        let tenants = Tenancy::new(true).read(&headers).map_err(|f| f.message.to_string())?;
        Ok((tenants.all().iter().map(ToString::to_string).collect(), tenants.single().is_ok()))
    }

    #[test]
    fn the_table_of_headers() {
        let names = |all: &[&str]| all.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(read(None), Err("no org id".into()));
        assert_eq!(read(Some("")), Err("no org id".into()));
        assert_eq!(read(Some("|")), Err("no org id".into()));
        assert_eq!(read(Some("a")), Ok((names(&["a"]), true)));
        assert_eq!(read(Some("b|a|b")), Ok((names(&["a", "b"]), false)));
        assert_eq!(read(Some("a|a")), Ok((names(&["a"]), true)));
        assert_eq!(read(Some("a|")), Ok((names(&["a"]), false)));
        for bad in ["a/b", "a b", ".", "..", "a|..", "ü", &"a".repeat(151)] {
            assert!(read(Some(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn without_tenancy_the_header_means_nothing() {
        let headers = HeaderMap::from_iter([("x-scope-orgid".parse().unwrap(), "a/b".parse().unwrap())]);
        let tenants = Tenancy::new(false).read(&headers).unwrap();
        assert_eq!(tenants.single().unwrap().as_str(), "anonymous");
    }
}

//! `debuginfo.v1alpha1.DebuginfoService`, switched off: symbols are not looked up here, so nobody needs to send any.
//! Agents ask first, are told so, and go on without.

use axum::extract::Path;
use axum::response::{IntoResponse, Response as Page};
use axum::routing::post;
use flamestore_model::{Fault, Kind};
use flamestore_proto::debuginfo::v1alpha1 as wire;
use flamestore_proto::debuginfo::v1alpha1::debuginfo_service_server::DebuginfoService;
use flamestore_rpc::{named, plain_response, to_status};
use http::StatusCode;
use http::request::Parts;
use tonic::{Request, Response, Status};

use crate::settings::{tenant_of, tenant_of_parts};

/// Clients compare it: it tells them that asking again is of no use.
const DISABLED: &str = "DebugInfo upload disabled";
/// Hexadecimal digits of a build id.
const BUILD_ID_DIGITS: std::ops::RangeInclusive<usize> = 2..=40;

/// The service without a store.
#[derive(Debug, Clone, Copy)]
pub struct DebuginfoDoor;

/// The upload of a file, which is not an RPC: refused, because no upload was begun.
pub fn routes() -> axum::Router {
    let path = "/debuginfo.v1alpha1.DebuginfoService/Upload/{gnu_build_id}";
    axum::Router::new().route(path, named("debuginfo_v1alpha1_DebuginfoService_Upload", post(upload)))
}

async fn upload(Path(build_id): Path<String>, parts: Parts) -> Page {
    match tenant_of_parts(&parts).and_then(|_| checked(&build_id)) {
        Err(fault) => plain_response(fault).into_response(),
        Ok(()) => {
            let text = format!("no upload of {build_id} was begun: ask ShouldInitiateUpload first ({DISABLED})\n");
            (StatusCode::PRECONDITION_FAILED, text).into_response()
        }
    }
}

fn checked(build_id: &str) -> Result<(), Fault> {
    if BUILD_ID_DIGITS.contains(&build_id.len()) && build_id.bytes().all(|c| c.is_ascii_hexdigit()) {
        return Ok(());
    }
    Err(Fault::invalid("gnu_build_id must be 2 to 40 hexadecimal digits"))
}

fn unknown(build_id: &str) -> Fault {
    match checked(build_id) {
        Ok(()) => Fault::new(Kind::NotFound, format!("there is no debug information of {build_id}: {DISABLED}")),
        Err(fault) => fault,
    }
}

#[tonic::async_trait]
impl DebuginfoService for DebuginfoDoor {
    async fn should_initiate_upload(
        &self,
        request: Request<wire::ShouldInitiateUploadRequest>,
    ) -> Result<Response<wire::ShouldInitiateUploadResponse>, Status> {
        tenant_of(&request).map_err(to_status)?;
        let reason = DISABLED.to_owned();
        Ok(Response::new(wire::ShouldInitiateUploadResponse { should_initiate_upload: false, reason }))
    }

    async fn upload_finished(
        &self,
        request: Request<wire::UploadFinishedRequest>,
    ) -> Result<Response<wire::UploadFinishedResponse>, Status> {
        tenant_of(&request).map_err(to_status)?;
        Err(to_status(unknown(&request.get_ref().gnu_build_id)))
    }

    async fn list_debuginfo(
        &self,
        request: Request<wire::ListDebuginfoRequest>,
    ) -> Result<Response<wire::ListDebuginfoResponse>, Status> {
        tenant_of(&request).map_err(to_status)?;
        Ok(Response::new(wire::ListDebuginfoResponse::default()))
    }

    async fn delete_debuginfo(
        &self,
        request: Request<wire::DeleteDebuginfoRequest>,
    ) -> Result<Response<wire::DeleteDebuginfoResponse>, Status> {
        tenant_of(&request).map_err(to_status)?;
        Err(to_status(unknown(&request.get_ref().gnu_build_id)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn build_ids_are_checked_before_they_are_missed() {
        for bad in ["", "a", "xyz", &"a".repeat(41), "ab/../cd"] {
            assert_eq!(unknown(bad).kind, Kind::Invalid, "{bad}");
        }
        assert_eq!(unknown("DEADbeef").kind, Kind::NotFound);
    }
}

//! `vcs.v1.VCSService`, not set up: source code is not fetched from repositories. Every call says so at once, and user
//! interfaces then do without.

use flamestore_model::{Fault, Kind};
use flamestore_proto::vcs::v1 as wire;
use flamestore_proto::vcs::v1::vcs_service_server::VcsService;
use flamestore_rpc::to_status;
use tonic::{Request, Response, Status};

use crate::settings::tenant_of;

/// The service without a repository behind it.
#[derive(Debug, Clone, Copy)]
pub struct VcsDoor;

fn refused<Q, A>(request: &Request<Q>) -> Result<Response<A>, Status> {
    tenant_of(request).map_err(to_status)?;
    let fault = Fault::new(Kind::Unimplemented, "source code is not fetched here: no GitHub application is set up");
    Err(to_status(fault))
}

#[tonic::async_trait]
impl VcsService for VcsDoor {
    async fn github_app(
        &self,
        request: Request<wire::GithubAppRequest>,
    ) -> Result<Response<wire::GithubAppResponse>, Status> {
        refused(&request)
    }

    async fn github_login(
        &self,
        request: Request<wire::GithubLoginRequest>,
    ) -> Result<Response<wire::GithubLoginResponse>, Status> {
        refused(&request)
    }

    async fn github_refresh(
        &self,
        request: Request<wire::GithubRefreshRequest>,
    ) -> Result<Response<wire::GithubRefreshResponse>, Status> {
        refused(&request)
    }

    async fn get_file(
        &self,
        request: Request<wire::GetFileRequest>,
    ) -> Result<Response<wire::GetFileResponse>, Status> {
        refused(&request)
    }

    async fn get_commit(
        &self,
        request: Request<wire::GetCommitRequest>,
    ) -> Result<Response<wire::GetCommitResponse>, Status> {
        refused(&request)
    }

    async fn get_commits(
        &self,
        request: Request<wire::GetCommitsRequest>,
    ) -> Result<Response<wire::GetCommitsResponse>, Status> {
        refused(&request)
    }
}

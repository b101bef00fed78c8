//! Which ports are opened, and what those for OTLP alone serve.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, ToSocketAddrs};
use std::sync::Arc;
use std::time::Duration;

use flamestore_clock::Clock;
use flamestore_config::Config;
use flamestore_distributor::Distributor;
use flamestore_distributor::otlp_grpc::ProfilesDoor;
use flamestore_distributor::{otlp, otlp_http};
use flamestore_model::Fault;
use flamestore_rpc::{BodyCaps, Front, Intake, Router, Tenancy, Workroom};
use flamestore_service::{ListenerConfig, SidePort};
use tonic::service::Routes;

use crate::observers::Observers;

/// The public port, the gRPC port, and one for each OTLP protocol that is switched on.
pub(crate) fn config(config: &Config) -> Result<ListenerConfig, Fault> {
    let server = &config.server;
    let mut side = Vec::new();
    for (endpoint, asked_by) in [
        (&config.distributor.otlp_grpc, "distributor.receivers.otlp.protocols.grpc.endpoint"),
        (&config.distributor.otlp_http, "distributor.receivers.otlp.protocols.http.endpoint"),
    ] {
        if let Some(endpoint) = endpoint {
            side.push(SidePort { address: address(&endpoint.host, endpoint.port, asked_by)?, asked_by });
        }
    }
    Ok(ListenerConfig {
        http: address(&server.http_listen_address, server.http_listen_port, "server.http-listen-address")?,
        grpc: Some(address(&server.grpc_listen_address, server.grpc_listen_port, "server.grpc-listen-address")?),
        side,
        max_connections: match server.http_listen_conn_limit {
            0 => ListenerConfig::default().max_connections,
            n => usize::try_from(n).unwrap_or(usize::MAX),
        },
        header_read: match server.http_read_header_timeout {
            Duration::ZERO => ListenerConfig::default().header_read,
            timeout => timeout,
        },
        body_idle: server.http_read_timeout,
        unread: server.http_write_timeout,
        keep_alive: server.http_idle_timeout,
        drain: server.graceful_shutdown_timeout,
    })
}

fn address(host: &str, port: u16, key: &str) -> Result<SocketAddr, Fault> {
    if host.is_empty() {
        return Ok(SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port));
    }
    let refuse = || Fault::invalid(format!("{key}: {host:?} is no address of this machine"));
    let mut found = (host, port).to_socket_addrs().map_err(|e| refuse().caused_by(e))?;
    found.next().ok_or_else(refuse)
}

/// OTLP over gRPC and HTTP and nothing else: whoever may send profiles there cannot ask for any.
pub(crate) fn otlp_front(
    config: &Config,
    clock: &Arc<dyn Clock>,
    observers: &Arc<Observers>,
    distributor: &Arc<Distributor>,
    (intake, workroom): (&Arc<Intake>, &Arc<Workroom>),
) -> Result<Front, Fault> {
    let caps = BodyCaps::default();
    Router::new(Routes::new(ProfilesDoor::new(distributor.clone(), caps.push)))
        .tenancy(Tenancy::new(config.multitenancy_enabled))
        .observer(observers.clone())
        .clock(clock.clone())
        .caps(caps)
        .longest(config.querier.timeout)
        .intake(intake.clone())
        .workroom(workroom.clone())
        .plain(otlp_http::routes(distributor.clone())?)
        .plain_service(otlp::SERVICE)
        .build()
}

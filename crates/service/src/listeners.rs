//! The ports of a process: bound first, then handed a service each, then drained.

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use axum::body::Body;
use flamestore_model::Fault;
use http::{Request, Response};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tower::Service;

use crate::connection;

/// What to listen on and how patiently.
#[derive(Debug, Clone)]
pub struct ListenerConfig {
    /// Everything public, HTTP/1.1 and HTTP/2. Port 0 takes any free one.
    pub http: SocketAddr,
    /// The port for gRPC clients, if any.
    pub grpc: Option<SocketAddr>,
    /// Further ports, which serve something of their own.
    pub side: Vec<SidePort>,
    /// Connections at once on each port; more wait to be accepted.
    pub max_connections: usize,
    /// A head of a request must be whole this soon after its first byte, and the first byte after connecting.
    pub header_read: Duration,
    /// The next piece of a body must come this soon.
    pub body_idle: Duration,
    /// Of an answer that waits to be sent, the caller must read something this soon.
    pub unread: Duration,
    /// An idle connection is kept this long. One of HTTP/2 may then take as long to read what it was sent before.
    pub keep_alive: Duration,
    /// After the stop, what is being answered may take this long.
    pub drain: Duration,
}

/// A port beside the usual ones.
#[derive(Debug, Clone, Copy)]
pub struct SidePort {
    pub address: SocketAddr,
    /// The key that asks for it, for the fault when it cannot be had.
    pub asked_by: &'static str,
}

/// What answers behind each kind of port.
#[derive(Debug, Clone)]
pub struct Behind<S> {
    pub http: S,
    pub grpc: S,
    /// All of [`ListenerConfig::side`].
    pub side: S,
}

impl Default for ListenerConfig {
    fn default() -> Self {
        ListenerConfig {
            http: SocketAddr::from(([0, 0, 0, 0], 4040)),
            grpc: Some(SocketAddr::from(([0, 0, 0, 0], 9095))),
            side: Vec::new(),
            max_connections: 10_000,
            header_read: Duration::from_secs(10),
            body_idle: Duration::from_secs(30),
            unread: Duration::from_secs(30),
            keep_alive: Duration::from_secs(120),
            drain: Duration::from_secs(30),
        }
    }
}

/// Bound ports: callers may connect already and wait to be served.
#[derive(Debug)]
pub struct Listeners {
    http: TcpListener,
    grpc: Option<TcpListener>,
    side: Vec<TcpListener>,
    config: Arc<ListenerConfig>,
    open: OpenConnections,
}

/// Counts the connections that are open, also while they are served. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct OpenConnections {
    /// Of the public port and of those beside it.
    http: Arc<AtomicUsize>,
    grpc: Arc<AtomicUsize>,
}

impl OpenConnections {
    pub fn http(&self) -> usize {
        self.http.load(Ordering::Relaxed)
    }

    pub fn grpc(&self) -> usize {
        self.grpc.load(Ordering::Relaxed)
    }
}

/// One of them, until dropped.
struct Open(Arc<AtomicUsize>);

impl Open {
    fn one(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Open(count.clone())
    }
}

impl Drop for Open {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// How the end went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Drained {
    /// Connections that were still busy when the patience of `drain` ran out.
    pub cut: usize,
}

/// The pause after a failed accept, which is mostly a lack of file descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

impl Listeners {
    /// # Errors
    /// `Unavailable` when a port cannot be had.
    pub async fn bind(config: ListenerConfig) -> Result<Self, Fault> {
        let http = bind(config.http, "HTTP").await?;
        let grpc = match config.grpc {
            Some(address) => Some(bind(address, "gRPC").await?),
            None => None,
        };
        let mut side = Vec::new();
        for port in &config.side {
            side.push(bind(port.address, port.asked_by).await?);
        }
        Ok(Listeners { http, grpc, side, config: Arc::new(config), open: OpenConnections::default() })
    }

    /// Where HTTP really listens.
    pub fn http_addr(&self) -> SocketAddr {
        self.http.local_addr().unwrap_or(self.config.http)
    }

    /// Where gRPC really listens.
    pub fn grpc_addr(&self) -> Option<SocketAddr> {
        self.grpc.as_ref().and_then(|l| l.local_addr().ok()).or(self.config.grpc)
    }

    /// Where the ports of [`ListenerConfig::side`] really listen, in their order.
    pub fn side_addrs(&self) -> Vec<SocketAddr> {
        let bound = |(listener, port): (&TcpListener, &SidePort)| listener.local_addr().unwrap_or(port.address);
        self.side.iter().zip(&self.config.side).map(bound).collect()
    }

    /// The connections that are open now.
    pub fn open(&self) -> OpenConnections {
        self.open.clone()
    }

    /// Serves until `stop`, then takes no more connections and waits for the busy ones.
    pub async fn run<S>(self, behind: Behind<S>, stop: CancellationToken) -> Drained
    where
        S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
        S::Future: Send + 'static,
    {
        let connections = TaskTracker::new();
        let cut = CancellationToken::new();
        let open = self.open;
        let mut ports = vec![(self.http, behind.http, &open.http)];
        ports.extend(self.grpc.map(|listener| (listener, behind.grpc, &open.grpc)));
        ports.extend(self.side.into_iter().map(|listener| (listener, behind.side.clone(), &open.http)));
        let accepting = ports.into_iter().map(|(listener, service, open)| {
            let (connections, config) = (connections.clone(), self.config.clone());
            tokio::spawn(accept(listener, service, config, connections, open.clone(), stop.clone(), cut.clone()))
        });
        for task in accepting.collect::<Vec<_>>() {
            if let Err(e) = task.await {
                tracing::error!(err = %e, "a port is no longer served");
            }
        }
        connections.close();
        let drained = tokio::time::timeout(self.config.drain, connections.wait()).await;
        let left = connections.len();
        if drained.is_err() {
            tracing::warn!(connections = left, "cutting connections that did not end in time");
            cut.cancel();
            connections.wait().await;
            return Drained { cut: left };
        }
        Drained { cut: 0 }
    }
}

async fn bind(address: SocketAddr, what_for: &str) -> Result<TcpListener, Fault> {
    let refused = |e| Fault::unavailable(format!("cannot listen on {address} for {what_for}")).caused_by(e);
    TcpListener::bind(address).await.map_err(refused)
}

async fn accept<S>(
    listener: TcpListener,
    service: S,
    config: Arc<ListenerConfig>,
    connections: TaskTracker,
    open: Arc<AtomicUsize>,
    stop: CancellationToken,
    cut: CancellationToken,
) where
    S: Service<Request<Body>, Response = Response<Body>, Error = Infallible> + Clone + Send + Sync + 'static,
    S::Future: Send + 'static,
{
    let room = Arc::new(Semaphore::new(config.max_connections));
    loop {
        let next = async {
            // The semaphore is never closed.
            let place = room.clone().acquire_owned().await.ok();
            (place, listener.accept().await)
        };
        let (place, accepted) = tokio::select! {
            next = next => next,
            () = stop.cancelled() => return,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(e) => {
                tracing::warn!(err = %e, "cannot accept a connection");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        // Answers are written whole: waiting to fill a packet only costs time.
        let _ = stream.set_nodelay(true);
        let (service, config, stop, cut) = (service.clone(), config.clone(), stop.clone(), cut.clone());
        let one = Open::one(&open);
        connections.spawn(async move {
            tokio::select! {
                result = connection::serve(stream, service, &config, &stop) => {
                    if let Err(e) = result {
                        tracing::debug!(err = %e, "connection ended");
                    }
                }
                () = cut.cancelled() => {}
            }
            drop((place, one));
        });
    }
}

//! Listeners over real sockets, with the router of RPCs behind them.

use std::net::SocketAddr;
use std::time::Duration;

use axum::routing::get;

use flamestore_proto::push::v1::pusher_service_client::PusherServiceClient;
use flamestore_proto::push::v1::pusher_service_server::{PusherService, PusherServiceServer};
use flamestore_proto::push::v1::{PushRequest, PushResponse, RawProfileSeries, RawSample};
use flamestore_rpc::{Router, served};
use flamestore_service::{Behind, Drained, ListenerConfig, Listeners, OpenConnections, Readiness};
use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use tonic::codec::CompressionEncoding;
use tonic::service::Routes;
use tonic::{Request, Response, Status};

/// Answers at once, or when told if a profile came.
struct Pusher {
    arrived: mpsc::UnboundedSender<usize>,
    go_on: CancellationToken,
}

#[tonic::async_trait]
impl PusherService for Pusher {
    async fn push(&self, request: Request<PushRequest>) -> Result<Response<PushResponse>, Status> {
        let size = request.get_ref().series.iter().flat_map(|s| &s.samples).map(|s| s.raw_profile.len()).sum();
        let _ = self.arrived.send(size);
        if size == 1 {
            self.go_on.cancelled().await;
        }
        Ok(Response::new(PushResponse {}))
    }
}

struct Server {
    http: SocketAddr,
    grpc: SocketAddr,
    arrived: mpsc::UnboundedReceiver<usize>,
    go_on: CancellationToken,
    stop: CancellationToken,
    open: OpenConnections,
    done: JoinHandle<Drained>,
}

async fn start(change: impl FnOnce(&mut ListenerConfig)) -> Server {
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let mut config = ListenerConfig { http: any, grpc: Some(any), ..ListenerConfig::default() };
    change(&mut config);
    let (sender, arrived) = mpsc::unbounded_channel();
    let (stop, go_on) = (CancellationToken::new(), CancellationToken::new());
    let pusher = Pusher { arrived: sender, go_on: go_on.clone() };
    let readiness = Readiness::default();
    let plain = readiness.router().route("/large", get(async || vec![7; LARGE]));
    let front = Router::new(Routes::new(served!(PusherServiceServer::new(pusher)))).plain(plain).build().unwrap();
    let listeners = Listeners::bind(config).await.unwrap();
    let (http, grpc, open) = (listeners.http_addr(), listeners.grpc_addr().unwrap(), listeners.open());
    let behind = Behind { http: front.clone(), grpc: front.grpc_door(), side: front };
    let done = tokio::spawn(listeners.run(behind, stop.clone()));
    Server { http, grpc, arrived, go_on, stop, open, done }
}

/// More than sockets hold on the way.
const LARGE: usize = 64 << 20;

fn push(size: usize) -> PushRequest {
    let samples = vec![RawSample { raw_profile: vec![7; size].into(), id: String::new() }];
    PushRequest { series: vec![RawProfileSeries { samples, ..Default::default() }] }
}

fn post(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /push.v1.PusherService/Push HTTP/1.1\r\nHost: x\r\nContent-Type: application/proto\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Reads one answer without a body of its own.
async fn answer(stream: &mut TcpStream) -> String {
    let mut text = Vec::new();
    while !text.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        if stream.read(&mut byte).await.unwrap() == 0 {
            break;
        }
        text.push(byte[0]);
    }
    String::from_utf8(text).unwrap()
}

#[tokio::test]
async fn both_versions_of_http_on_one_port_and_grpc_on_both() {
    let mut server = start(|_| ()).await;
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    for size in [30_000, 0, 2] {
        stream.write_all(&post(&push(size).encode_to_vec())).await.unwrap();
        let answer = answer(&mut stream).await;
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n") && answer.contains("content-length: 0"), "{answer}");
        assert_eq!(server.arrived.recv().await, Some(size));
    }
    for address in [server.http, server.grpc] {
        let channel = tonic::transport::Endpoint::new(format!("http://{address}")).unwrap().connect().await.unwrap();
        let mut plain = PusherServiceClient::new(channel.clone());
        let mut gzip = PusherServiceClient::new(channel)
            .send_compressed(CompressionEncoding::Gzip)
            .accept_compressed(CompressionEncoding::Gzip);
        for client in [&mut plain, &mut gzip] {
            client.push(push(5 << 20)).await.unwrap();
            assert_eq!(server.arrived.recv().await, Some(5 << 20));
        }
    }
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    stream.write_all(b"GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 200 OK") && text.ends_with("ready\n"), "{text}");
    server.stop.cancel();
    assert_eq!(server.done.await.unwrap(), Drained { cut: 0 });
}

#[tokio::test]
async fn a_stop_lets_the_busy_finish_and_nobody_begin() {
    let mut server = start(|_| ()).await;
    let mut busy = TcpStream::connect(server.http).await.unwrap();
    busy.write_all(&post(&push(1).encode_to_vec())).await.unwrap();
    server.arrived.recv().await;
    server.stop.cancel();
    // The port is closed before the busy are waited for.
    while TcpStream::connect(server.http).await.is_ok() {
        tokio::task::yield_now().await;
    }
    assert!(!server.done.is_finished());
    server.go_on.cancel();
    assert!(answer(&mut busy).await.starts_with("HTTP/1.1 200 OK"));
    assert_eq!(server.done.await.unwrap(), Drained { cut: 0 });
}

#[tokio::test]
async fn who_does_not_finish_is_cut() {
    let mut server = start(|c| c.drain = Duration::from_millis(20)).await;
    let mut busy = TcpStream::connect(server.http).await.unwrap();
    busy.write_all(&post(&push(1).encode_to_vec())).await.unwrap();
    server.arrived.recv().await;
    server.stop.cancel();
    assert_eq!(server.done.await.unwrap(), Drained { cut: 1 });
    assert_eq!(answer(&mut busy).await, "");
}

#[tokio::test]
async fn slow_heads_are_hung_up_on_and_idle_connections_are_not() {
    let mut server = start(|c| c.header_read = Duration::from_secs(1)).await;
    let mut keen = TcpStream::connect(server.http).await.unwrap();
    keen.write_all(&post(b"")).await.unwrap();
    answer(&mut keen).await;
    let mut slow = Vec::new();
    for begin in [&b""[..], b"PRI * HT", b"POST /x HTT"] {
        let mut stream = TcpStream::connect(server.http).await.unwrap();
        stream.write_all(begin).await.unwrap();
        slow.push(stream);
    }
    for mut stream in slow {
        let mut rest = Vec::new();
        let _ = stream.read_to_end(&mut rest).await;
        assert!(rest.is_empty() || rest.starts_with(b"HTTP/1.1 408"), "{:?}", String::from_utf8_lossy(&rest));
    }
    // All that time the first one was idle.
    keen.write_all(&post(b"")).await.unwrap();
    assert!(answer(&mut keen).await.starts_with("HTTP/1.1 200"));
    // Its next head begins and stops.
    keen.write_all(b"POST /x HTT").await.unwrap();
    let _ = answer(&mut keen).await;
    server.arrived.close();
    server.stop.cancel();
    server.done.await.unwrap();
}

#[tokio::test]
async fn an_answer_that_nobody_reads_ends_its_connection_and_a_slow_reader_gets_all_of_it() {
    let server = start(|c| c.unread = Duration::from_secs(2)).await;
    let ask = async || {
        let mut stream = TcpStream::connect(server.http).await.unwrap();
        stream.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").await.unwrap();
        stream
    };
    let mut slow = ask().await;
    let (mut read, mut piece) = (0, vec![0; LARGE / 20]);
    for _ in 0..10 {
        // Together longer than it may read nothing.
        tokio::time::sleep(Duration::from_millis(300)).await;
        read += slow.read_exact(&mut piece).await.unwrap();
    }
    read += slow.read_to_end(&mut Vec::new()).await.unwrap();
    assert!(read > LARGE, "{read}");
    let mut unread = ask().await;
    unread.read_exact(&mut [0]).await.unwrap();
    while server.open.http() > 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let mut rest = Vec::new();
    let _ = unread.read_to_end(&mut rest).await;
    assert!(rest.len() < LARGE, "{}", rest.len());
}

#[tokio::test]
async fn a_connection_of_http_2_ends_when_it_was_idle_for_long_and_not_while_it_is_busy() {
    let mut server = start(|c| (c.keep_alive, c.header_read) = (Duration::from_secs(1), Duration::from_secs(60))).await;
    let endpoint = tonic::transport::Endpoint::new(format!("http://{}", server.grpc)).unwrap();
    let mut client = PusherServiceClient::new(endpoint.connect().await.unwrap());
    let busy = tokio::spawn(async move { client.push(push(1)).await });
    server.arrived.recv().await;
    // It answers no ping and says nothing: pings would find that out after a minute.
    let mut idle = TcpStream::connect(server.grpc).await.unwrap();
    let settings = [0, 0, 0, 4, 0, 0, 0, 0, 0];
    idle.write_all(&[b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", &settings[..]].concat()).await.unwrap();
    let told = tokio::time::timeout(Duration::from_secs(30), idle.read_to_end(&mut Vec::new())).await;
    assert!(told.is_ok(), "it was ended");
    server.go_on.cancel();
    busy.await.unwrap().unwrap();
}

#[tokio::test]
async fn a_body_that_stops_coming_is_answered_and_over() {
    let server = start(|c| c.body_idle = Duration::from_millis(50)).await;
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    let request = post(&push(1000).encode_to_vec());
    stream.write_all(&request[..request.len() - 10]).await.unwrap();
    let mut text = String::new();
    stream.read_to_string(&mut text).await.unwrap();
    assert!(text.starts_with("HTTP/1.1 504") && text.contains("deadline_exceeded"), "{text}");
}

/// A POST that is refused for its content type, before its body is looked at.
fn refused(size: usize) -> Vec<u8> {
    let head = format!(
        "POST /push.v1.PusherService/Push HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: {size}\r\n\r\n"
    );
    [head.as_bytes(), &vec![7; size]].concat()
}

#[tokio::test]
async fn a_connection_outlives_bodies_that_nobody_read() {
    let mut server = start(|_| ()).await;
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    for size in [1, 100_000, 1 << 20] {
        stream.write_all(&refused(size)).await.unwrap();
        let said = answer(&mut stream).await;
        assert!(said.starts_with("HTTP/1.1 415") && !said.contains("connection: close"), "{said}");
    }
    // A body in pieces, the last of which come after the answer.
    let head = "POST /push.v1.PusherService/Push HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    stream.write_all(b"3\r\nabc\r\n").await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 415"));
    stream.write_all(b"2\r\nde\r\n0\r\n\r\n").await.unwrap();
    stream.write_all(&post(&push(2).encode_to_vec())).await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 200"));
    assert_eq!(server.arrived.recv().await, Some(2));
}

#[tokio::test]
async fn a_connection_ends_with_the_answer_to_a_body_too_large_to_take_in() {
    let server = start(|_| ()).await;
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    let request = refused(64 << 20);
    // The rest is never sent: a client that listens while it sends stops here.
    stream.write_all(&request[..10_000]).await.unwrap();
    let said = answer(&mut stream).await;
    assert!(said.starts_with("HTTP/1.1 415") && said.contains("connection: close"), "{said}");
    assert_eq!(stream.read(&mut [0]).await.unwrap_or(0), 0);

    // Without a length nobody knows beforehand: it ends at the bound.
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    let head = "POST /push.v1.PusherService/Push HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 415"));
    let chunk = [b"10000\r\n".to_vec(), vec![7; 0x10000], b"\r\n".to_vec()].concat();
    let mut sent = 0;
    while stream.write_all(&chunk).await.is_ok() {
        sent += 1;
        assert!(sent < 1000, "the server takes in everything");
    }
}

#[tokio::test]
async fn who_asks_before_sending_is_not_told_to_send_what_is_refused() {
    let server = start(|_| ()).await;
    let mut stream = TcpStream::connect(server.http).await.unwrap();
    let request = String::from_utf8(refused(1000)).unwrap().replace("Host: x", "Host: x\r\nExpect: 100-continue");
    let head = request.split_inclusive("\r\n\r\n").next().unwrap();
    stream.write_all(head.as_bytes()).await.unwrap();
    assert!(answer(&mut stream).await.starts_with("HTTP/1.1 415"));
}

#[tokio::test]
async fn more_connections_than_allowed_wait_for_a_place() {
    let mut server = start(|c| c.max_connections = 1).await;
    let mut first = TcpStream::connect(server.http).await.unwrap();
    first.write_all(&post(&push(2).encode_to_vec())).await.unwrap();
    answer(&mut first).await;
    let mut second = TcpStream::connect(server.http).await.unwrap();
    second.write_all(&post(&push(3).encode_to_vec())).await.unwrap();
    first.write_all(&post(&push(4).encode_to_vec())).await.unwrap();
    answer(&mut first).await;
    drop(first);
    answer(&mut second).await;
    let mut order = Vec::new();
    for _ in 0..3 {
        order.push(server.arrived.recv().await.unwrap());
    }
    assert_eq!(order, [2, 4, 3]);
}

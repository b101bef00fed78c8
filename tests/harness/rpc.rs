//! One call over each protocol that clients speak.

use flamestore_proto::DESCRIPTOR_SET;
use flamestore_proto::codec::Codec;
use http::uri::PathAndQuery;
use prost::Message;
use prost_reflect::{DescriptorPool, DynamicMessage, ReflectMessage};
use tokio::runtime::Runtime;
use tonic::client::Grpc;
use tonic::codec::CompressionEncoding;
use tonic::transport::{Channel, Endpoint};

use crate::client::Client;
use crate::gzip::{gunzip, gzip};
use crate::server::Server;

/// Length and flags before each message of gRPC and gRPC-web.
const FRAME_HEADER_BYTES: usize = 5;
const FLAG_GZIP: u8 = 1;
const FLAG_TRAILERS: u8 = 0x80;

/// A way to call the server.
pub enum Rpc {
    Grpc { name: &'static str, runtime: Runtime, channel: Channel, gzip: bool },
    GrpcWeb(Client),
    ConnectProto { client: Client, gzip: bool },
    ConnectJson { client: Client, gzip: bool },
}

impl Rpc {
    /// Every protocol on every port.
    pub fn all(server: &Server) -> Vec<Rpc> {
        let client = || server.client();
        vec![
            Rpc::grpc("grpc-on-http-port", server.http(), false),
            Rpc::grpc("grpc-on-grpc-port", server.grpc(), true),
            Rpc::GrpcWeb(client()),
            Rpc::ConnectProto { client: client(), gzip: false },
            Rpc::ConnectProto { client: client(), gzip: true },
            Rpc::ConnectJson { client: client(), gzip: false },
            Rpc::ConnectJson { client: client(), gzip: true },
        ]
    }

    fn grpc(name: &'static str, address: std::net::SocketAddr, gzip: bool) -> Rpc {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let endpoint = Endpoint::from_shared(format!("http://{address}")).expect("an address");
        let channel = runtime.block_on(endpoint.connect()).expect("a connection");
        Rpc::Grpc { name, runtime, channel, gzip }
    }

    pub fn name(&self) -> &'static str {
        match self {
            Rpc::Grpc { name, .. } => name,
            Rpc::GrpcWeb(_) => "grpc-web",
            Rpc::ConnectProto { gzip: false, .. } => "connect-proto",
            Rpc::ConnectProto { gzip: true, .. } => "connect-proto-gzip",
            Rpc::ConnectJson { gzip: false, .. } => "connect-json",
            Rpc::ConnectJson { gzip: true, .. } => "connect-json-gzip",
        }
    }

    /// Calls `method` (`package.Service/Method`). `types` are the full names of request and answer. Panics on any fault.
    pub fn call<Q, A>(&self, method: &str, types: (&str, &str), request: Q) -> A
    where
        Q: Message + 'static,
        A: Message + Default + 'static,
    {
        let path = format!("/{method}");
        match self {
            Rpc::Grpc { runtime, channel, gzip, .. } => runtime.block_on(async {
                let mut grpc = Grpc::new(channel.clone());
                if *gzip {
                    grpc = grpc.send_compressed(CompressionEncoding::Gzip).accept_compressed(CompressionEncoding::Gzip);
                }
                grpc.ready().await.expect("a connection");
                let path = PathAndQuery::try_from(path).expect("a path");
                let answer = grpc.unary(tonic::Request::new(request), path, Codec::<Q, A>::default()).await;
                answer.unwrap_or_else(|status| panic!("{}: {method}: {status:?}", self.name())).into_inner()
            }),
            Rpc::GrpcWeb(client) => {
                let message = request.encode_to_vec();
                let mut body = vec![0];
                body.extend((message.len() as u32).to_be_bytes());
                body.extend(message);
                let answer = self.exchange(client, &path, "application/grpc-web+proto", &[], &body);
                read_frames(&answer)
            }
            Rpc::ConnectProto { client, gzip } => {
                let answer = self.connect(client, &path, "application/proto", *gzip, &request.encode_to_vec());
                A::decode(answer.as_slice()).expect("an answer")
            }
            Rpc::ConnectJson { client, gzip } => {
                let answer = self.connect(client, &path, "application/json", *gzip, &to_json(types.0, &request));
                from_json(types.1, &answer)
            }
        }
    }

    fn connect(&self, client: &Client, path: &str, content_type: &str, zip: bool, body: &[u8]) -> Vec<u8> {
        let version = ("Connect-Protocol-Version", "1");
        if !zip {
            return self.exchange(client, path, content_type, &[version], body);
        }
        let headers = [version, ("Content-Encoding", "gzip"), ("Accept-Encoding", "gzip")];
        self.exchange(client, path, content_type, &headers, &gzip(body))
    }

    /// The body of a 200, unzipped if it says that it is zipped.
    fn exchange(&self, client: &Client, path: &str, kind: &str, headers: &[(&str, &str)], body: &[u8]) -> Vec<u8> {
        let answer = client.exchange(path, kind, headers, body).expect("an answer");
        let text = String::from_utf8_lossy(answer.body());
        assert_eq!(answer.status(), 200, "{}: {path}: {text}", self.name());
        assert_eq!(answer.headers()["content-type"], kind, "{}: {path}", self.name());
        match answer.headers().get("content-encoding") {
            Some(encoding) => {
                assert_eq!(encoding, "gzip");
                gunzip(answer.body())
            }
            None => answer.into_body(),
        }
    }
}

/// The message of a gRPC-web answer; its trailers must say that all is well.
fn read_frames<A: Message + Default>(mut body: &[u8]) -> A {
    let (mut message, mut trailers) = (None, String::new());
    while let Some((header, rest)) = body.split_at_checked(FRAME_HEADER_BYTES) {
        let length = u32::from_be_bytes(header[1..].try_into().expect("4 bytes")) as usize;
        let (payload, rest) = rest.split_at(length);
        if header[0] & FLAG_TRAILERS != 0 {
            trailers = String::from_utf8_lossy(payload).into_owned();
        } else {
            let payload = if header[0] & FLAG_GZIP != 0 { gunzip(payload) } else { payload.to_vec() };
            message = Some(A::decode(payload.as_slice()).expect("a message"));
        }
        body = rest;
    }
    assert!(trailers.replace(' ', "").contains("grpc-status:0"), "trailers {trailers:?}");
    message.expect("a message")
}

/// JSON by descriptor, by another implementation than the server's.
fn to_json(type_name: &str, message: &impl Message) -> Vec<u8> {
    let mut dynamic = empty(type_name);
    dynamic.merge(message.encode_to_vec().as_slice()).expect("the same message");
    serde_json::to_vec(&dynamic).expect("JSON")
}

fn from_json<A: Message + Default>(type_name: &str, json: &[u8]) -> A {
    let mut from = serde_json::Deserializer::from_slice(json);
    let read = DynamicMessage::deserialize(empty(type_name).descriptor(), &mut from);
    let dynamic = read.unwrap_or_else(|e| panic!("{e}: {}", String::from_utf8_lossy(json)));
    dynamic.transcode_to().expect("the same message")
}

fn empty(type_name: &str) -> DynamicMessage {
    let pool = DescriptorPool::decode(DESCRIPTOR_SET).expect("descriptors");
    DynamicMessage::new(pool.get_message_by_name(type_name).unwrap_or_else(|| panic!("{type_name} is no message")))
}

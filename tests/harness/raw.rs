//! One HTTP/1.1 request exactly as given, byte for byte.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use http::Response;

use crate::gzip::gunzip;

const TIMEOUT: Duration = Duration::from_secs(30);

/// Sends `request` on a connection of its own. The body of the answer comes without chunks and gzip; its headers as they
/// were. Panics on anything that is no HTTP/1.1.
pub fn exchange(address: SocketAddr, request: &[u8]) -> Response<Vec<u8>> {
    let mut stream = TcpStream::connect(address).expect("a connection");
    stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
    stream.write_all(request).expect("the request goes out");
    let mut answer = BufReader::new(stream);
    let status = line(&mut answer);
    let mut response = Response::builder().status(status.split(' ').nth(1).expect("a status"));
    loop {
        let header = line(&mut answer);
        if header.is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').expect("a header");
        response = response.header(name, value.trim());
    }
    let mut response = response.body(Vec::new()).expect("an answer");
    let has = |name: &str, value: &str| response.headers().get(name).is_some_and(|found| found == value);
    let body = if has("transfer-encoding", "chunked") {
        chunks(&mut answer)
    } else {
        let length = response.headers()["content-length"].to_str().expect("text").parse().expect("a length");
        exactly(&mut answer, length)
    };
    *response.body_mut() = if has("content-encoding", "gzip") { gunzip(&body) } else { body };
    response
}

fn chunks(from: &mut impl BufRead) -> Vec<u8> {
    let mut body = Vec::new();
    loop {
        let length = usize::from_str_radix(&line(from), 16).expect("the length of a chunk");
        body.extend(exactly(from, length));
        assert_eq!(line(from), "", "the end of a chunk");
        if length == 0 {
            return body;
        }
    }
}

fn exactly(from: &mut impl Read, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    from.read_exact(&mut bytes).expect("all of the body");
    bytes
}

fn line(from: &mut impl BufRead) -> String {
    let mut line = String::new();
    from.read_line(&mut line).expect("a line");
    line.strip_suffix("\r\n").expect("an end of line").to_owned()
}

//! Scripts can tell by the exit code who is to blame.

use std::net::TcpListener;

use flamestore_tests::Server;

use crate::flamectl::fake::{answer, serve};
use crate::flamectl::{run, run_at};

#[test]
fn wrong_arguments_end_with_2_before_anything_is_sent() {
    let nowhere = "http://127.0.0.1:9";
    for (args, words) in [
        (&["query", "{a=b}"][..], "cannot be read"),
        (&["query", "x", "--from", "yesterday"], "--from: \"yesterday\" is no time"),
        (&["query", "x", "-o", "poem"], "possible values"),
        (&["query", "x", "--max-nodes", "5"], "leave out --max-nodes"),
        (&["diff", "x", "y", "--fail-if", "total"], "write 'total>10%'"),
        (&["push", "-"], "say it with --format"),
        (&["ready", "--url", "localhost:4040"], "http://"),
        (&[], "Usage"),
    ] {
        run_at(nowhere, args, b"\xff\xff").failed(2, words);
    }
    run_at(nowhere, &["push", "-"], b"a;b 1\n").failed(2, "--service");
}

#[test]
fn what_the_server_refuses_ends_with_3_and_its_own_words() {
    let server = Server::start(&["-auth.multitenancy-enabled=true"]);
    run(&server, &["types"]).failed(3, "the server refused (401): ");
    assert_eq!(run(&server, &["types", "--tenant", "team-a"]).text(), "");
    run(&server, &["types", "--tenant", "team-a", "--from", "now-3d"]).failed(3, "max_query_length");
    let moved = serve(|_| b"HTTP/1.1 307 Moved\r\nLocation: https://elsewhere/\r\nContent-Length: 0\r\n\r\n".to_vec());
    run_at(&moved, &["types"], b"").failed(3, "sends on to https://elsewhere/: set --url");
}

#[test]
fn a_server_that_is_not_there_ends_with_4() {
    run_at("http://127.0.0.1:9", &["ready"], b"").failed(4, "http://127.0.0.1:9 cannot be reached: ");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let silent = format!("http://{}", listener.local_addr().expect("its address"));
    run_at(&silent, &["ready", "--timeout", "200ms"], b"").failed(4, "--timeout");
    let cut = serve(|_| b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf".to_vec());
    run_at(&cut, &["types"], b"").failed(4, "broke off");
}

#[test]
fn a_server_that_is_not_ready_ends_with_5() {
    let replaying = serve(|_| answer("503 Service Unavailable", b"replaying: 40 %"));
    run_at(&replaying, &["ready"], b"").failed(5, "the server failed (503): replaying: 40 %");
    let strange = serve(|_| answer("200 OK", b"\x01xy"));
    run_at(&strange, &["types"], b"").failed(5, "cannot be read");
}

#[test]
fn files_that_cannot_be_used_end_with_6_and_nothing_found_with_7() {
    let server = Server::start(&[]);
    run(&server, &["push", "/no/such/file", "--service", "x"]).failed(6, "/no/such/file: ");
    run(&server, &["query", "x", "--file", "/no/such/folder/x"]).failed(6, "/no/such/folder/x: ");
    run(&server, &["ready", "--tls-ca", "/no/such/ca.pem"]).failed(6, "/no/such/ca.pem: ");
    for form in ["table", "tree", "collapsed", "pprof", "dot", "svg", "json"] {
        let ran = run(&server, &["query", "cpu{service_name=\"x\"}", "-o", form]);
        ran.failed(7, "there are no profiles of");
        assert!(ran.out.is_empty(), "{form}: {ran:?}");
        // With a type that needs no looking up, the answer itself is empty.
        let id = "process_cpu:cpu:nanoseconds:cpu:nanoseconds{service_name=\"x\"}";
        run(&server, &["query", id, "-o", form]).failed(7, "there are no profiles of");
    }
}

#[test]
fn a_ready_server_and_its_version_are_shown() {
    let server = Server::start(&[]);
    assert_eq!(run(&server, &["ready"]).text(), "ready\n");
    let version = run(&server, &["version"]);
    assert!(version.text().starts_with("flamectl ") && version.text().contains("\nserver "), "{version:?}");
}

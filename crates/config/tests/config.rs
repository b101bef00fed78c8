//! Configurations that must load as they stand, and mistakes that must be told well.

use std::collections::HashMap;
use std::io::{self, BufRead, BufReader, Write};
use std::net::TcpListener;
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use flamestore_config::{Config, Endpoint, RuntimeFiles, Start, World, dump, load, reference_markdown, runtime};
use flamestore_limits::{Limits, Overrides};
use flamestore_model::TenantId;

const RUNBOOK: &str = "
storage:
  backend: filesystem
  filesystem:
    dir: /data
server:
  http_listen_port: 4040
pyroscopedb:
  retention_policy_min_free_disk_gb: 10
  retention_policy_min_disk_available_percentage: 0.05
  retention_policy_enforcement_interval: 5m
  max_block_duration: 3h
compactor:
  data_dir: /data/compactor
  compaction_interval: 2h
  cleanup_interval: 15m
  deletion_delay: 2h
  block_cleanup_enabled: true
limits:
  compactor_blocks_retention_period: 720h
  ingestion_rate_mb: 4
  ingestion_burst_size_mb: 8
";

/// What a note says of a key whose part is not built.
const NOT_USED_YET: &str = ": accepted, not used yet: ";

const PLATFORM_OVERVIEW: &str = "
server: { http_listen_port: 4040 }
distributor:
  receivers:
    otlp:
      protocols:
        grpc: { endpoint: 0.0.0.0:4317, sample_rate: 100 }
ingester:
  lifecycler:
    ring: { replication_factor: 1 }
storage:
  trace: { backend: local, local: { path: /tmp/pyroscope } }
query: { max_duration: 24h, max_nodes: 10000 }
pyroscope:
  scrape_profiles:
    - { enabled: true, profile_id: my-app, targets: [ { process_name: my-process, profile_types: [cpu, memory] } ] }
";

fn world(files: &[(&str, &str)], env: &[(&str, &str)]) -> World {
    let own = |pairs: &[(&str, &str)]| -> HashMap<String, String> {
        pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect()
    };
    let (files, env) = (own(files), own(env));
    World {
        env: Box::new(move |name| env.get(name).cloned()),
        read_file: Box::new(move |path| files.get(path).cloned().ok_or_else(|| io::ErrorKind::NotFound.into())),
        version: "flamestore, version 0".into(),
    }
}

fn args(line: &str) -> Vec<String> {
    line.split_whitespace().map(str::to_owned).collect()
}

fn run(line: &str, world: &World) -> Config {
    match load(&args(line), world) {
        Ok(Start::Run(config)) => *config,
        other => panic!("{line}: {other:?}"),
    }
}

fn refused(line: &str, world: &World) -> String {
    load(&args(line), world).map(|_| ()).unwrap_err().to_string()
}

#[test]
fn the_runbooks_file_loads_as_it_stands() {
    let c = run("-config.file=c.yaml", &world(&[("c.yaml", RUNBOOK)], &[]));
    assert_eq!(c.storage.filesystem_dir.to_str(), Some("/data"));
    assert_eq!(c.server.http_listen_port, 4040);
    assert_eq!(c.pyroscopedb.min_free_disk_gb, 10);
    assert_eq!(c.pyroscopedb.min_disk_available_share, 0.05);
    assert_eq!(c.pyroscopedb.max_block_duration, Duration::from_secs(3 * 3600));
    assert_eq!(c.compactor.compaction_interval, Duration::from_secs(7200));
    assert_eq!(c.compactor.deletion_delay, Duration::from_secs(7200));
    assert!(c.compactor.block_cleanup_enabled);
    assert_eq!(c.limits.retention(), Some(Duration::from_secs(720 * 3600)));
    assert_eq!(c.limits.ingestion_burst_bytes(), 8.0 * 1_048_576.0);
    let without_effect: Vec<_> = c.notes.iter().filter(|n| !n.contains(NOT_USED_YET)).collect();
    assert!(without_effect.is_empty(), "{:?}", c.notes);
    assert_eq!(c.compactor.data_dir.to_str(), Some("/data/compactor"));
}

#[test]
fn the_platform_overviews_file_loads_and_says_what_has_no_effect() {
    let c = run("server -config.file=c.yaml", &world(&[("c.yaml", PLATFORM_OVERVIEW)], &[]));
    assert_eq!(c.distributor.replication_factor, 1);
    let endpoint = |host: &str, port| Some(Endpoint { host: host.into(), port });
    assert_eq!((&c.distributor.otlp_grpc, &c.distributor.otlp_http), (&endpoint("0.0.0.0", 4317), &None));
    let sample_rate = "distributor.receivers.otlp.protocols.grpc.sample_rate";
    for path in [sample_rate, "storage.trace", "query", "pyroscope"] {
        assert_eq!(c.notes.iter().filter(|n| n.starts_with(&format!("{path} ("))).count(), 1, "{path}: {:?}", c.notes);
    }
    assert_eq!(c.notes.iter().filter(|n| !n.contains(NOT_USED_YET)).count(), 4, "{:?}", c.notes);
}

#[test]
fn an_otlp_protocol_is_switched_on_by_its_name_alone() {
    let endpoints = |file: &str| {
        let c = run("-config.file=c.yaml", &world(&[("c.yaml", file)], &[]));
        assert_eq!(c.notes, Vec::<String>::new(), "{file}");
        let show = |e: Option<Endpoint>| e.map(|e| format!("{}|{}", e.host, e.port)).unwrap_or_default();
        (show(c.distributor.otlp_grpc), show(c.distributor.otlp_http))
    };
    let all = "distributor: {receivers: {otlp: {protocols: {grpc: , http: {}}}}}";
    assert_eq!(endpoints(all), ("0.0.0.0|4317".into(), "0.0.0.0|4318".into()));
    let hosts = "distributor: {receivers: {otlp: {protocols: {grpc: {endpoint: localhost}, http: {endpoint: ':1'}}}}}";
    assert_eq!(endpoints(hosts), ("localhost|4317".into(), "|1".into()));
    assert_eq!(endpoints("distributor: {receivers: {otlp: {protocols: }}}"), (String::new(), String::new()));
    let bad = "distributor: {receivers: {otlp: {protocols: {grpc: {endpoint: 'http://a'}}}}}";
    let said = refused("-config.file=c.yaml", &world(&[("c.yaml", bad)], &[]));
    assert!(said.contains("distributor.receivers.otlp.protocols.grpc.endpoint: \"http://a\" is not"), "{said}");
}

#[test]
fn the_flags_of_the_bench_of_the_issue_and_of_the_chart_load() {
    let w = world(&[("/etc/pyroscope/config.yaml", "")], &[]);
    let bench = run(
        "-server.http-listen-port=4040 -storage.backend=filesystem -storage.filesystem.dir=run/bucket \
         -pyroscopedb.data-path=run/data -validation.reject-older-than=0 -validation.reject-newer-than=0 \
         -distributor.ingestion-rate-limit-mb=100000 -distributor.ingestion-burst-size-mb=100000 \
         -ingester.max-global-series-per-tenant=0 -querier.max-query-length=0",
        &w,
    );
    assert_eq!(bench.ingester.wal_dir.to_str(), Some("run/data/wal"));
    assert_eq!(bench.limits.reject_older_than.enabled(), None);
    assert_eq!(bench.limits.max_global_series_per_tenant, 0);
    assert!(bench.notes.iter().all(|n| n.contains(NOT_USED_YET)), "{:?}", bench.notes);

    let issue = run(
        "-target=all -server.http-listen-address=127.0.0.1 -server.http-listen-port=1 -server.grpc-listen-port=2 \
         -memberlist.bind-addr=127.0.0.1 -memberlist.bind-port=3 -storage.backend=filesystem -storage.filesystem.dir=D \
         -pyroscopedb.data-path=W",
        &w,
    );
    assert!(issue.target.is_all());
    assert_eq!((issue.server.http_listen_port, issue.server.grpc_listen_port, issue.memberlist.bind_port), (1, 2, 3));
    assert_eq!(issue.memberlist.bind_addr, ["127.0.0.1"]);

    let chart = run(
        "-target=ingester -self-profiling.disable-push=true -server.http-listen-port=4040 \
         -memberlist.cluster-label=ns-pyroscope-v1 -memberlist.join=dns+pyroscope-memberlist.ns.svc.cluster.local.:7946 \
         -config.file=/etc/pyroscope/config.yaml -runtime-config.file=/etc/pyroscope/overrides/overrides.yaml \
         -log.level=debug -query-backend.address=dns:///x:9095 -metastore.address=kubernetes:///x:9095 \
         -metastore.data-dir=./d -metastore.raft.bootstrap-expect-peers=3 -metastore.raft.auto-join \
         -architecture.storage=v1-v2-dual -write-path=combined -write-path.segment-writer-weight=1.0 \
         -enable-query-backend=true -distributor.replication-factor=3 -store-gateway.sharding-ring.replication-factor=3",
        &w,
    );
    assert!(chart.self_profiling.disable_push);
    assert_eq!(chart.memberlist.join_members, ["dns+pyroscope-memberlist.ns.svc.cluster.local.:7946"]);
    assert_eq!((chart.distributor.replication_factor, chart.server.log_level.as_str()), (3, "debug"));
    let metastore = chart.notes.iter().filter(|n| n.contains("-metastore.")).count();
    assert_eq!(metastore, 1, "one line a part: {:?}", chart.notes);
}

#[test]
fn a_key_that_is_not_used_yet_is_kept_and_named_once_with_its_place_and_the_reason() {
    use flamestore_config::key::{Kind, Status};
    for key in &flamestore_config::keys::registry().keys {
        let Status::NotYet { why, .. } = key.status else { continue };
        if key.flag.is_empty() || matches!(key.kind, Kind::Limit(_)) {
            continue;
        }
        let c = run(&format!("-{}={}", key.flag, key.default), &world(&[], &[]));
        assert_eq!(c.notes, [format!("flag -{}{NOT_USED_YET}{why}", key.flag)]);
        assert!(c.values.is_given(key.path));
    }
    assert_eq!(run("", &world(&[], &[])).notes, Vec::<String>::new(), "defaults are not notes");
}

#[test]
fn flags_win_over_the_file_and_the_file_over_the_defaults() {
    let file = "server: {http_listen_port: 1, log_level: warn}\nlimits: {max_query_length: 2h}\nmemberlist: {join_members: [a]}\n";
    let w = world(&[("c.yaml", file)], &[]);
    let c = run("-config.file c.yaml -server.http-listen-port 2 -memberlist.join=b -memberlist.join=c", &w);
    assert_eq!((c.server.http_listen_port, c.server.log_level.as_str(), c.server.grpc_listen_port), (2, "warn", 9095));
    assert_eq!(c.limits.max_query_length.as_secs(), 7200);
    assert_eq!(c.memberlist.join_members, ["b", "c"]);
    let c = run("-config.file=c.yaml -querier.max-query-length=3h", &w);
    assert_eq!(c.limits.max_query_length.as_secs(), 3 * 3600);
    assert_eq!(c.memberlist.join_members, ["a"]);
}

#[test]
fn the_environment_is_put_in_only_when_asked_for() {
    let w = world(
        &[("c.yaml", "server: {http_listen_port: ${PORT:-4040}}\nstorage: {prefix: '${PREFIX}'}\n")],
        &[("PORT", "7")],
    );
    let c = run("-config.file=c.yaml -config.expand-env", &w);
    assert_eq!((c.server.http_listen_port, c.storage.prefix.as_str()), (7, ""));
    assert!(load(&args("-config.file=c.yaml"), &w).is_err());
}

#[test]
fn mistakes_are_told_with_their_place_and_the_nearest_name() {
    for (file, says) in [
        (
            "server:\n  http_listen_prot: 1\n",
            "server.http_listen_prot (c.yaml:2): there is no such key; did you mean server.http_listen_port?",
        ),
        ("http_listen_port: 1\n", "did you mean server.http_listen_port?"),
        (
            "limits:\n\n  ingestion_rate: 4\n",
            "limits.ingestion_rate (c.yaml:3): there is no such key; did you mean limits.ingestion_rate_mb?",
        ),
        ("zebra: 1\n", "zebra (c.yaml:1): there is no such key"),
        ("server: 5\n", "is a block of keys"),
        ("server: {http_listen_port: many}\n", "\"many\" is not a port"),
        ("storage: {backend: swift}\n", "not one of filesystem, s3, gcs, azure"),
        ("storage: {backend: s3}\n", "storage.s3.bucket_name: must be set"),
        ("server: {http_tls_config: {cert_file: a.pem}}\n", "TLS is not served here"),
        ("memberlist: {tls_enabled: true}\n", "gossip is not encrypted"),
        ("compactor: {cleanup_interval: 0}\n", "compactor.cleanup_interval: must be longer than 0"),
        ("target: distributer\n", "-modules lists them"),
        ("limits: {reject_older_than: 5}\n", "duration"),
        ("a: [\n", "not valid YAML"),
        ("server: {http_listen_port: 1, http_listen_port: 2}\n", "not valid YAML"),
        ("- a\n", "a map of keys"),
    ] {
        let said = refused("-config.file=c.yaml", &world(&[("c.yaml", file)], &[]));
        assert!(said.contains(says), "{file}: {said}");
    }
    assert!(refused("-config.file=none.yaml", &world(&[], &[])).contains("none.yaml"));
    let two = refused("-zebra=1 -server.http-listen-port=x", &world(&[], &[]));
    assert_eq!(two.lines().count(), 3, "all problems at once: {two}");
}

#[test]
fn unset_and_false_values_of_refused_keys_pass() {
    let file = "server: {http_tls_config: {cert_file: '', key_file: }}\nmemberlist: {tls_enabled: false}\nlimits:\n";
    run("-config.file=c.yaml", &world(&[("c.yaml", file)], &[]));
}

#[test]
fn asking_for_a_text_prints_it_and_ends() {
    for (flag, says) in [
        ("-version", "flamestore, version 0"),
        ("--version", "flamestore, version 0"),
        ("-modules", "query-frontend"),
        ("-h", "-server.http-listen-port"),
        ("-help", "-help-all"),
        ("-help-all", "-validation.max-profile-size-bytes"),
    ] {
        match load(&args(flag), &world(&[], &[])) {
            Ok(Start::Print(text)) => assert!(text.contains(says), "{flag}: {text}"),
            other => panic!("{flag}: {other:?}"),
        }
    }
}

#[test]
fn dumps_load_again_and_mask_secrets() {
    let file =
        "storage: {backend: s3, s3: {bucket_name: b, secret_access_key: hush}}\nlimits: {max_query_length: 2h}\n";
    let c = run("-config.file=c.yaml", &world(&[("c.yaml", file)], &[]));
    let (all, diff) = (dump::effective(&c.values), dump::diff(&c.values));
    for text in [&all, &diff] {
        assert!(!text.contains("hush") && text.contains("********"), "{text}");
    }
    assert!(diff.contains("max_query_length: 2h") && !diff.contains("max_query_lookback"), "{diff}");
    let again = run("-config.file=c.yaml", &world(&[("c.yaml", all.as_str())], &[]));
    assert_eq!(again.limits, c.limits);
    let default = run("-config.file=c.yaml", &world(&[("c.yaml", dump::default().as_str())], &[]));
    assert_eq!(dump::effective(&default.values), dump::default());
}

#[test]
fn the_reference_names_every_key() {
    let page = reference_markdown();
    for key in &flamestore_config::keys::registry().keys {
        assert!(key.path.is_empty() || page.contains(&format!("`{}`", key.path)), "{}", key.path);
        assert!(key.flag.is_empty() || page.contains(&format!("`-{}`", key.flag)), "{}", key.flag);
    }
}

#[test]
fn a_bad_runtime_file_leaves_the_last_good_overrides_in_force() {
    let dir = tempfile::tempdir().unwrap();
    let (first, second) = (dir.path().join("a.yaml"), dir.path().join("b.yaml"));
    let overrides = Arc::new(Overrides::new(Limits { max_label_name_length: 7, ..Limits::default() }));
    let tenant = TenantId::parse("team-a").unwrap();
    let mut files = RuntimeFiles::new(vec![first.clone(), second.clone()], MAX_WAIT, Arc::clone(&overrides));
    std::fs::write(&first, "overrides:\n  team-a: {ingestion_rate_mb: 9, reject_older_than: 2h}\n").unwrap();
    std::fs::write(&second, "overrides:\n  team-a: {ingestion_rate_mb: 11}\n  team-b:\n").unwrap();
    assert!(matches!(files.reload(), Ok(runtime::Reload::Replaced { .. })));
    assert_eq!(files.reload().unwrap(), runtime::Reload::Unchanged);
    let limits = overrides.of(&tenant);
    assert_eq!((limits.ingestion_rate_mb, limits.reject_older_than.as_secs()), (11.0, 7200));
    assert_eq!(limits.max_label_name_length, 7, "starts from this process's defaults");

    for (bad, says) in [
        (
            "overrides:\n  team-a:\n    ingestion_rate: 1\n",
            "b.yaml:3: tenant team-a: there is no limit \"ingestion_rate\"",
        ),
        ("overrides: {team/a: {}}\n", "unsupported character"),
        ("override: {}\n", "only overrides"),
        ("overrides: [1]\n", "map of limits"),
        ("overrides: {", "not valid YAML"),
    ] {
        std::fs::write(&second, bad).unwrap();
        for _ in 0..2 {
            let said = files.reload().unwrap_err().to_string();
            assert!(said.contains(says), "{bad}: {said}");
        }
        assert_eq!(overrides.of(&tenant).ingestion_rate_mb, 11.0);
    }
    std::fs::write(&second, "overrides:\n").unwrap();
    files.reload().unwrap();
    assert_eq!(overrides.of(&tenant).ingestion_rate_mb, 9.0);
    let page = runtime::to_page(&overrides, true);
    assert!(page.contains("ingestion_rate_mb: 9") && !page.contains("max_query_length"), "{page}");
    assert!(runtime::to_page(&overrides, false).contains("max_query_length"));
}

const MAX_WAIT: Duration = Duration::from_secs(2);

/// A server that gives these answers one after another, each on a connection of its own; an empty one is silence. Returns
/// its address.
fn answering(answers: Vec<Vec<u8>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}/runtime.yaml", listener.local_addr().unwrap());
    thread::spawn(move || {
        let mut silent = Vec::new();
        for answer in answers {
            let (mut stream, _) = listener.accept().unwrap();
            let lines = BufReader::new(stream.try_clone().unwrap()).lines();
            lines.map(Result::unwrap).take_while(|line| !line.is_empty()).for_each(drop);
            // The client may have heard enough.
            let _ = stream.write_all(&answer);
            silent.extend(answer.is_empty().then_some(stream));
        }
    });
    url
}

#[test]
fn a_runtime_file_comes_from_a_server_and_a_bad_answer_changes_nothing() {
    let answer = |status: &str, body: &str| {
        format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}", body.len()).into_bytes()
    };
    let of = |rate: u32| answer("200 OK", &format!("overrides:\n  team-a: {{ingestion_rate_mb: {rate}}}\n"));
    let url = answering(vec![
        of(9),
        of(9),
        answer("503 Service Unavailable", "overrides: {}"),
        answer("200 OK", "overrides: ["),
        Vec::new(),
        answer("200 OK", &" ".repeat((8 << 20) + 1)),
        of(11),
    ]);
    let overrides = Arc::new(Overrides::new(Limits::default()));
    let tenant = TenantId::parse("team-a").unwrap();
    let mut files = RuntimeFiles::new(vec![url.clone().into()], MAX_WAIT, Arc::clone(&overrides));
    assert!(matches!(files.reload(), Ok(runtime::Reload::Replaced { .. })));
    assert_eq!(files.reload().unwrap(), runtime::Reload::Unchanged);
    for says in ["503", "not valid YAML", "timeout", "longer than 8388608 bytes"] {
        let said = files.reload().unwrap_err().to_string();
        assert!(said.contains(&url) && said.contains(says), "{says}: {said}");
        assert_eq!(overrides.of(&tenant).ingestion_rate_mb, 9.0);
    }
    assert!(matches!(files.reload(), Ok(runtime::Reload::Replaced { .. })));
    assert_eq!(overrides.of(&tenant).ingestion_rate_mb, 11.0);
}

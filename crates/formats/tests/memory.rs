//! What hostile uploads cost in memory: every decoder stays within a small multiple of the larger of the upload and its cap.
//!
//! A binary of its own, because the allocator counts for the whole process.

use std::io::Write;

use bytes::Bytes;
use flamestore_formats::{Caps, IngestParams, IngestRequest, ingest, otlp};
use peak_alloc::PeakAlloc;

#[global_allocator]
static ALLOCATOR: PeakAlloc = PeakAlloc;

/// The proportions of the defaults, smaller.
const CAPS: Caps = Caps {
    max_inflated_bytes: 2 << 20,
    max_profile_bytes: 128 << 10,
    max_samples: 16_000,
    max_depth: 1_000,
    max_symbol_bytes: 65_535,
};
/// How large the uploads are.
const UPLOAD_BYTES: usize = 2 << 20;
/// What decoding may take besides the upload itself, for each byte of the upload or of the cap.
const MAX_BYTES_PER_BYTE: usize = 16;

fn peak(work: impl FnOnce()) -> usize {
    let before = ALLOCATOR.current_usage();
    ALLOCATOR.reset_peak_usage();
    work();
    ALLOCATOR.peak_usage().saturating_sub(before)
}

fn ingest(format: &str, content_type: &str, body: &Bytes) {
    let params = IngestParams::from_pairs([("name", "svc.cpu"), ("format", format), ("from", "1"), ("until", "2")]);
    let request = IngestRequest {
        params: &params,
        content_type,
        content_encoding: "",
        body: body.clone(),
        now_nanos: 1_795_000_205_000_000_000,
        caps: CAPS,
    };
    drop(ingest::read(&request));
}

fn varint(mut v: u64) -> Vec<u8> {
    let mut out = Vec::new();
    while v >= 0x80 {
        out.push(v as u8 | 0x80);
        v >>= 7;
    }
    out.push(v as u8);
    out
}

fn number(field: u64, value: u64) -> Vec<u8> {
    [varint(field << 3), varint(value)].concat()
}

fn message(field: u64, content: &[u8]) -> Vec<u8> {
    [varint(field << 3 | 2), varint(content.len() as u64), content.to_vec()].concat()
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut out = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

/// As many of a piece as fit in an upload.
fn fill(piece: &[u8]) -> Vec<u8> {
    piece.repeat(UPLOAD_BYTES / piece.len())
}

fn numbered(count: usize, piece: impl Fn(usize) -> Vec<u8>) -> Vec<u8> {
    (0..count).flat_map(piece).collect()
}

mod jfr {
    use super::*;

    /// Classes: id, name, and fields of a name, a class and how they are kept (`p` pooled, `a` array).
    type Class = (u64, &'static str, &'static [(&'static str, u64, char)]);

    const CLASSES: &[Class] = &[
        (10, "long", &[]),
        (11, "int", &[]),
        (12, "java.lang.String", &[]),
        (13, "boolean", &[]),
        (20, "java.lang.Class", &[("name", 21, 'p')]),
        (21, "jdk.types.Symbol", &[("string", 12, '-')]),
        (22, "jdk.types.Method", &[("type", 20, 'p'), ("name", 21, 'p')]),
        (23, "jdk.types.StackFrame", &[("method", 22, 'p')]),
        (24, "jdk.types.StackTrace", &[("frames", 23, 'a')]),
        (100, "jdk.ExecutionSample", &[("stackTrace", 24, 'p'), ("contextId", 10, '-')]),
        (102, "jdk.ActiveSetting", &[("name", 12, '-'), ("value", 12, '-')]),
    ];

    fn text(text: &[u8]) -> Vec<u8> {
        [vec![3], varint(text.len() as u64), text.to_vec()].concat()
    }

    fn event(id: u64, fields: &[u8]) -> Vec<u8> {
        let inside = [varint(id), fields.to_vec()].concat();
        let size = inside.len() as u64 + 4;
        let prefix = (0..4).map(|at| (size >> (7 * at)) as u8 & 0x7f | if at < 3 { 0x80 } else { 0 });
        prefix.chain(inside).collect()
    }

    fn metadata(more_strings: &[Vec<u8>], more_elements: &[Vec<u8>]) -> Vec<u8> {
        let mut strings: Vec<Vec<u8>> = more_strings.to_vec();
        let mut index = |text: &str| {
            let text = super::jfr::text(text.as_bytes());
            let at = strings.iter().position(|s| *s == text).unwrap_or_else(|| {
                strings.push(text);
                strings.len() - 1
            });
            varint(at as u64)
        };
        let mut element = |name: &str, attributes: &[(&str, String)], children: &[Vec<u8>]| {
            let mut out = [index(name), varint(attributes.len() as u64)].concat();
            attributes.iter().for_each(|(key, value)| out.extend([index(key), index(value)].concat()));
            [out, varint(children.len() as u64), children.concat()].concat()
        };
        let mut classes = Vec::new();
        for (id, name, fields) in CLASSES {
            let fields: Vec<_> = fields
                .iter()
                .map(|(name, class, how)| {
                    let flag = if *how == 'p' { ("constantPool", "true") } else { ("x", "") };
                    let array = if *how == 'a' { ("dimension", "1") } else { ("x", "") };
                    let texts = [("name", *name), flag, array].map(|(k, v)| (k, v.to_owned()));
                    element("field", &[&texts[..], &[("class", class.to_string())]].concat(), &[])
                })
                .collect();
            classes.push(element("class", &[("id", id.to_string()), ("name", (*name).to_owned())], &fields));
        }
        classes.extend_from_slice(more_elements);
        let root = element("root", &[], &classes);
        let count = varint(strings.len() as u64);
        event(0, &[vec![0, 0, 0], count, strings.concat(), root].concat())
    }

    fn chunk(metadata: &[u8], pools: &[Vec<u8>], events: &[u8]) -> Vec<u8> {
        let pools = event(1, &[vec![0, 0, 0, 0], varint(pools.len() as u64), pools.concat()].concat());
        let pools_at = 68 + metadata.len();
        let size = pools_at + pools.len() + events.len();
        let mut out = b"FLR\0\0\x02\0\0".to_vec();
        [size as u64, pools_at as u64, 68, 0, 0, 0, 1000].iter().for_each(|n| out.extend(n.to_be_bytes()));
        out.extend([0, 0, 0, 1]);
        [&out, metadata, &pools, events].concat()
    }

    fn pool(id: u64, entries: &[Vec<u8>]) -> Vec<u8> {
        let numbered = entries.iter().enumerate().flat_map(|(key, value)| [varint(key as u64), value.clone()].concat());
        [varint(id), varint(entries.len() as u64)].into_iter().flatten().chain(numbered).collect()
    }

    /// Samples of one stack each, of one frame with a name of its own.
    fn with_methods(symbols: &[Vec<u8>], methods: usize) -> Vec<u8> {
        let symbols: Vec<_> = symbols.iter().map(|s| text(s)).collect();
        let method = |n: usize| [varint(0), varint((n % symbols.len()) as u64)].concat();
        let pools = [
            pool(21, &symbols),
            pool(20, &[varint(0)]),
            pool(22, &(0..methods).map(method).collect::<Vec<_>>()),
            pool(24, &(0..methods).map(|n| [varint(1), varint(n as u64)].concat()).collect::<Vec<_>>()),
        ];
        let events = numbered(methods, |n| event(100, &[varint(n as u64), varint(0)].concat()));
        chunk(&metadata(&[], &[]), &pools, &events)
    }

    pub(super) fn hostile() -> Vec<(&'static str, &'static str, Vec<u8>)> {
        let plain = metadata(&[], &[]);
        let latin = |size: usize| [vec![5], varint(size as u64), vec![b'a'; size]].concat();
        // A class whose name is a long text, as often as fits; strings 0 to 4 are what its element is made of.
        let strings = [text(b"class"), text(b"id"), text(b"7"), text(b"name"), latin(UPLOAD_BYTES / 2)];
        let long_class = [vec![0, 2, 1, 2, 3, 4], varint(0)].concat();
        let field = [text(b"field"), text(b"class"), text(b"7"), text(b"name"), latin(UPLOAD_BYTES / 2)];
        let long_field = [vec![0, 2, 1, 2, 3, 4], varint(0)].concat();
        let nested = numbered(100_000, |_| vec![0, 0, 1]);
        let huge = [varint(24), varint(u64::MAX >> 8), vec![0; 100]].concat();
        let frames =
            [varint(24), varint(1), varint(0), varint(UPLOAD_BYTES as u64 / 2), vec![1; UPLOAD_BYTES / 2]].concat();
        let stacks = [varint(24), varint(UPLOAD_BYTES as u64 / 8), fill(&[1, 0])].concat();
        let labels = |contexts: usize| {
            let pair = message(1, &[number(1, 1), number(2, 1)].concat());
            let context = message(2, &pair.repeat(UPLOAD_BYTES / 16 / contexts / pair.len()));
            let of = |n: usize| message(1, &[number(1, n as u64), context.clone()].concat());
            [numbered(contexts, of), message(2, &[number(1, 1), message(2, &vec![b'x'; 200_000])].concat())].concat()
        };
        let samples = |count: usize| numbered(count, |n| event(100, &[varint(0), varint(n as u64)].concat()));
        let form = |labels: &[u8], recording: &[u8]| {
            let part = |name: &str| {
                format!("--B\r\nContent-Disposition: form-data; name=\"{name}\"; filename=\"x\"\r\n\r\n").into_bytes()
            };
            [&part("jfr"), recording, b"\r\n", &part("labels"), labels, b"\r\n--B--\r\n"].concat()
        };
        let settings = numbered(UPLOAD_BYTES / 64, |n| {
            let setting = [text(b"event"), text(format!("made up {n}").as_bytes())].concat();
            [event(102, &setting), event(100, &[0, 0])].concat()
        });
        vec![
            ("metadata of empty strings", "", chunk(&metadata(&vec![vec![0]; UPLOAD_BYTES / 2], &[]), &[], &[])),
            ("one long name for many classes", "", chunk(&metadata(&strings, &vec![long_class; 30_000]), &[], &[])),
            ("one long name for many fields", "", chunk(&metadata(&field, &vec![long_field; 30_000]), &[], &[])),
            ("metadata nested deep", "", chunk(&event(0, &[vec![0, 0, 0, 1, 0], nested].concat()), &[], &[])),
            ("a count without end", "", chunk(&plain, &[huge], &[])),
            ("a stack without end", "", chunk(&plain, &[frames], &[])),
            ("stacks without end", "", chunk(&plain, &[stacks], &[])),
            ("one long name for many methods", "", with_methods(&[vec![b'a'; UPLOAD_BYTES / 8]], 100_000)),
            (
                "two long names in many pairs",
                "",
                with_methods(
                    &(0..200).map(|n| format!("{n}{}", "a".repeat(10_000)).into_bytes()).collect::<Vec<_>>(),
                    50_000,
                ),
            ),
            ("events that are all called differently", "", chunk(&plain, &[], &settings)),
            ("samples that all have a context", "", chunk(&plain, &[], &samples(UPLOAD_BYTES / 10))),
            (
                "events of types that are not there",
                "",
                chunk(&plain, &[], &numbered(UPLOAD_BYTES / 10, |n| event(1000 + n as u64, &[0]))),
            ),
            (
                "labels without end",
                "multipart/form-data; boundary=B",
                form(&labels(1), &chunk(&plain, &[], &samples(1))),
            ),
            (
                "labels on every sample",
                "multipart/form-data; boundary=B",
                form(&labels(1000), &chunk(&plain, &[], &samples(20_000))),
            ),
            ("a bomb", "", gzip(&vec![0; 64 << 20])),
        ]
    }
}

fn otlp_requests() -> Vec<(&'static str, Vec<u8>)> {
    let in_profile = |profile: &[u8]| message(1, &message(2, &message(2, profile)));
    let table = |number: u64| [message(2, &fill(&[varint(number << 3 | 2), vec![0]].concat()))].concat();
    let tables = |strings: &[&[u8]], more: &[u8]| {
        let strings: Vec<u8> = strings.iter().flat_map(|s| message(5, s)).collect();
        let one_of_each = [1, 2, 3, 4, 6, 7].iter().flat_map(|n| message(*n, b"")).collect::<Vec<_>>();
        message(2, &[one_of_each, strings, more.to_vec()].concat())
    };
    let types = [message(1, &[number(1, 1), number(2, 2)].concat()), message(5, &number(1, 1)), number(6, 1)].concat();
    let long = vec![b'n'; UPLOAD_BYTES / 4];
    // Each location has a name of its own with the same long text, and each service one location.
    let attribute = |n: usize| [number(1, 3), message(2, &message(1, format!("s{n}").as_bytes()))].concat();
    let by_service = [
        in_profile(
            &[
                types.clone(),
                numbered(50_000, |n| {
                    message(2, &[number(1, 1), message(2, &varint(n as u64 + 1)), message(4, &[1])].concat())
                }),
            ]
            .concat(),
        ),
        tables(
            &[b"", b"cpu", b"ns", b"service.name", &long],
            &[
                numbered(50_000, |n| message(6, &attribute(n))),
                message(3, &number(1, 4)),
                message(2, &message(3, &number(1, 1))),
                message(7, &message(1, &[1])),
            ]
            .concat(),
        ),
    ]
    .concat();
    let text_attribute = |n: usize| [message(1, format!("k{n}").as_bytes()), message(2, &message(1, b"v"))].concat();
    let of_resource = numbered(UPLOAD_BYTES / 16, |n| message(1, &text_attribute(n)));
    vec![
        ("resources without end", [fill(&[10, 0]), tables(&[b""], &[])].concat()),
        ("scopes without end", [message(1, &fill(&[18, 0])), tables(&[b""], &[])].concat()),
        ("profiles without end", [message(1, &message(2, &fill(&[18, 0]))), tables(&[b""], &[])].concat()),
        (
            "samples without end",
            [in_profile(&[types.clone(), fill(&[18, 0])].concat()), tables(&[b"", b"cpu", b"ns"], &[])].concat(),
        ),
        ("sample types without end", [in_profile(&fill(&[10, 0])), tables(&[b""], &[])].concat()),
        ("dictionaries without end", fill(&[18, 0])),
        ("mappings without end", table(1)),
        ("locations without end", table(2)),
        ("strings without end", table(5)),
        ("attributes without end", table(6)),
        ("stacks without end", table(7)),
        (
            "a resource with attributes without end",
            [message(1, &message(1, &of_resource)), tables(&[b""], &[])].concat(),
        ),
        (
            "scopes that all repeat a resource",
            [
                message(
                    1,
                    &[
                        message(1, &numbered(1000, |n| message(1, &text_attribute(n)))),
                        fill(&message(2, &message(2, &[]))),
                    ]
                    .concat(),
                ),
                tables(&[b"", b"cpu", b"ns"], &[]),
            ]
            .concat(),
        ),
        (
            "one stack without end",
            [
                in_profile(&[types.clone(), message(2, &[number(1, 1), message(4, &[1])].concat())].concat()),
                tables(&[b"", b"cpu", b"ns"], &message(7, &message(1, &vec![0; UPLOAD_BYTES]))),
            ]
            .concat(),
        ),
        (
            "a sample with values without end",
            [
                in_profile(&[types, message(2, &message(4, &vec![0; UPLOAD_BYTES]))].concat()),
                tables(&[b"", b"cpu", b"ns"], &[]),
            ]
            .concat(),
        ),
        ("a long name in the profile of each of many services", by_service),
        ("messages nested deep", (0..2000).fold(Vec::new(), |inside: Vec<u8>, _| message(1, &inside))),
    ]
}

fn speedscope_files() -> Vec<(&'static str, Vec<u8>)> {
    let file = |frames: &str, profiles: &str| {
        format!(
            "{{\"$schema\":\"https://www.speedscope.app/file-format-schema.json\",\"shared\":{{\"frames\":[{frames}]}},\
             \"profiles\":[{profiles}]}}"
        )
        .into_bytes()
    };
    let list = |piece: &str| vec![piece; UPLOAD_BYTES / (piece.len() + 1)].join(",");
    let profile = |samples: &str, weights: &str| {
        format!("{{\"type\":\"sampled\",\"unit\":\"none\",\"samples\":[{samples}],\"weights\":[{weights}]}}")
    };
    let named = |n: usize| {
        format!("{{\"type\":\"sampled\",\"name\":\"{n}\",\"unit\":\"none\",\"samples\":[[0]],\"weights\":[1]}}")
    };
    let long = format!("{{\"name\":\"{}\"}}", "n".repeat(200_000));
    let events = list("{\"type\":\"O\",\"frame\":0,\"at\":0}");
    vec![
        ("weights without end", file("", &profile("", &list("0")))),
        ("samples without end", file("", &profile(&list("[]"), ""))),
        ("a sample without end", file("{\"name\":\"a\"}", &profile(&format!("[{}]", list("0")), "1"))),
        ("frames without end", file(&list("{\"name\":\"\"}"), "")),
        ("profiles without end", file("", &list("{\"type\":\"\"}"))),
        (
            "events without end",
            file("{\"name\":\"a\"}", &format!("{{\"type\":\"evented\",\"unit\":\"none\",\"events\":[{events}]}}")),
        ),
        ("a long name in each of many profiles", file(&long, &(0..9000).map(named).collect::<Vec<_>>().join(","))),
        ("lists nested deep", format!("{{\"$schema\":{}", "[".repeat(UPLOAD_BYTES)).into_bytes()),
        ("unknown fields nested deep", file("", &format!("{{\"x\":{}", "{\"x\":".repeat(UPLOAD_BYTES / 5)))),
        ("escaped names", file(&list("{\"name\":\"\\u0041\"}"), "")),
    ]
}

fn folded_texts() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("lines of one letter", fill(b"a 1\n")),
        ("names that are all different", numbered(UPLOAD_BYTES / 9, |n| format!("{n:x} 1\n").into_bytes())),
        ("a stack without end", [fill(b"a;"), b" 1\n".to_vec()].concat()),
        (
            "stacks that all differ",
            numbered(UPLOAD_BYTES / 40, |n| format!("{n};{};{};a;b;c;d;e;f;g;h;i 1\n", n % 7, n % 3).into_bytes()),
        ),
        ("separators alone", vec![b';'; UPLOAD_BYTES]),
        ("line ends alone", vec![b'\n'; UPLOAD_BYTES]),
        ("a bomb", gzip(&vec![b'a'; 64 << 20])),
    ]
}

fn tries() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("a chain without end", fill(&[1, b'a', 1, 1])),
        ("a chain of frames without end", fill(&[2, b'a', b';', 1, 1])),
        ("empty nodes without end", fill(&[0, 0, 1])),
        (
            "roots without end",
            numbered(UPLOAD_BYTES / 8, |n| {
                [vec![4], format!("{n:04}").into_bytes()[..4].to_vec(), vec![1, 0]].concat()
            }),
        ),
        ("counts without end", [vec![1, b'a', 1], varint(u64::MAX)].concat()),
        ("a name without end", [varint(u64::MAX), vec![b'a'; 100]].concat()),
    ]
}

fn trees() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("a chain without end", fill(&[1, b'a', 1, 1])),
        (
            "a broad tree",
            [
                vec![0, 0],
                varint(15_999),
                numbered(15_999, |n| [vec![6], format!("{n:06}").into_bytes(), vec![1, 0]].concat()),
            ]
            .concat(),
        ),
        (
            "long names",
            [
                vec![0, 0],
                varint(60),
                numbered(60, |n| [varint(65_000), vec![n as u8 + 33; 65_000], vec![1, 0]].concat()),
            ]
            .concat(),
        ),
        ("a count without end", [vec![1, b'a', 1], varint(u64::MAX)].concat()),
    ]
}

fn pprofs() -> Vec<(&'static str, Vec<u8>)> {
    let tables = |number: u64| fill(&[varint(number << 3 | 2), vec![0]].concat());
    let sample = message(2, &[message(1, &vec![1; UPLOAD_BYTES - 64]), number(2, 1)].concat());
    vec![
        ("sample types without end", tables(1)),
        ("samples without end", tables(2)),
        ("mappings without end", tables(3)),
        ("locations without end", tables(4)),
        ("functions without end", tables(5)),
        ("strings without end", tables(6)),
        ("a stack without end", sample),
        ("a sample with values without end", message(2, &message(2, &vec![1; UPLOAD_BYTES - 64]))),
        ("a sample with labels without end", message(2, &fill(&[26, 0])[64..])),
        ("a location with lines without end", message(4, &fill(&[34, 0])[64..])),
        ("a bomb", gzip(&vec![0; 64 << 20])),
        ("a bomb of samples", gzip(&fill(&[18, 0]))),
    ]
}

#[test]
fn hostile_uploads_take_no_more_than_a_small_multiple_of_their_size_or_their_cap() {
    let mut told = Vec::new();
    let mut check = |format: &str, what: &str, body: Vec<u8>, decode: &dyn Fn(&Bytes)| {
        let body = Bytes::from(body);
        let taken = peak(|| decode(&body));
        let per_byte = taken as f64 / body.len().max(CAPS.max_inflated_bytes) as f64;
        println!("{format}: {what}: {} KiB of {} KiB, {per_byte:.1} a byte", taken >> 10, body.len() >> 10);
        if per_byte > MAX_BYTES_PER_BYTE as f64 {
            told.push(format!("{format}: {what}: {per_byte:.1} bytes a byte"));
        }
    };
    for (what, content_type, body) in jfr::hostile() {
        check("JFR", what, body, &|body| ingest("jfr", content_type, body));
    }
    for (what, body) in otlp_requests() {
        check("OTLP", what, body, &|body| drop(otlp::read(body, &CAPS)));
    }
    for (what, body) in speedscope_files() {
        check("speedscope", what, body, &|body| ingest("speedscope", "", body));
    }
    for (what, body) in folded_texts() {
        check("folded", what, body.clone(), &|body| ingest("folded", "", body));
        check("lines", what, body, &|body| ingest("lines", "", body));
    }
    for (what, body) in tries() {
        check("trie", what, body, &|body| ingest("trie", "", body));
    }
    for (what, body) in trees() {
        check("tree", what, body, &|body| ingest("tree", "", body));
    }
    for (what, body) in pprofs() {
        check("pprof", what, body.clone(), &|body| drop(flamestore_pprof::decode(body, CAPS.max_inflated_bytes)));
        check("pprof at /ingest", what, body, &|body| ingest("pprof", "", body));
    }
    assert!(told.is_empty(), "{}", told.join("\n"));
}

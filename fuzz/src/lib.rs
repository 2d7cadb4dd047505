//! The bodies of the fuzz targets of the kit: one for each block.
//!
//! A body panics if a promise of its block is broken. The targets in `fuzz_targets` run the bodies
//! with libFuzzer. `kit/tests/fuzz.rs` runs them with some thousand inputs on a stable toolchain.

use proxy_filter_kit::{
    aws_event_stream, cache, circuit_breaker, client_address, content_encoding, cors, edit, event_stream, hedge, json,
    json_lines, jwt, llm_text, llm_usage, log_line, multipart, problem, rate_limit, request, retry, route_config,
    security_headers, signature, single_flight, trace,
};
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::pin::pin;
use std::task::{Context, Poll, Waker};
use std::time::{Duration, SystemTime};

/// A block: its name, its body, and inputs from which a search can begin.
pub type Target = (&'static str, fn(&[u8]), &'static [&'static [u8]]);

/// All blocks.
pub const TARGETS: &[Target] = &[
    ("aws_event_stream", aws_event_stream, &[b"\x04abc:event-type\x00text"]),
    ("cache", cache, &[b"\x01\x02\x03\x04\x05\x06\x07\x08"]),
    ("circuit_breaker", circuit_breaker, &[b"\x01\x02\x00\x01\x00\x05\xff\xff"]),
    (
        "client_address",
        client_address,
        &[b"10.0.0.0/8\n::1/128\n", b"for=192.0.2.60;proto=http, for=\"[2001:db8::1]:4711\"", b"1.2.3.4, [::1]:80"],
    ),
    (
        "content_encoding",
        content_encoding,
        &[b"\x05\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff\x4b\x04\x00\x43\xbe\xb7\xe8\x01\x00\x00\x00"],
    ),
    ("cors", cors, &[b"https://*.a.example\nhttps://b.a.example\nPUT\nx-a, x-b"]),
    ("edit", edit, &[b"\x03\x02a secret\xfftok4111 1111 1111 1111en", b"\x01\x01aaab"]),
    ("event_stream", event_stream, &[b"\x05\xef\xbb\xbfid: 1\r\nevent: a\rdata: b\ndata:c\n\n:x\nretry: 5\n\n"]),
    ("hedge", hedge, &[b"\x00\x01\x02\x03"]),
    ("json", json, &[b"\x07{\"a\":[1,-2.5e9,\"\\ud83d\\ude00\",true,null,{\"b\":\"c\"}]}"]),
    ("json_lines", json_lines, &[b"\x04{\"a\":1}\r\n\n{\"a\":2}"]),
    (
        "jwt",
        jwt,
        &[
            b"{\"keys\":[{\"kty\":\"oct\",\"k\":\"AA\"},{\"kty\":\"RSA\",\"n\":\"AQAB\",\"e\":\"AQAB\"}]}",
            b"eyJhbGciOiJIUzI1NiIsImtpZCI6ImEifQ.e30.AAAA",
            b"{\"iss\":\"a\",\"aud\":[\"b\"],\"exp\":1.5,\"nbf\":-1}",
        ],
    ),
    (
        "llm_text",
        llm_text,
        &[
            b"\x05data: {\"delta\":{\"text\":\"a fal\"}}\n\ndata: {\"delta\":{\"text\":\"con\"}}\n\n",
            b"\x07data: {\"choices\":[{\"index\":1,\"delta\":{\"content\":\"a fal\"}}]}\n\ndata: [DONE]\n\n",
        ],
    ),
    (
        "llm_usage",
        llm_usage,
        &[
            b"\x05data: {\"usage\":{\"input_tokens\":3,\"output_tokens\":8}}\n\n",
            b"\x03{\"usage\":{\"prompt_tokens\":3}}",
        ],
    ),
    ("log_line", log_line, &[b"\x40name\x00value\"\\\n\xe2\x80\xa8"]),
    (
        "multipart",
        multipart,
        &[b"\x03--b\r\ncontent-disposition: form-data; name=\"a\"\r\n\r\nx\r\n--b\r\n\r\ny\r\n--b--\r\n"],
    ),
    ("problem", problem, &[b"title\x00detail"]),
    ("rate_limit", rate_limit, &[b"\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10"]),
    (
        "request",
        request,
        &[
            b"/a/%2e%2E/b//c?x=1&x=%2&y",
            b"a=b; c=\"d\"; a=e",
            b"text/html;q=0.5, */*;q=0.1, gzip;q=0",
            b"Basic QWxhZGRpbjpvcGVuIHNlc2FtZQ==",
            b"multipart/form-data; boundary=\"a\\\"b\"",
        ],
    ),
    ("retry", retry, &[b"Sun, 06 Nov 1994 08:49:37 GMT", b"120"]),
    ("route_config", route_config, &[b"{\"a\":1,\"b\":{\"c\":2}}\x00{\"b\":{\"c\":null}}"]),
    ("security_headers", security_headers, &[b"default-src\x00'self' https://a.example\x00nonce"]),
    (
        "signature",
        signature,
        &[
            b"sig1=(\"@method\" \"@target-uri\" \"a\";key=\"b\");created=1;keyid=\"k\"\x00sig1=:AAAA:",
            b"t=1,v1=00\x00/a?expires=1&signature=00",
            b"\"content-digest\";req;bs\x00sha-256=:AAAA:",
        ],
    ),
    ("single_flight", single_flight, &[b"\x00\x11\x22\x01\x12\x23"]),
    (
        "trace",
        trace,
        &[
            b"00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            b"80f198ee56343ba864fe8b2a57d3eff7-e457b5a2e4d86bd1-1-05e3ac9a4f6e3b90",
            b"a=1, b@c=2,,d=3",
        ],
    ),
];

/// Bytes that decide about a run.
struct Input<'a>(&'a [u8]);

impl<'a> Input<'a> {
    fn byte(&mut self) -> u8 {
        self.0.split_off_first().copied().unwrap_or(0)
    }

    fn number(&mut self) -> u64 {
        let mut number = [0; 8];
        let length = usize::from(self.byte() % 9);
        number[..length].fill_with(|| self.byte());
        u64::from_le_bytes(number)
    }

    fn time(&mut self) -> Duration {
        Duration::from_nanos(self.number())
    }

    /// Bytes up to the next NUL.
    fn part(&mut self) -> &'a [u8] {
        let end = self.0.iter().position(|byte| *byte == 0).unwrap_or(self.0.len());
        let part = &self.0[..end];
        self.0 = self.0.get(end + 1..).unwrap_or_default();
        part
    }
}

/// The bytes after the first in one chunk, and in chunks whose lengths the first byte decides.
fn cuts(bytes: &[u8]) -> [Vec<&[u8]>; 2] {
    let mut input = Input(bytes);
    let seed = input.byte();
    let mut rest = input.0;
    let mut chunks = Vec::new();
    let mut size = usize::from(seed);
    while !rest.is_empty() {
        size = (size * 7 + 1) % 13;
        let (chunk, after) = rest.split_at(size.min(rest.len()));
        chunks.push(chunk);
        rest = after;
    }
    [vec![input.0], chunks]
}

/// Runs a reader over both forms of cutting, and expects the same result.
fn is_same_for_all_cuts<T: PartialEq + std::fmt::Debug>(bytes: &[u8], run: impl Fn(&[&[u8]]) -> T) -> T {
    let [whole, chunks] = cuts(bytes);
    let result = run(&whole);
    assert_eq!(result, run(&chunks), "{:?} in other chunks: {chunks:?}", whole[0].escape_ascii().to_string());
    result
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Whether bytes can be a header's value: they do not end it.
fn is_header(value: impl AsRef<[u8]>) -> bool {
    value.as_ref().iter().all(|byte| !matches!(byte, b'\r' | b'\n' | 0))
}

/// Messages do not depend on chunks, and what was encoded is decoded.
pub fn aws_event_stream(bytes: &[u8]) {
    use aws_event_stream::{Decoder, Message, Value};
    let decode = |chunks: &[&[u8]]| {
        let (mut decoder, mut messages) = (Decoder::new(999), Vec::new());
        // After a fault, the same one is reported for each chunk.
        let last = chunks.iter().map(|chunk| decoder.push(chunk, |message| messages.push(message))).last();
        (messages, last.unwrap_or(Ok(())).err(), decoder.is_between_messages())
    };
    is_same_for_all_cuts(bytes, decode);
    let mut input = Input(bytes);
    let mut message = Message::new(input.part());
    for _ in 0..input.byte() % 9 {
        let name = text(input.part());
        let number = i64::from_le_bytes(input.number().to_le_bytes());
        message = message.header(
            name,
            match input.byte() % 9 {
                0 => Value::Bool(number > 0),
                1 => Value::Byte(number.to_le_bytes()[0].cast_signed()),
                2 => Value::Short(i16::from_le_bytes([input.byte(), input.byte()])),
                3 => Value::Int(i32::from_le_bytes([input.byte(), input.byte(), 0, 1])),
                4 => Value::Long(number),
                5 => Value::Bytes(input.part().to_vec()),
                6 => Value::String(text(input.part())),
                7 => Value::Timestamp(number),
                _ => Value::Uuid([input.byte(); 16]),
            },
        );
    }
    if let Ok(encoded) = message.encode() {
        let mut decoded = Vec::new();
        let mut decoder = Decoder::new(encoded.len());
        let chunks = encoded.chunks(usize::from(input.byte()) + 1);
        chunks.for_each(|chunk| decoder.push(chunk, |message| decoded.push(message)).unwrap());
        assert_eq!(decoded, [message]);
        // One bit is different: no other message is decoded.
        let mut damaged = encoded;
        let at = usize::try_from(input.number() % damaged.len() as u64).unwrap();
        damaged[at] ^= 1 << (input.byte() % 8);
        let mut decoder = Decoder::new(damaged.len());
        let _ = decoder.push(&damaged, |found| panic!("{found:?} in damaged bytes"));
    }
}

/// The limits hold, and entries are found until they expire.
pub fn cache(bytes: &[u8]) {
    let mut input = Input(bytes);
    let (entries, limit) = (usize::from(input.byte() % 9), usize::from(input.byte()) * 9);
    let mut cache = cache::Cache::new(entries).max_bytes(limit);
    let mut model = BTreeMap::new();
    while !input.0.is_empty() {
        let (key, now) = (input.byte() % 16, Duration::from_millis(input.byte().into()));
        match input.byte() % 8 {
            0 => drop(cache.remove(&key)),
            1 => cache.remove_expired(now),
            2 => cache.clear(),
            3 | 4 => {
                let found = cache.get(&key, now).copied();
                let expected = model.get(&key).filter(|(_, expires)| *expires > now).map(|(value, _)| *value);
                assert!(found.is_none() || found == expected, "{found:?}, not {expected:?}");
            }
            _ => {
                let (value, owned) = (input.byte(), usize::from(input.byte()));
                let expires = now + Duration::from_millis(input.byte().into());
                cache.insert_sized(key, value, owned, expires);
                model.insert(key, (value, expires));
            }
        }
        assert!(cache.len() <= entries && cache.bytes() <= limit, "{} entries, {} bytes", cache.len(), cache.bytes());
        assert_eq!(cache.is_empty(), cache.bytes() == 0);
    }
}

/// A wait is never longer than the pause.
pub fn circuit_breaker(bytes: &[u8]) {
    use circuit_breaker::{CircuitBreaker, Settings};
    let mut input = Input(bytes);
    let mut settings = Settings::default();
    settings.consecutive_failures = input.byte().into();
    settings.failure_ratio = f64::from(input.byte()) / 100.0;
    settings.minimum_calls = input.byte().into();
    settings.window = input.time();
    settings.open_for = input.time();
    settings.probes = input.byte().into();
    let (mut breaker, mut permits) = (CircuitBreaker::new(settings), Vec::new());
    while !input.0.is_empty() {
        let now = input.time();
        match breaker.allow(now) {
            Ok(permit) => permits.push(permit),
            Err(open) => assert!(open.retry_after <= settings.open_for && !open.retry_after.is_zero()),
        }
        if input.byte() % 2 == 0
            && let Some(permit) = permits.pop()
        {
            breaker.report(permit, input.byte() % 2 == 0, now);
        }
    }
}

/// Networks contain what they print, and the client is one of the addresses in the header.
pub fn client_address(bytes: &[u8]) {
    use client_address::{Network, NetworkMap, NetworkSet, TrustedProxies};
    let peer = IpAddr::from([10, 0, 0, 1]);
    let _ = client_address::forwarded(bytes);
    let address = client_address::parse_address(bytes);
    for trusted in [TrustedProxies::hops(2), TrustedProxies::networks(NetworkSet::parse("10.0.0.0/8").unwrap())] {
        let found = trusted.client(peer, &[bytes]);
        let parts = bytes.split(|byte| *byte == b',');
        assert!(found == peer || parts.filter_map(client_address::parse_address).any(|address| address == found));
        let _ = trusted.client_forwarded(peer, &[bytes]);
    }
    let text = text(bytes);
    let mut map = NetworkMap::new();
    let networks: Vec<Network> = text.lines().filter_map(|line| line.parse().ok()).collect();
    for (number, network) in networks.iter().enumerate() {
        assert_eq!(network.to_string().parse(), Ok(*network));
        map.insert(*network, number);
    }
    if let Some(address) = address {
        assert_eq!(map.get(address).is_some(), networks.iter().any(|network| network.contains(address)));
    }
    if let Ok(set) = NetworkSet::parse(&text) {
        assert!(set.len() <= text.lines().count());
    }
}

/// Decoded bytes do not depend on chunks and are within the limit. What was encoded is decoded.
pub fn content_encoding(bytes: &[u8]) {
    use content_encoding::{Coding, Decoder, Encoder};
    for coding in [Coding::Gzip, Coding::Deflate] {
        let limit = 9999;
        let decode = |chunks: &[&[u8]]| {
            let (mut decoder, mut decoded, mut result) = (Decoder::new(coding, limit), Vec::new(), Ok(()));
            for chunk in chunks {
                result = result.and(decoder.push(chunk, |part| decoded.extend_from_slice(part)));
            }
            assert!(decoded.len() as u64 <= limit);
            let result = result.and_then(|()| decoder.finish());
            // Before a fault, more or fewer bytes may have been decoded.
            (result, result.is_ok().then_some(decoded))
        };
        let [whole, chunks] = cuts(bytes);
        assert_eq!(decode(&whole), decode(&chunks), "{coding:?} {chunks:?}");
        let mut encoder = Encoder::with_level(coding, bytes.first().copied().unwrap_or(0) % 11);
        let mut encoded = Vec::new();
        for chunk in &chunks {
            encoder.push(chunk, |part| encoded.extend_from_slice(part));
            if chunk.len() == 7 {
                encoder.flush(|part| encoded.extend_from_slice(part));
            }
        }
        encoder.finish(|part| encoded.extend_from_slice(part));
        let (mut decoder, mut decoded) = (Decoder::new(coding, u64::MAX), Vec::new());
        decoder.push(&encoded, |part| decoded.extend_from_slice(part)).unwrap();
        decoder.finish().unwrap();
        assert_eq!(decoded, chunks.concat());
    }
}

/// Headers are valid, and an origin is never allowed that no pattern matches.
pub fn cors(bytes: &[u8]) {
    let mut lines = bytes.split(|byte| *byte == b'\n');
    let mut line = || lines.next().unwrap_or_default();
    let (pattern, origin, method, headers) = (line(), line(), line(), line());
    let builder = cors::Cors::builder().origin(text(pattern)).method("PUT").header("x-a").credentials();
    let Ok(cors) = builder.build() else { return };
    let preflight = cors.preflight(origin, method, Some(headers));
    for (name, value) in preflight.headers.iter().chain(&cors.response(Some(origin))) {
        assert!(is_header(value), "{name}: {value:?}");
    }
    assert!(cors.allows(origin) || preflight.status == 403);
    if !pattern.contains(&b'*') && cors.allows(origin) {
        assert!(pattern.eq_ignore_ascii_case(origin), "{pattern:?} {origin:?}");
    }
}

/// The result does not depend on chunks, and no match remains.
pub fn edit(bytes: &[u8]) {
    use edit::{Action, CardNumbers, Editor, Literals};
    let mut input = Input(bytes);
    let (count, length) = (usize::from(input.byte() % 4), usize::from(input.byte() % 8) + 1);
    let words: Vec<&[u8]> = input.0.chunks(length).take(count).collect();
    let keep_last = usize::from(input.byte() % 5);
    for action in [Action::Remove, Action::Replace(b"<>".to_vec()), Action::Mask { with: b'*', keep_last }] {
        fn run(pattern: impl edit::Pattern + Clone, action: &Action, bytes: &[u8]) -> (Vec<u8>, u64) {
            is_same_for_all_cuts(bytes, |chunks| {
                let mut editor = Editor::new(pattern.clone(), action.clone());
                let mut edited = Vec::new();
                for chunk in chunks {
                    edited.extend(editor.push(chunk, false));
                    assert!(editor.pending() <= pattern.longest().max(1));
                }
                edited.extend(editor.push(b"", true));
                (edited, editor.matches())
            })
        }
        run(CardNumbers, &action, bytes);
        for words in [Literals::new(&words), Literals::ignoring_case(&words)].into_iter().flatten() {
            let (edited, matches) = run(words, &action, bytes);
            assert!(matches > 0 || edited == bytes.get(1..).unwrap_or_default());
        }
    }
}

/// Events do not depend on chunks, are within the limit, and stay the same when they are encoded.
pub fn event_stream(bytes: &[u8]) {
    use event_stream::Decoder;
    let decode = |chunks: &[&[u8]]| {
        let (mut decoder, mut events) = (Decoder::new(64), Vec::new());
        chunks.iter().for_each(|chunk| decoder.push(chunk, |event| events.push(event)));
        let skipped = decoder.skipped();
        events.extend(decoder.finish());
        (events, skipped)
    };
    let (events, _) = is_same_for_all_cuts(bytes, decode);
    for event in events {
        assert!(event.data.len() + event.name.len() <= 64);
        let mut again = Vec::new();
        Decoder::new(999).push(&event.encode(), |event| again.push(event));
        assert!(again.is_empty() || again == [event]);
    }
}

/// The estimate covers the share of the calls.
pub fn hedge(bytes: &[u8]) {
    let mut input = Input(bytes);
    let mut latency = hedge::Latency::new(input.byte().into(), Duration::from_millis(5));
    let mut longest = Duration::ZERO;
    while !input.0.is_empty() {
        let time = input.time();
        longest = longest.max(time);
        latency.record(time);
        let _ = latency.delay();
    }
    assert!(latency.delay() <= longest.saturating_mul(2).max(Duration::from_millis(5)));
}

/// Events do not depend on chunks, and JSON is what `serde_json` reads as JSON.
pub fn json(bytes: &[u8]) {
    use json::{Extractor, JsonError, Reader};
    let read = |chunks: &[&[u8]]| {
        let (mut reader, mut events, mut result) = (Reader::new(16), Vec::new(), Ok(()));
        for chunk in chunks {
            result = result.and(reader.push(chunk, |event| events.push(format!("{event:?}"))));
        }
        let result = result.and_then(|()| reader.finish(|event| events.push(format!("{event:?}"))));
        (result, events)
    };
    let (result, _) = is_same_for_all_cuts(bytes, read);
    let rest = bytes.get(1..).unwrap_or_default();
    let known = serde_json::from_slice::<serde::de::IgnoredAny>(rest);
    // `serde_json` has another limit of levels, and none for numbers.
    if !matches!(result, Err(JsonError::TooDeep | JsonError::LongNumber)) && std::str::from_utf8(rest).is_ok() {
        assert!(
            known.is_err() || result.is_ok(),
            "{result:?}, but valid for serde_json: {:?}",
            rest.escape_ascii().to_string()
        );
        assert!(
            known.is_ok() || result.is_err() || has_what_serde_json_refuses(rest),
            "{known:?}: {:?}",
            rest.escape_ascii().to_string()
        );
    }
    let extract = |chunks: &[&[u8]]| {
        let (mut extractor, mut found) = (Extractor::new(["/a/*/b", "/0", "/*"], 16).unwrap(), Vec::new());
        for chunk in chunks {
            let _ = extractor.push(chunk, |path, value| found.push(format!("{path} {value:?}")));
        }
        let _ = extractor.finish(|path, value| found.push(format!("{path} {value:?}")));
        found
    };
    is_same_for_all_cuts(bytes, extract);
}

/// Escapes of half a character, and levels: `IgnoredAny` has a limit of 128.
fn has_what_serde_json_refuses(text: &[u8]) -> bool {
    let levels = text.iter().filter(|byte| matches!(byte, b'[' | b'{')).count();
    levels > 100 || text.windows(2).any(|pair| pair == b"\\u")
}

/// Lines do not depend on chunks. An editor that changes nothing keeps all bytes.
pub fn json_lines(bytes: &[u8]) {
    use json_lines::{LineEditor, Lines};
    let read = |chunks: &[&[u8]]| {
        let (mut reader, mut lines) = (Lines::new(16), Vec::new());
        chunks.iter().for_each(|chunk| reader.push(chunk, |line| lines.push(line.to_vec())));
        lines.extend(reader.finish());
        lines
    };
    assert!(is_same_for_all_cuts(bytes, read).iter().all(|line| line.len() <= 16));
    let keep = |line: &[u8]| Ok::<_, ()>(line.to_vec());
    let edit = |chunks: &[&[u8]]| {
        let (mut editor, mut edited) = (LineEditor::new(16), Vec::new());
        for chunk in chunks {
            edited.extend(editor.push(chunk, keep).ok()?);
        }
        edited.extend(editor.finish(keep).ok()?);
        Some(edited)
    };
    if let Some(edited) = is_same_for_all_cuts(bytes, edit) {
        let rest = bytes.get(1..).unwrap_or_default();
        assert!(edited == rest.strip_prefix("\u{feff}".as_bytes()).unwrap_or(rest));
    }
}

/// No token is valid that no key has signed.
pub fn jwt(bytes: &[u8]) {
    use jwt::{Algorithm, Claims, Jwks, Key, Rules};
    if let Ok(keys) = Jwks::parse(bytes) {
        assert!(keys.len() <= Jwks::MAX_KEYS);
        assert!(!keys.keys().iter().any(|key| key.is_for(Algorithm::HS256)));
        assert!(keys.verify(bytes).is_err());
    }
    let _ = Key::from_jwk(bytes);
    let keys = Jwks::from_iter(Key::secret(Some("a".to_owned()), [7; 64]));
    assert!(keys.verify(bytes).is_err(), "nothing was signed with this secret");
    if let Ok(claims) = serde_json::from_slice::<Claims>(bytes) {
        let _ = Rules::new("a", ["b"]).check(&claims, Duration::from_secs(1));
        let mut cache = jwt::TokenCache::new(1);
        let now = Duration::from_secs(5);
        cache.insert(bytes, (), claims.expires, now);
        let expires = claims.expires.unwrap_or(Duration::MAX);
        assert!(cache.get(bytes, expires.max(now)).is_none(), "a token outlives its expiry");
    }
}

/// The edited stream does not depend on chunks.
pub fn llm_text(bytes: &[u8]) {
    let run = |chunks: &[&[u8]]| {
        let words = edit::Literals::new(["falcon", "\u{e9}"]).unwrap();
        let mut editor = llm_text::StreamEditor::new(words, edit::Action::Mask { with: b'*', keep_last: 0 });
        let mut edited = Vec::new();
        for chunk in chunks {
            edited.extend(editor.push(chunk)?);
        }
        edited.extend(editor.finish()?);
        Ok::<_, llm_text::StreamError>(edited)
    };
    let _ = is_same_for_all_cuts(bytes, run);
}

/// The counts do not depend on chunks.
pub fn llm_usage(bytes: &[u8]) {
    for kind in ["text/event-stream", "application/json"] {
        is_same_for_all_cuts(bytes, |chunks| {
            let mut reader = llm_usage::Reader::new(kind.as_bytes()).unwrap();
            chunks.iter().for_each(|chunk| reader.push(chunk));
            reader.usage()
        });
    }
}

/// A line is one line of JSON, within its limit.
pub fn log_line(bytes: &[u8]) {
    let mut input = Input(bytes);
    let limit = usize::from(input.byte()) * 4;
    let mut line = log_line::LogLine::new(limit).max_text(input.byte().into());
    while !input.0.is_empty() {
        let name = text(input.part());
        line = match input.byte() % 5 {
            0 => line.number(&name, input.number()),
            1 => line.flag(&name, true),
            2 => line.milliseconds(&name, input.time()),
            3 => line.time(&name, input.time()),
            _ => line.text(&name, input.part()),
        };
    }
    let line = line.finish();
    assert!(line.len() <= limit.max(64), "{} bytes", line.len());
    assert!(!line.contains('\n'));
    serde_json::from_str::<serde::de::IgnoredAny>(&line).unwrap_or_else(|error| panic!("{error}: {line}"));
}

/// Parts do not depend on chunks.
pub fn multipart(bytes: &[u8]) {
    use multipart::{Event, Reader};
    let read = |boundary: &[u8]| {
        let read = |chunks: &[&[u8]]| {
            let mut reader = Reader::new(boundary, 64).ok()?;
            let (mut parts, mut result) = (Vec::new(), Ok(()));
            for chunk in chunks {
                result = result.and(reader.push(chunk, |event| match event {
                    Event::Part(part) => {
                        let _ = (part.name(), part.file_name());
                        parts.push((part.headers, Vec::new(), false));
                    }
                    Event::Data(data) => parts.last_mut().unwrap().1.extend_from_slice(data),
                    Event::PartEnd => parts.last_mut().unwrap().2 = true,
                    _ => {}
                }));
            }
            // A part that has not ended may have more or fewer bytes so far.
            parts.retain(|(_, _, is_whole)| *is_whole);
            Some((result, parts, reader.is_complete()))
        };
        is_same_for_all_cuts(bytes, read);
    };
    read(b"b");
    if let Some(boundary) = multipart::boundary(bytes) {
        read(&boundary);
    }
}

/// The text is JSON.
pub fn problem(bytes: &[u8]) {
    let mut input = Input(bytes);
    let status = u16::from(input.byte()) * 3;
    let problem = problem::Problem::new(status, text(input.part())).kind(text(input.part()));
    let problem = problem.detail(text(input.part())).instance(text(input.part()));
    let json = problem.member(&text(input.part()), input.number()).to_json();
    assert!(serde_json::from_str::<serde_json::Value>(&json).is_ok_and(|value| value.is_object()), "{json}");
}

/// No limit is exceeded, for any clock.
pub fn rate_limit(bytes: &[u8]) {
    use rate_limit::{ExactWindow, FixedWindow, Reserve, SlidingWindow, Taken, TokenBucket, Window};
    let mut input = Input(bytes);
    let (tokens, burst, period) = (input.number(), u64::from(input.byte()), input.time());
    let bucket = TokenBucket::new(tokens, period).burst(burst);
    let sliding = SlidingWindow::new(burst.try_into().unwrap(), period);
    let (fixed, exact) = (FixedWindow::new(5, period), ExactWindow::new(5, period));
    let mut reserve = Reserve::new(input.byte().into(), input.time());
    let (mut state, mut window, mut fixed_state, mut exact_state) = (None, Window::default(), vec![], vec![]);
    let mut counts = BTreeMap::new();
    let mut now = Duration::ZERO;
    while !input.0.is_empty() {
        let back = input.byte() % 8 == 0;
        let step = input.time();
        now = if back { now.saturating_sub(step) } else { now.saturating_add(step) };
        let taken = bucket.take(state, input.byte().into(), now);
        if let Taken::Allowed { remaining, .. } = taken {
            assert!(remaining <= burst.max(1));
        }
        state = taken.state().or(state);
        let owing = bucket.debt(5);
        assert!(owing.charge(state, 3, now) >= bucket.charge(state, 3, now));
        let _ = reserve.take(now, |count| Ok::<_, ()>(bucket.take(state, count, now).result()));
        window = sliding.count(Window::from_bytes(window.to_bytes()), now).unwrap_or(window);
        let counted = fixed.count(&fixed_state, now);
        if counted.is_allowed {
            let count = counts.entry(counted.window).or_insert(0);
            *count += 1;
            // If the clock was set back by more than a window, the count begins again.
            assert!(back || *count <= 5 || counts.len() > 1);
            fixed_state = counted.state.to_vec();
        }
        if let Ok(state) = exact.count(&exact_state, now) {
            assert!(state.len() <= 5 * 8);
            exact_state = state;
        }
    }
    let _ = exact.count(bytes, now);
    let _ = fixed.count(bytes, now);
}

/// Parsers accept any bytes, edits are what they say, and a normal path stays the same.
pub fn request(bytes: &[u8]) {
    use request::{EscapedSlashes, Normalisation, Query, QueryEdit, SetCookie};
    assert!(bytes.starts_with(request::path(bytes)));
    let _ = (request::path_segments(bytes).count(), request::bearer(bytes), request::accepts_encoding(bytes, "gzip"));
    let _ = (request::negotiate_encoding(bytes, &["br", "gzip"]), request::negotiate_media_type(bytes, &["text/html"]));
    for slashes in [EscapedSlashes::Refuse, EscapedSlashes::Keep, EscapedSlashes::Decode] {
        let normal = Normalisation::new().merge_slashes().backslashes_as_slashes().escaped_slashes(slashes);
        if let Ok(path) = normal.normalise(bytes) {
            assert!(path.starts_with('/') && !path.contains("/../") && !path.contains("//"), "{path}");
            assert_eq!(normal.normalise(path.as_bytes()).as_ref(), Ok(&path), "a normal path changes");
        }
    }
    let decoded = request::percent_decode(bytes);
    let encoded = request::percent_encode(&decoded.bytes);
    assert_eq!(request::percent_decode(encoded.as_bytes()).bytes, decoded.bytes);
    let query = Query::of(bytes);
    let mut edit = QueryEdit::new(bytes);
    edit.remove("x").set("new", bytes).append("last", "1");
    let edited = edit.finish();
    let after = Query::of(&edited);
    assert!(after.get("x").is_none() && after.get("new").is_some_and(|value| *value == *bytes));
    assert!(query.pairs().count() <= after.pairs().count() + query.all("x").count() + query.all("new").count());
    if let Some((name, _)) = request::cookies(bytes).next() {
        assert!(request::cookie(bytes, name).is_some());
        if let Some(rest) = request::remove_cookie(bytes, name) {
            assert!(request::cookie(&rest, name).is_none(), "{:?}", rest.escape_ascii().to_string());
        }
    }
    let mut input = Input(bytes);
    let [name, value, path, domain] = std::array::from_fn(|_| text(input.part()));
    if let Ok(cookie) = SetCookie::new(&name, &value).path(&path).domain(&domain).max_age(input.time()).build() {
        assert!(is_header(&cookie), "{cookie}");
        assert_eq!(request::cookie(cookie.as_bytes(), &name), Some(value.as_bytes()));
    }
    if let Some(media) = request::MediaType::parse(bytes) {
        let _ = (media.is_json(), media.suffix(), media.parameters().count(), media.parameter("boundary"));
    }
    if let Some(credentials) = request::Credentials::parse(bytes)
        && let Some(basic) = credentials.basic()
    {
        let again = request::basic(&basic.user, &basic.password).unwrap();
        let again = request::Credentials::parse(again.as_bytes()).unwrap().basic().unwrap();
        assert!(again.user == basic.user && again.password == basic.password);
    }
    assert_eq!(request::secret_eq(bytes, encoded.as_bytes()), bytes == encoded.as_bytes());
}

/// Pauses are within their limits.
pub fn retry(bytes: &[u8]) {
    let _ = retry::retry_after(bytes, SystemTime::UNIX_EPOCH);
    let _ = retry::is_idempotent(bytes);
    let mut input = Input(bytes);
    let (first, longest) = (input.time(), input.time());
    let (backoff, mut budget) = (retry::Backoff::new(first, longest), retry::Budget::percent(20, 3));
    let mut calls = 0_u64;
    while !input.0.is_empty() {
        let pause = backoff.pause(input.byte().into(), input.number());
        assert!(pause <= longest);
        budget.on_call();
        calls += 1;
        if budget.take_retry() {
            assert!(calls > 0);
        }
    }
}

/// A layer without members changes nothing.
pub fn route_config(bytes: &[u8]) {
    use route_config::RouteConfig;
    let mut input = Input(bytes);
    let (plugin, route) = (input.part(), input.part());
    if let Ok(mut settings) = RouteConfig::<serde_json::Map<String, serde_json::Value>>::new(plugin) {
        let base = settings.plugin();
        assert_eq!(settings.get(&[b"{}"]).as_ref(), Ok(&base));
        let first = settings.get(&[route, input.0]);
        assert_eq!(settings.get(&[route, input.0]), first, "it is parsed once");
    }
}

/// No value ends its header.
pub fn security_headers(bytes: &[u8]) {
    use security_headers::{ContentSecurityPolicy, SecurityHeaders};
    let mut input = Input(bytes);
    let policy = ContentSecurityPolicy::new().directive(text(input.part()), [text(input.part())]);
    let policy = policy.with_nonce(&text(input.part()));
    if let Ok(value) = policy.to_value() {
        assert!(is_header(&value), "{value:?}");
    }
    let name = text(input.part());
    let headers = SecurityHeaders::recommended().policy(&policy).set(&name, text(input.part()));
    if let Ok(headers) = headers.transport(input.time(), true, true).build() {
        assert!(headers.iter().all(|(name, value)| is_header(value) && is_header(name) && !name.is_empty()));
    }
}

/// Nothing is valid that was not signed, and what was signed is valid.
pub fn signature(bytes: &[u8]) {
    use signature::aws::{Credentials, Payload, Request, Signer};
    use signature::message::{Component, Message, Verifier, VerifyingKey};
    use signature::{ContentDigest, RequestSigner, Secret, UrlSigner};
    let mut input = Input(bytes);
    let (one, two) = (input.part(), input.part());
    let now = Duration::from_secs(1_700_000_000);
    let signer = RequestSigner::new(Secret::new([7; 32]).unwrap());
    assert!(signer.verify(one, &[two], now).is_err());
    // A part with a line feed cannot be signed.
    if let Ok(header) = signer.sign(&[one, two], now) {
        assert_eq!(signer.verify(header.as_bytes(), &[one, two], now), Ok(()));
        assert!(signer.verify(header.as_bytes(), &[&[one, b"x"].concat(), two], now).is_err());
    }
    let urls = UrlSigner::new(Secret::new([7; 32]).unwrap());
    assert!(urls.verify(one, now).is_err());
    if let Ok(signed) = urls.sign(one, now) {
        assert_eq!(urls.verify(&signed, now.saturating_sub(Duration::from_secs(1))), Ok(one));
    }
    let mut digest = ContentDigest::new();
    digest.update(bytes);
    assert!(digest.matches(digest.to_header().as_bytes()) && !digest.matches(bytes));
    let key = VerifyingKey::hmac_sha256([7; 32]).unwrap();
    let headers = [("a", one), ("content-digest", two), ("signature-input", one)];
    let request = Message::request("GET", "https", "a.example", one, &headers);
    for message in [request, Message::response(200, &headers).to(&request)] {
        let verifier = Verifier::new(Component::parse(&text(two)).ok()).without_time();
        assert!(verifier.verify(&message, one, two, now, |_| Some(&key)).is_err());
    }
    let request = Request {
        method: two,
        target: one,
        headers: &[(b"host", b"a.example"), (two, one)],
        payload: Payload::Bytes(bytes),
    };
    for service in ["s3", "execute-api"] {
        let signer = Signer::new(Credentials::new("a", "b").session_token("c"), "r", service);
        if let Ok(headers) = signer.sign(&request, now) {
            assert!(headers.iter().all(|(_, value)| is_header(value)));
        }
        let _ = signer.presign(&request, input.time(), now);
    }
}

/// Each future completes, with one call in flight for each key.
pub fn single_flight(bytes: &[u8]) {
    use std::cell::Cell;
    let flights = single_flight::SingleFlight::<u8, u8>::new();
    let (running, ready) = (Cell::new(0_u32), Cell::new(false));
    let flights = &flights;
    let (running, ready) = (&running, &ready);
    let call = move |key: u8| {
        flights.run(key, async move || {
            running.set(running.get() + 1);
            assert!(running.get() <= 4, "two calls for one key");
            struct End<'a>(&'a Cell<u32>);
            impl Drop for End<'_> {
                fn drop(&mut self) {
                    self.0.set(self.0.get() - 1);
                }
            }
            let _end = End(running);
            std::future::poll_fn(|_| if ready.get() { Poll::Ready(()) } else { Poll::Pending }).await;
            key
        })
    };
    let mut context = Context::from_waker(Waker::noop());
    let mut futures = Vec::new();
    for byte in bytes {
        let (key, at) = (byte % 4, usize::from(byte / 16));
        match byte / 4 % 4 {
            0 => futures.push((key, Box::pin(call(key)))),
            1 if at < futures.len() => drop(futures.swap_remove(at)),
            2 if at < futures.len() => {
                if let Poll::Ready(value) = pin!(&mut futures[at].1).poll(&mut context) {
                    assert_eq!(value, futures[at].0);
                    drop(futures.swap_remove(at));
                }
            }
            _ => ready.set(byte % 2 == 0),
        }
        assert!(flights.len() <= 4);
    }
    ready.set(true);
    for _ in 0..3 {
        futures.retain_mut(|(key, future)| match pin!(future).poll(&mut context) {
            Poll::Ready(value) => {
                assert_eq!(value, *key);
                false
            }
            Poll::Pending => true,
        });
    }
    assert!(futures.is_empty() && flights.is_empty() && running.get() == 0);
}

/// What is written is read again.
pub fn trace(bytes: &[u8]) {
    use trace::{TraceContext, TraceState};
    let mut input = Input(bytes);
    let _ = TraceContext::parse_b3_headers(input.part(), input.part(), Some(input.part()), Some(input.0));
    for context in [TraceContext::parse(bytes), TraceContext::parse_b3(bytes)].into_iter().flatten() {
        let again = TraceContext::parse(context.to_traceparent().as_bytes()).unwrap();
        assert_eq!((again.trace_id(), again.span_id()), (context.trace_id(), context.span_id()));
        let again = TraceContext::parse_b3(context.to_b3().as_bytes()).unwrap();
        assert_eq!((again.trace_id(), again.is_sampled()), (context.trace_id(), context.is_sampled()));
        assert_ne!(context.child(input.number()).to_traceparent(), "");
    }
    if let Some(mut state) = TraceState::parse(bytes) {
        assert!(state.to_value().len() <= TraceState::MAX_LENGTH);
        let again = TraceState::parse(state.to_value().as_bytes());
        assert!(state.is_empty() || again.as_ref() == Some(&state), "{again:?}");
        if state.set(&text(input.part()), &text(input.part())) {
            assert!(TraceState::parse(state.to_value().as_bytes()).is_some(), "{:?}", state.to_value());
        }
    }
}

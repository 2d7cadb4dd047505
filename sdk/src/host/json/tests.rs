use crate::host::json::{configuration, depth, from_slice};
use serde::Deserialize;
use serde::de::{DeserializeOwned, IgnoredAny};
use serde_json::Value;
use std::any::type_name;
use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::Debug;
use std::net::IpAddr;
use std::time::Duration;

#[test]
fn the_depth_of_a_text_counts_arrays_and_objects() {
    for (text, expected) in [
        ("", 0),
        ("1", 0),
        ("[]", 1),
        (r#"{"a": [{}, [[]]], "b": {}}"#, 4),
        (r#""[[[""#, 0),
        (r#"["[{\"[[", "\\", {"]]": 1}]"#, 2),
        ("]]][", 1),
        ("[[", 2),
    ] {
        assert_eq!(depth(text.as_bytes()), expected, "{text}");
    }
}

#[test]
fn text_of_any_depth_is_read_or_refused() {
    for depth in 1..200 {
        for (open, close) in [("[", "]"), ("{\"a\":", "}")] {
            let text = format!("{}1{}", open.repeat(depth), close.repeat(depth));
            let read = from_slice::<Value>(text.as_bytes());
            assert_eq!(read.is_ok(), serde_json::from_str::<Value>(&text).is_ok(), "{depth}: {read:?}");
        }
    }
    assert!(from_slice::<Value>(b"1 2").unwrap_err().to_string().contains("trailing characters"));
}

/// Whether a number in the text is a float, for some reader: one with a fraction, or a large one.
fn is_float(text: &[u8]) -> bool {
    text.iter().any(|byte| matches!(byte, b'.' | b'e' | b'E'))
        || serde_json::from_slice::<i128>(text).is_err()
        || text.len() > 18
}

/// Reads as `serde_json` does, or refuses as it does.
fn is_read_alike<T>(text: &[u8])
where
    T: DeserializeOwned + PartialEq + Debug,
{
    let theirs = serde_json::from_slice::<T>(text);
    let ours = from_slice::<T>(text);
    match (&ours, &theirs) {
        // serde_json misses the nearest float to many digits by one.
        (Ok(_), Ok(_)) if text.iter().filter(|byte| byte.is_ascii_digit()).count() > 15 && is_float(text) => {}
        (Ok(ours), Ok(theirs)) => assert_eq!(ours, theirs, "{}", text.escape_ascii()),
        (Err(_), Err(_)) => {}
        _ => panic!("{} as {}: {ours:?}, {theirs:?}", text.escape_ascii(), type_name::<T>()),
    }
}

/// The same as every type below.
fn is_read_alike_as_any_type(text: &[u8]) {
    macro_rules! all {
        ($($type:ty),* $(,)?) => { $(is_read_alike::<$type>(text);)* };
    }
    all! {
        Value, bool, u8, u16, u32, u64, u128, i8, i16, i32, i64, i128, f32, f64, char, String, (), Option<u8>,
        Option<Option<bool>>, Vec<u8>, Vec<Value>, Vec<String>, (u8, String), [u8; 2], Unit, Wrapped, Pair, Plain,
        Strict, Flat, Tagged, Adjacent, Untagged, Plainly, Nested, Checked, BTreeMap<String, Value>,
        BTreeMap<u8, bool>, BTreeMap<i64, Option<u8>>, BTreeMap<bool, u8>, BTreeMap<char, u8>, BTreeMap<Word, u8>,
        BTreeMap<Option<Wrapped>, u8>, BTreeMap<u128, Value>, Cow<'static, str>, IgnoredAny, Box<str>, IpAddr,
        Duration, Result<u8, String>,
    }
}

#[derive(Debug, PartialEq, Deserialize)]
struct Unit;

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
struct Wrapped(u8);

#[derive(Debug, PartialEq, Deserialize)]
struct Pair(u8, String);

#[derive(Debug, PartialEq, Deserialize)]
#[serde(default)]
struct Plain {
    a: u8,
    #[serde(rename = "b", alias = "β")]
    b: Option<String>,
    c: Vec<f64>,
    d: Cow<'static, str>,
}

impl Default for Plain {
    fn default() -> Self {
        Self { a: 1, b: None, c: Vec::new(), d: "d".into() }
    }
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
struct Strict {
    a: i64,
    b: Option<Word>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Flat {
    a: u8,
    #[serde(flatten)]
    strict: Option<Tagged>,
    #[serde(flatten)]
    rest: BTreeMap<String, Value>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "t")]
enum Tagged {
    A { a: i32 },
    B(BTreeMap<String, f64>),
    C,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(tag = "t", content = "c")]
enum Adjacent {
    A { a: i32 },
    B(u8),
    C,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(untagged)]
enum Untagged {
    Number(u8),
    Float(f64),
    Text(String),
    Strict { a: u8, b: bool },
    List(Vec<Untagged>),
    Nothing,
}

#[derive(Debug, PartialEq, Deserialize)]
enum Plainly {
    A,
    B(u8),
    C(u8, String),
    #[serde(rename = "a")]
    D {
        a: u8,
    },
    #[serde(other)]
    Other,
}

#[derive(Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Word {
    A,
    B,
}

#[derive(Debug, PartialEq, Deserialize)]
struct Nested {
    #[serde(default)]
    a: Option<Box<Nested>>,
    #[serde(default)]
    b: Vec<Word>,
}

#[derive(Debug, PartialEq, Deserialize)]
#[serde(try_from = "String")]
struct Checked(String);

impl TryFrom<String> for Checked {
    type Error = &'static str;

    fn try_from(text: String) -> Result<Self, &'static str> {
        if text.len() < 3 { Ok(Self(text)) } else { Err("too long") }
    }
}

/// Texts at the edges of the grammar.
const TEXTS: &[&[u8]] = &[
    b"",
    b" ",
    b"\0",
    b"\xef\xbb\xbf1",
    b"null",
    b"nul",
    b"nulll",
    b"Null",
    b"true",
    b"false",
    b"tru",
    b"falsey",
    b"NaN",
    b"Infinity",
    b"-",
    b"-0",
    b"-0.0",
    b"0",
    b"00",
    b"01",
    b"-01",
    b"1",
    b"+1",
    b"1.",
    b".5",
    b"1.5",
    b"1.0",
    b"1e",
    b"1e+",
    b"1e5",
    b"1E-5",
    b"1e400",
    b"-1e400",
    b"1e-400",
    b"0e0",
    b"0e400",
    b"0x1",
    b"1_0",
    b"255",
    b"256",
    b"65535",
    b"65536",
    b"-1",
    b"-128",
    b"-129",
    b"4294967296",
    b"9223372036854775807",
    b"9223372036854775808",
    b"-9223372036854775808",
    b"-9223372036854775809",
    b"18446744073709551615",
    b"18446744073709551616",
    b"-18446744073709551616",
    b"340282366920938463463374607431768211455",
    b"340282366920938463463374607431768211456",
    b"-170141183460469231731687303715884105728",
    b"-170141183460469231731687303715884105729",
    b"1 2",
    b"1,",
    b"1 ",
    b"\t1\n",
    b"\x0c1",
    b"\xc2\xa01",
    b"//1",
    b"1//",
    b"\"",
    b"\"\"",
    b"\"a",
    b"\"a\"b",
    b"'a'",
    b"\"a\nb\"",
    b"\"\x7f\"",
    b"\"\0\"",
    b"\"\\n\\t\\r\\b\\f\\/\\\\\\\"\"",
    b"\"\\a\"",
    b"\"\\\"",
    b"\"\\u\"",
    b"\"\\u00e9\"",
    b"\"\\u00E9x\"",
    b"\"\\u00g0\"",
    b"\"\\u12\"",
    b"\"\\u0000\"",
    b"\"\\ud83e\\udd80\"",
    b"\"\\ud83e\"",
    b"\"\\udd80\"",
    b"\"\\ud83e\\ud83e\"",
    b"\"\\ud83ex\"",
    b"\"\\ud83e\\n\"",
    b"\"\\ud83e\\u0041\"",
    b"\"\\U0041\"",
    b"\"caf\xc3\xa9\"",
    b"\"\xff\"",
    b"\"\xc3\"",
    b"\"\xed\xa0\x80\"",
    b"\"\xf0\x9f\xa6\x80\"",
    b"\xff",
    b"[",
    b"]",
    b"[]",
    b"[ ]",
    b"[,]",
    b"[1,]",
    b"[,1]",
    b"[1,,2]",
    b"[1 2]",
    b"[1,2]",
    b"[1,2",
    b"[1,2}",
    b"[1,2]]",
    b"[1,\"a\"]",
    b"[1,\"a\",2]",
    b"[[1],[2]]",
    b"[null]",
    b"[1.5,\"\",{}]",
    b"{",
    b"}",
    b"{}",
    b"{ }",
    b"{,}",
    b"{\"a\"}",
    b"{\"a\":}",
    b"{\"a\" 1}",
    b"{\"a\":1}",
    b"{\"a\":1,}",
    b"{\"a\":1,\"a\":2}",
    b"{\"a\":1 \"b\":2}",
    b"{a:1}",
    b"{1:1}",
    b"{\"1\":true}",
    b"{\"01\":true}",
    b"{\"-1\":null}",
    b"{\" 1\":null}",
    b"{\"1 \":null}",
    b"{\"1.5\":null}",
    b"{\"true\":1}",
    b"{\"truex\":1}",
    b"{\"\":1}",
    b"{\"a\":1}}",
    b"{\"a\":1]",
    b"{\"a\":{\"a\":{\"a\":{}}}}",
    b"{\"a\":{\"b\":[\"a\",\"b\"]}}",
    b"{\"b\":[\"c\"]}",
    b"{\"a\":5,\"b\":\"a\"}",
    b"{\"a\":5,\"b\":null}",
    b"{\"a\":5,\"b\":\"c\"}",
    b"{\"b\":\"a\"}",
    b"{\"a\":5,\"x\":[1,{\"y\":\"]\"}]}",
    b"{\"a\":5,\"x\":[1,}",
    b"{\"a\":5,\"x\":\"\\q\"}",
    b"{\"a\":5,\"x\":01}",
    b"{\"a\":5,\"x\":nul}",
    b"{\"a\":5,\"x\":1e400}",
    b"{\"a\":5,\"x\":\"\\ud83e\"}",
    b"{\"\xce\xb2\":\"x\"}",
    b"{\"\\u03b2\":\"x\"}",
    b"{\"d\":\"x\\ny\"}",
    b"{\"c\":[1,-2,1.5]}",
    b"\"A\"",
    b"\"a\"",
    b"\"C\"",
    b"{\"A\":null}",
    b"{\"A\":1}",
    b"{\"B\":7}",
    b"{\"B\":7,\"C\":1}",
    b"{\"B\"}",
    b"{\"B\":}",
    b"\"B\"",
    b"{\"C\":[1,\"x\"]}",
    b"{\"C\":[1]}",
    b"{\"C\":[1,\"x\",2]}",
    b"{\"a\":{\"a\":1}}",
    b"{\"a\":[1]}",
    b"{\"Zzz\":null}",
    b"{\"Zzz\":5}",
    b"\"Zzz\"",
    b"{\"t\":\"A\",\"a\":1}",
    b"{\"a\":1,\"t\":\"A\"}",
    b"{\"t\":\"B\",\"x\":1.5}",
    b"{\"t\":\"C\"}",
    b"{\"t\":\"D\"}",
    b"{\"t\":1}",
    b"{\"t\":\"A\",\"c\":{\"a\":1}}",
    b"{\"c\":5,\"t\":\"B\"}",
    b"{\"t\":\"C\",\"c\":null}",
    b"{\"a\":1,\"b\":true}",
    b"{\"a\":300,\"b\":true}",
    b"[1,[2.5,[\"x\"]]]",
    b"\"127.0.0.1\"",
    b"\"::1\"",
    b"{\"secs\":1,\"nanos\":2}",
    b"[1,2]",
    b"{\"secs\":1}",
    b"{\"Ok\":1}",
    b"{\"Err\":\"x\"}",
    b"[0,255]",
    b"[0,256]",
    b"[0]",
    b"[]1",
    b"\"xyz\"",
    b"\"xy\"",
    b"{\"a\":null,\"a\":null}",
    b"{\"null\":1}",
    b"{\"a\\nb\":1}",
];

#[test]
fn odd_texts_are_read_as_serde_json_reads_them() {
    for text in TEXTS {
        is_read_alike_as_any_type(text);
    }
}

#[test]
fn texts_that_are_cut_or_changed_are_read_as_serde_json_reads_them() {
    let bytes = b"{}[]\",:\\ue-+.0123aBtfn \n\x01\xc3\xa9\xff";
    let mut state = 1_u32;
    for text in TEXTS.iter().filter(|text| text.len() > 3) {
        for at in 0..text.len() {
            is_read_alike::<Value>(&text[..at]);
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            let mut changed = text.to_vec();
            changed[at] = bytes[state as usize / 65_536 % bytes.len()];
            is_read_alike_as_any_type(&changed);
            changed = text.to_vec();
            changed.insert(at, bytes[state as usize / 256 % bytes.len()]);
            is_read_alike_as_any_type(&changed);
            changed.remove(at);
            changed.remove(at);
            is_read_alike_as_any_type(&changed);
        }
    }
}

/// A value of any shape.
fn grow(state: &mut u32, depth: usize) -> Value {
    let mut random = |below: u32| {
        *state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (*state >> 8) % below
    };
    let kind = random(if depth == 0 { 5 } else { 7 });
    let texts = ["", "a", "b", "t", "caf\u{e9}\u{1f980}", "q\"\\\n\u{1}", "A", "12", "true", "c"];
    match kind {
        0 => Value::Null,
        1 => (random(2) == 0).into(),
        2 => i64::from(random(u32::MAX)).wrapping_mul(i64::from(random(9)) - 4).into(),
        3 => (f64::from(random(1000)) / 8.0).into(),
        4 => texts[random(10) as usize].into(),
        5 => (0..random(4)).map(|_| grow(state, depth - 1)).collect(),
        _ => {
            let keys: Vec<_> = (0..random(4)).map(|_| texts[random(10) as usize]).collect();
            keys.into_iter().map(|key| (key.to_owned(), grow(state, depth - 1))).collect()
        }
    }
}

#[test]
fn generated_values_are_read_as_serde_json_reads_them() {
    let mut state = 7;
    for _ in 0..3_000 {
        let value = grow(&mut state, 4);
        is_read_alike_as_any_type(value.to_string().as_bytes());
        is_read_alike_as_any_type(format!("{value:#}").as_bytes());
    }
}

#[test]
fn floats_are_rounded_to_the_nearest_value() {
    let mut state = 1_u64;
    for _ in 0..20_000 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let float = f64::from_bits(state);
        if float.is_finite() {
            assert_eq!(from_slice::<f64>(format!("{float:e}").as_bytes()).unwrap().to_bits(), float.to_bits());
        }
    }
}

#[test]
fn ignored_values_may_be_nested_as_deeply_as_in_serde_json() {
    for depth in [1, 100, 127, 128, 10_000] {
        let text = format!("{{\"a\": 1, \"x\": {}{}}}", "[{\"y\":".repeat(depth), "}]".repeat(depth));
        is_read_alike::<Strict>(text.as_bytes());
        let text = format!("{{\"a\": 1, \"x\": {}1{}}}", "[{\"y\":".repeat(depth), "}]".repeat(depth));
        is_read_alike::<Plain>(text.as_bytes());
        is_read_alike::<IgnoredAny>(text.as_bytes());
    }
}

#[test]
fn the_error_names_the_cause_and_the_place() {
    fn refused<T: DeserializeOwned + Debug>(text: &str) -> String {
        configuration::<T>(text.as_bytes()).unwrap_err().to_string().replacen("configuration: ", "", 1)
    }
    type Rules = BTreeMap<String, Vec<Strict>>;
    /// Any text but one.
    #[derive(Debug, Deserialize)]
    #[serde(try_from = "String")]
    struct Empty;
    impl TryFrom<String> for Empty {
        type Error = &'static str;
        fn try_from(text: String) -> Result<Self, &'static str> {
            if text == "x" { Err("no text is taken here") } else { Ok(Self) }
        }
    }
    #[derive(Debug, Deserialize)]
    #[serde(try_from = "BTreeMap<String, Vec<u8>>")]
    struct Object;
    impl TryFrom<BTreeMap<String, Vec<u8>>> for Object {
        type Error = &'static str;
        fn try_from(object: BTreeMap<String, Vec<u8>>) -> Result<Self, &'static str> {
            if object.is_empty() { Ok(Self) } else { Err("no member is taken here") }
        }
    }
    type Empties = BTreeMap<String, Vec<Vec<Empty>>>;
    type Objects = BTreeMap<String, Vec<Object>>;
    type Lists = BTreeMap<String, Vec<u8>>;
    type Pairs = BTreeMap<String, Vec<(u8, u8)>>;
    for (text, expected) in [
        (
            "{\"r\": [{\"a\": 1}, {\"a\": \"x\"}]}",
            "r[1].a: invalid type: string \"x\", expected i64 at line 1 column 26",
        ),
        ("{\"r\": [{\"a\": 1.5}]}", "r[0].a: invalid type: floating point `1.5`, expected i64 at line 1 column 16"),
        ("{\"r\":\n [{\"a\": true}]}", "r[0].a: invalid type: boolean `true`, expected i64 at line 2 column 12"),
        ("{\"r\": [{\"a\": {}}]}", "r[0].a: invalid type: map, expected i64 at line 1 column 14"),
        ("{\"r\": [{}]}", "r[0]: missing field `a` at line 1 column 9"),
        ("{\"r\": 5}", "r: invalid type: integer `5`, expected a sequence at line 1 column 7"),
        ("[]", "invalid type: sequence, expected a map at line 1 column 1"),
        ("{\"r\": [{\"a\": 1, \"b\": \"c\"}]}", "r[0].b: unknown variant `c`, expected `a` or `b` at line 1 column 24"),
        ("{\"r\": [{\"c\": 1}]}", "r[0]: unknown field `c`, expected `a` or `b` at line 1 column 11"),
        ("{\"r\": [{\"a\": 1, \"a\": 2}]}", "r[0]: duplicate field `a` at line 1 column 20"),
        ("{\"r\": [[1]]}", "r[0]: invalid length 1, expected struct Strict with 2 elements at line 1 column 10"),
        ("{\"r\": [{\"a\": 1}", "r[0]: the text ends before `,` or `]` at line 1 column 16"),
        ("{\"r\": [],}", "trailing comma at line 1 column 10"),
        ("{} x", "trailing characters at line 1 column 4"),
        ("", "the text ends before a value at line 1 column 1"),
        (
            "{\"x\\n\": [{\"a\": \"\u{202e}\"}]}",
            "x\\\\n[0].a: invalid type: string \"\\u{202e}\", expected i64 at line 1 column 20",
        ),
    ] {
        assert_eq!(refused::<Rules>(text), expected, "{text}");
    }
    // The last element of an array, and the array.
    for (text, expected) in
        [("{\"a\": [1, 300]}", "a[1]: "), ("{\"a\": [1, 2, \"\" ]}", "a[2]: "), ("{\"a\": [\"\", 1]}", "a[0]: ")]
    {
        assert!(refused::<Lists>(text).starts_with(expected), "{text}: {}", refused::<Lists>(text));
    }
    for (text, expected) in [("{\"a\": [[1, 300]]}", "a[0][1]: "), ("{\"a\": [[1, 2], [1]]}", "a[1]: ")] {
        assert!(refused::<Pairs>(text).starts_with(expected), "{text}: {}", refused::<Pairs>(text));
    }
    // An element that is read, and refused afterwards.
    for (text, expected) in [
        ("{\"a\": [[\"x\"]]}", "a[0][0]: "),
        ("{\"a\": [[\"\"], [\"]\", \"x\"]]}", "a[1][1]: "),
        ("{\"a\": [[\"x\", \"\"]]}", "a[0][0]: "),
    ] {
        assert!(refused::<Empties>(text).starts_with(expected), "{text}: {}", refused::<Empties>(text));
    }
    assert!(refused::<Objects>("{\"a\": [{}, {\"b\": [1]}]}").starts_with("a[1]: "));
}

//! Expressions: foreign functions `expr_create`, `expr_evaluate` and `expr_delete`.
#![allow(clippy::unwrap_used, reason = "this is a test")]

use proxy_filter_host::Host;

#[path = "../guests/examples/expressions.rs"]
mod filter;

#[proxy_filter_host::test(guest = "expressions")]
fn expressions_are_evaluated(mut host: Host) {
    host.configure("").unwrap();
    let lines: Vec<_> = host.start_logs().into_iter().map(|line| line.message).collect();
    assert_eq!(
        lines,
        [
            "no expression: InvalidInput",
            "no function: InvalidInput",
            "no token: WrongPhase",
            "nothing to delete: []",
            "no token to delete: WrongPhase",
            "of the root: true",
            "on the root: WrongPhase",
        ]
    );
    for (path, result) in [("/yes", true), ("/no", false)] {
        let byte = format!("\"\\x0{}\"", u8::from(result));
        let exchange = host.get(path).send();
        let start = r"\x02\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00\x08\x00\x00\x00\x00\x00\x00\x00";
        let list = format!(r"{start}\x01{zero}\x02{zero}", zero = r"\x00\x00\x00\x00\x00\x00\x00\x00\x00");
        let values = [
            ("request.path == '/yes'", byte.as_str(), if result { "true" } else { "false" }),
            ("request.headers['x-missing'] == '1'", "WrongPhase", "WrongPhase"),
            ("1.5", r#""\x00\x00\x00\x00\x00\x00\xf8?""#, "Malformed"),
            ("null", "Refused(SerializationFailure (3))", "Refused(SerializationFailure (3))"),
            ("request.method + '!'", r#""GET!""#, "Malformed"),
            ("'x-missing' in request.headers || request.path.startsWith('/y')", &byte, &result.to_string()),
            ("has(request.headers.x)", r#""\x00""#, "false"),
            ("request.headers[':path'].endsWith('s') && request.path.contains('es')", &byte, &result.to_string()),
            ("request.path.matches('^/[a-z]+$')", r#""\x01""#, "true"),
            ("request.url_path.size()", &format!(r#""\x0{}\x00\x00\x00\x00\x00\x00\x00""#, path.len()), "Malformed"),
            ("request.size + 7", r#""\x07\x00\x00\x00\x00\x00\x00\x00""#, "Malformed"),
            ("response.code == 200", "WrongPhase", "WrongPhase"),
            ("request.missing", "WrongPhase", "WrongPhase"),
            ("missing", "WrongPhase", "WrongPhase"),
            (
                "['GET', 'HEAD'].exists(method, method == request.method) ? [1, 2] : []",
                &format!("\"{list}\""),
                "Malformed",
            ),
            ("{'a': true}", r#""\x01\x00\x00\x00\x01\x00\x00\x00\x01\x00\x00\x00a\x00\x01\x00""#, "Malformed"),
            ("[null]", "Refused(SerializationFailure (3))", "Refused(SerializationFailure (3))"),
            ("connection.mtls", r#""\x00""#, "false"),
        ]
        .map(|(expression, value, matches)| [format!("{expression}: {value}"), format!("{expression}: {matches}")]);
        let end = ["in a stream: true", "dropped: NotFound", "deleted: []"].map(str::to_owned);
        assert_eq!(exchange.messages(), [values.as_flattened(), &end].concat());
    }
}

//! The page of `serve --ui`, without a browser and in one.

use super::browser::Browser;
use super::common::{command, example, ok, repository};
use super::{Message, STAMP, Server, echo, exchange, get, resident, serve, upstream};
use serde_json::{Value, json};
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

/// Starts the command with a page, and returns the address of the page.
fn serve_with_page(module: &str, upstream: SocketAddr, arguments: &[&str]) -> (Server, SocketAddr) {
    let server = serve(module, upstream, &[&["--ui=127.0.0.1:0"], arguments].concat());
    assert!(server.prints("Showing"));
    let output = server.output.lock().unwrap().clone();
    let address = output.split("the exchanges on http://").nth(1).unwrap().lines().next().unwrap().parse().unwrap();
    (server, address)
}

fn ask(page: SocketAddr, path: &str) -> Value {
    let reply = exchange(page, &format!("GET {path} HTTP/1.1\r\nhost: {page}\r\n\r\n"));
    serde_json::from_slice(&reply.body).unwrap_or_else(|_| panic!("{}", reply.head))
}

/// Sends a replay as the page does.
fn replay(page: SocketAddr, replay: &Value, extra: &str) -> Message {
    let body = replay.to_string();
    let kind = if extra.contains("content-type") { "" } else { "content-type: application/json\r\n" };
    let length = body.len();
    exchange(
        page,
        &format!("POST /replay HTTP/1.1\r\nhost: {page}\r\n{kind}{extra}content-length: {length}\r\n\r\n{body}"),
    )
}

/// Waits until an exchange is over, and returns all that the page knows about it.
fn finished(page: SocketAddr, number: u64) -> Value {
    let limit = Instant::now() + Duration::from_secs(10);
    loop {
        let reply = exchange(page, &format!("GET /exchanges/{number} HTTP/1.1\r\nhost: {page}\r\n\r\n"));
        if let Ok(found) = serde_json::from_slice::<Value>(&reply.body)
            && found["in_flight"] == false
        {
            return found;
        }
        assert!(Instant::now() < limit, "exchange {number} does not end: {}", reply.head);
        thread::sleep(Duration::from_millis(20));
    }
}

fn header<'a>(message: &'a Value, name: &str) -> Option<&'a str> {
    let fields = message["headers"].as_array()?;
    fields.iter().find(|field| field[0] == name)?[1].as_str()
}

#[test]
fn page_knows_messages_events_and_times_of_an_exchange() {
    let (server, page) = serve_with_page(&example("http_config"), echo(), &["--config", STAMP]);
    exchange(server.address, "POST /a?b=c HTTP/1.1\r\nhost: shop\r\ncontent-length: 5\r\n\r\nhello");
    let found = finished(page, 1);
    assert_eq!((&found["name"], &found["status"]), (&"POST /a?b=c".into(), &200.into()));
    assert_eq!((&found["request"]["before"]["body"], &found["request"]["after"]["size"]), (&"hello".into(), &5.into()));
    assert_eq!(header(&found["request"]["before"], ":authority"), Some("shop"));
    assert_eq!(header(&found["response"]["before"], "x-stamp"), None);
    assert_eq!(header(&found["response"]["after"], "x-stamp"), Some("one"));
    assert_eq!(found["response"]["after"]["complete"], true);
    let events = found["events"].as_array().unwrap();
    let callback = |name: &str| events.iter().any(|event| event["kind"] == "callback" && event["name"] == name);
    assert!(callback("proxy_on_response_headers") && callback("proxy_on_delete"), "{events:#?}");
    let times: Vec<_> = events.iter().map(|event| event["t"].as_f64().unwrap()).collect();
    assert!(times.is_sorted() && times[0] >= 0.0, "{times:?}");
    let at = |name: &str| found[name].as_f64().unwrap_or_else(|| panic!("no {name}"));
    let order = ["request_at_upstream", "response_from_upstream", "response_at_client", "duration_ms"].map(at);
    assert!(order.is_sorted(), "{order:?}");
}

#[test]
fn callouts_are_shown_with_the_exchange_that_made_them() {
    let authz = upstream(|mut connection| {
        while connection.message().is_some() {
            thread::sleep(Duration::from_millis(50));
            connection.send("HTTP/1.1 403 No\r\nx-why: policy\r\ncontent-length: 4\r\n\r\nnope");
        }
    });
    let cluster = format!("authz=http://{authz}");
    let config = r#"{"cluster": "authz", "on_outage": "deny"}"#;
    let (server, page) =
        serve_with_page(&example("http_auth_callout"), echo(), &["--cluster", &cluster, "--config", config]);
    exchange(server.address, "GET /secret HTTP/1.1\r\nhost: a\r\nauthorization: Bearer no\r\n\r\n");
    let found = finished(page, 1);
    assert_eq!(found["status"], 403);
    assert!(found["request"]["after"].is_null(), "it reached the upstream");
    let callout = &found["callouts"][0];
    assert_eq!((&callout["cluster"], &callout["response"]["body"]), (&"authz".into(), &"nope".into()));
    assert_eq!(header(&callout["response"], "x-why"), Some("policy"));
    assert!(callout["end"].as_f64().unwrap() - callout["start"].as_f64().unwrap() >= 50.0, "{callout}");
    // Its callback is called on the root context, and belongs to the exchange.
    let events = found["events"].as_array().unwrap();
    assert!(events.iter().any(|event| event["name"] == "proxy_on_http_call_response"), "{events:#?}");
}

#[test]
fn replay_repeats_a_request_with_changes_and_refuses_other_sites() {
    let (server, page) = serve_with_page(&example("http_config"), echo(), &["--config", STAMP]);
    exchange(server.address, "POST /a HTTP/1.1\r\nhost: shop\r\ncontent-length: 7\r\n\r\n\0\u{e9}end!");
    finished(page, 1);
    let changed = json!({ "of": 1, "method": "PUT", "path": "/b?c", "headers": [["host", "shop"], ["x-new", "1"]] });
    for (number, http2) in [(2, false), (3, true)] {
        let mut changed = changed.clone();
        changed["http2"] = http2.into();
        assert!(replay(page, &changed, "").head.starts_with("http/1.1 202"));
        let found = finished(page, number);
        assert_eq!((&found["name"], &found["replay_of"]), (&"PUT /b?c".into(), &1.into()));
        assert_eq!(found["http2"], http2);
        let upstream = &found["request"]["after"];
        assert_eq!((header(upstream, "x-new"), header(upstream, ":authority")), (Some("1"), Some("shop")));
        // The body is that of the recorded request, in its bytes.
        let echoed = found["response"]["after"]["body"].as_str().unwrap();
        assert!(echoed.ends_with("\0\u{e9}end!"), "{echoed:?}");
    }
    let mut invalid = changed.clone();
    invalid["headers"] = json!([["bad name", "1"]]);
    let refused = replay(page, &invalid, "");
    assert!(refused.head.starts_with("http/1.1 400"), "{}", refused.head);
    assert!(String::from_utf8_lossy(&refused.body).contains("header name"), "{:?}", refused.body);

    let port = page.port();
    for extra in ["origin: http://evil.example\r\n", "content-type: text/plain\r\n", "origin: null\r\n"] {
        let refused = replay(page, &changed, extra);
        assert!(refused.head.starts_with("http/1.1 40"), "{extra}: {}", refused.head);
    }
    for (host, allowed) in [
        (format!("evil.example:{port}"), false),
        ("evil.example".to_owned(), false),
        ("127.0.0.1.evil.example".to_owned(), false),
        (format!("localhost:{port}"), true),
        (format!("[::1]:{port}"), true),
        (page.to_string(), true),
    ] {
        let reply = exchange(page, &format!("GET /plugins HTTP/1.1\r\nhost: {host}\r\n\r\n"));
        assert_eq!(reply.head.starts_with("http/1.1 200"), allowed, "{host}: {}", reply.head);
    }
    assert_eq!(ask(page, "/plugins")["filters"][0]["name"], "http_config");
    let fourth = exchange(page, &format!("GET /exchanges/4 HTTP/1.1\r\nhost: {page}\r\n\r\n"));
    assert!(fourth.head.starts_with("http/1.1 404"), "a refused replay was sent: {}", fourth.head);
}

#[test]
fn a_part_of_large_bodies_is_stored() {
    let (server, page) = serve_with_page(&example("http_config"), echo(), &["--config", STAMP]);
    let body = "x".repeat(4 << 20);
    let before = resident(&server.child);
    for _ in 0..20 {
        let head = format!("POST /large HTTP/1.1\r\nhost: a\r\ncontent-length: {}\r\n\r\n", body.len());
        assert!(exchange(server.address, &(head + &body)).body.ends_with(body.as_bytes()));
    }
    let grown = resident(&server.child).saturating_sub(before);
    assert!(grown < 48 * 1024, "80 MiB of bodies made the server grow by {grown} KiB");
    let found = finished(page, 1);
    let request = &found["request"]["before"];
    assert_eq!((&request["size"], &request["shown"]), (&body.len().into(), &16_384.into()));
    let repeated = replay(page, &json!({ "of": 1, "method": "POST", "path": "/large", "headers": [] }), "");
    assert!(String::from_utf8_lossy(&repeated.body).contains("not kept in full"), "{}", repeated.head);
}

/// A chain with a callout, metrics and shared data, and the page of it in a browser.
fn chain() -> (Server, Browser, tempfile::TempDir) {
    let authz = upstream(|mut connection| {
        while let Some(message) = connection.message() {
            thread::sleep(Duration::from_millis(20));
            let status = if message.head.contains("bearer ok") { "200 OK" } else { "403 Forbidden" };
            connection.send(format!("HTTP/1.1 {status}\r\nx-policy: orders\r\ncontent-length: 0\r\n\r\n"));
        }
    });
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let auth = write("auth.json", r#"{"cluster": "authz", "on_outage": "deny"}"#);
    let limit = write("limit.json", r#"{"limit": 10000, "window_seconds": 60}"#);
    let auth = format!("{}:{auth}", example("http_auth_callout"));
    let limit = format!("{}:{limit}", example("rate_limit"));
    let cluster = format!("authz=http://{authz}");
    let then = ["--config", STAMP, "--then", &auth, "--then", &limit, "--then", &example("metrics")];
    let (server, page) =
        serve_with_page(&example("http_config"), echo(), &[&then[..], &["--cluster", &cluster]].concat());
    let browser = Browser::open(&format!("http://{page}/"));
    (server, browser, directory)
}

fn request(method: &str, path: &str, token: &str) -> String {
    let body = if method == "POST" { "{\"order\": 7}" } else { "" };
    format!(
        "{method} {path} HTTP/1.1\r\nhost: shop.example\r\nauthorization: Bearer {token}\r\n\
         content-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

#[test]
#[ignore = "needs Chromium"]
fn page_shows_filters_and_replays_exchanges() {
    let (server, mut page, _files) = chain();
    page.wait("state.textContent.includes('live')");
    exchange(server.address, &request("POST", "/orders", "ok"));
    exchange(server.address, &request("GET", "/admin", "no"));
    page.wait("document.querySelectorAll('#list .row').length === 2");
    page.wait("[...document.querySelectorAll('#list .status')].map(one => one.textContent).join() === '403,200'");

    page.value("document.querySelectorAll('#list .row')[1].click()");
    page.wait("document.querySelector('.timeline')");
    let lanes = page.value("[...document.querySelectorAll('.lane > :first-child')].map(one => one.textContent)");
    for name in ["upstream", "callbacks of filter 1", "callbacks of filter 4", "callout to authz"] {
        assert!(lanes.as_array().unwrap().iter().any(|lane| lane == name), "{lanes}");
    }
    let width = "document.querySelector('.lane .wait').getBoundingClientRect().width";
    assert!(page.value(width).as_f64().unwrap() > 20.0, "the callout has no width");
    let text = |page: &mut Browser, query: &str| {
        let texts = format!("[...document.querySelectorAll('{query}')].map(one => one.textContent).join('\\n')");
        page.value(&texts).as_str().unwrap().to_owned()
    };
    assert!(text(&mut page, ".add").contains("x-stamp: one"));
    assert!(text(&mut page, "pre").contains("{\"order\": 7}"));
    assert!(text(&mut page, ".events .callback").contains("→ proxy_on_http_call_response"));
    assert!(text(&mut page, "main h2").contains("Callout to authz"));

    // An exchange that fits a filter only with its response is shown when it has one.
    page.value("filter.value = 'status:403 path:/late'; filter.dispatchEvent(new Event('input'))");
    exchange(server.address, &request("GET", "/late", "no"));
    page.wait("document.querySelector('#list .path')?.textContent === 'GET /late'");
    page.value("filter.value = 'is:flying'; filter.dispatchEvent(new Event('input'))");
    exchange(server.address, &request("GET", "/late", "ok"));
    page.wait("state.dataset.count === '0 of 4'");
    page.value("document.getElementById('clear').click()");
    page.wait("state.dataset.count === '0'");
    exchange(server.address, &request("POST", "/orders", "ok"));
    exchange(server.address, &request("GET", "/admin", "no"));
    page.value("filter.value = ''; filter.dispatchEvent(new Event('input'))");
    page.wait("document.querySelectorAll('#list .row').length === 2 && !order.some(id => summaries.get(id).in_flight)");
    page.value("document.querySelectorAll('#list .row')[1].click()");
    page.wait("document.querySelector('#replay')");
    let rows = |page: &mut Browser, filter: &str| {
        page.value(&format!("filter.value = {}; filter.dispatchEvent(new Event('input'))", json!(filter)));
        page.wait("!stale");
        let paths = "[...document.querySelectorAll('#list .path')].map(one => one.textContent).join()";
        page.value(paths).as_str().unwrap().to_owned()
    };
    for (filter, expected) in [
        ("status:4", "GET /admin"),
        ("-status:4", "POST /orders"),
        ("method:post", "POST /orders"),
        ("path:/ad", "GET /admin"),
        ("x-stamp: ONE bearer", "GET /admin,POST /orders"),
        ("bearer -admin", "POST /orders"),
        ("is:failed", ""),
        ("nothing like this", ""),
        ("", "GET /admin,POST /orders"),
    ] {
        assert_eq!(rows(&mut page, filter), expected, "{filter}");
    }

    page.value("document.getElementById('edit').click()");
    page.value(
        "const form = document.getElementById('replay'); const set = (label, text) => { \
        form.querySelector(`[aria-label=${label}]`).value = text; }; set('Path', '/changed'); set('Body', 'other'); \
        set('Headers', form.querySelector('[aria-label=Headers]').value.replace('Bearer ok', 'Bearer no'));",
    );
    page.value("document.querySelector('#replay button').click()");
    page.wait("document.querySelector('main h2').textContent === 'POST /changed → 403'");
    assert!(text(&mut page, "pre").contains("did not reach the upstream"));
    assert_eq!(rows(&mut page, "is:replay"), "POST /changed");
    rows(&mut page, "");

    page.value("document.getElementById('plugins').click()");
    page.wait("document.querySelectorAll('main table').length >= 2");
    let tables = text(&mut page, "main tr");
    assert!(tables.contains("metrics_responses") && tables.contains("metrics_in_flight"), "{tables}");
    let data = page.value(
        "[...document.querySelectorAll('main h3')].filter(one => one.textContent === 'Shared data')\
        .some(one => one.nextSibling.tagName === 'TABLE')",
    );
    assert_eq!(data, true, "{tables}");
    assert_eq!(page.problems(), [""; 0]);
}

/// The least contrast of any text with its background, and that text. The colours are those that
/// the browser computes.
const CONTRAST: &str = r"(() => {
    const rgb = text => text.match(/[\d.]+/g).map(Number);
    const light = colour => { const [r, g, b] = colour.slice(0, 3).map(part => {
        const scaled = part / 255; return scaled <= .03928 ? scaled / 12.92 : ((scaled + .055) / 1.055) ** 2.4; });
        return .2126 * r + .7152 * g + .0722 * b; };
    const behind = element => { for (let at = element; at; at = at.parentElement) {
        const colour = rgb(getComputedStyle(at).backgroundColor); if (colour.length < 4 || colour[3] > 0) return colour; }
        return [255, 255, 255]; };
    let least = [21, ''];
    for (const element of document.body.querySelectorAll('*')) {
        const own = [...element.childNodes].filter(child => child.nodeType === 3 && child.data.trim());
        if (!own.length || !element.getClientRects().length || element.tagName === 'SCRIPT') continue;
        const [one, two] = [light(rgb(getComputedStyle(element).color)), light(behind(element))].sort((a, b) => b - a);
        const contrast = (one + .05) / (two + .05);
        if (contrast < least[0]) least = [contrast, element.className + ': ' + own[0].data.slice(0, 40)];
    }
    return least;
})()";

#[test]
#[ignore = "needs Chromium"]
fn page_is_readable_on_light_and_dark_and_narrow_windows() {
    let (server, mut page, _files) = chain();
    for (method, path, token) in [
        ("GET", "/orders/7", "ok"),
        ("GET", "/admin", "no"),
        ("GET", "/orders/8", "ok"),
        ("POST", "/payments", "no"),
        ("POST", "/orders", "ok"),
    ] {
        exchange(server.address, &request(method, path, token));
    }
    page.wait("document.querySelectorAll('#list .row').length === 5");
    page.value("document.querySelector('#list .row').click()");
    page.wait("document.querySelector('.timeline')");
    for (scheme, open) in [("light", true), ("dark", true), ("dark", false), ("light", false)] {
        page.colours(scheme);
        if !open {
            page.value("document.getElementById('plugins').click()");
            page.wait("document.querySelector('main table')");
        }
        let least = page.value(CONTRAST);
        // WCAG's AA for text.
        assert!(least[0].as_f64().unwrap() >= 4.5, "{scheme}: {least}");
        assert_eq!(page.value("matchMedia('(prefers-color-scheme: dark)').matches"), scheme == "dark");
        if open {
            picture(&mut page, scheme);
        }
    }
    page.resize(600, 800);
    page.value("document.querySelector('#list .row').click()");
    page.wait("document.querySelector('.timeline')");
    let wide = page.value("document.documentElement.scrollWidth > document.documentElement.clientWidth");
    assert_eq!(wide, false, "a narrow window scrolls sideways");
    assert_eq!(page.problems(), [""; 0]);
}

/// `outer` calls `inner` twice, and has a name that could be mistaken for HTML.
const NESTED: &str = r#"(module
    (memory (export "memory") 1)
    (func (export "proxy_abi_version_0_2_1"))
    (func (export "malloc") (param i32) (result i32) i32.const 1024)
    (func $inner i32.const 1 i32.const 2 i32.add drop)
    (func $<b>outer</b> call $inner call $inner)
    (func (export "proxy_on_request_headers") (param i32 i32 i32) (result i32)
        call $<b>outer</b> call $inner
        i32.const 0))"#;

#[test]
#[ignore = "needs Chromium"]
fn a_flame_graph_shows_callers_above_their_callees_and_finds_functions() {
    let directory = tempfile::tempdir().unwrap();
    let [module, file] = ["nested.wasm", "flame.html"].map(|name| directory.path().join(name));
    std::fs::write(&module, wat::parse_str(NESTED).unwrap()).unwrap();
    let arguments = ["run", module.to_str().unwrap(), "--json", "--profile", file.to_str().unwrap()];
    let played: Value = serde_json::from_str(&ok(&arguments)).unwrap();
    let profile = &played["profile"];
    let count = |name: &str| -> u64 {
        let functions = profile["functions"].as_array().unwrap();
        functions.iter().find(|function| function["name"] == name).unwrap()["with_callees"].as_u64().unwrap()
    };
    let (all, inner) = (profile["instructions"].as_u64().unwrap(), count("inner"));

    let mut page = Browser::open(&format!("file://{}", file.display()));
    let state = |page: &mut Browser| page.value("state.textContent").as_str().unwrap().to_owned();
    // Each bar: its name, its row, and its left and right ends in pixels.
    let bars = |page: &mut Browser| {
        let bars = "[...document.querySelectorAll('#graph button')].map(bar => { const at = bar.getBoundingClientRect(); \
            return [bar.textContent, Math.round(at.top - graph.getBoundingClientRect().top) / ROW, at.left, at.right]; })";
        let bars = page.value(bars);
        let bar = |bar: &Value| {
            let ends = [2, 3].map(|end| bar[end].as_f64().unwrap());
            (bar[0].as_str().unwrap().to_owned(), bar[1].as_u64().unwrap(), ends)
        };
        bars.as_array().unwrap().iter().map(bar).collect::<Vec<_>>()
    };
    assert!(state(&mut page).starts_with(&format!("all: {all} instructions (100.0 %)")));
    let shown = bars(&mut page);
    let rows: Vec<_> = shown.iter().map(|(name, row, _)| (name.as_str(), *row)).collect();
    let callback = "proxy_on_request_headers";
    assert_eq!(rows, [("all", 0), (callback, 1), ("<b>outer</b>", 2), ("inner", 3), ("inner", 2)]);
    // A callee is within its caller, and as wide as its part of the instructions.
    let [_, caller, outer, _, direct] = shown.as_slice() else { panic!("{shown:?}") };
    let width = |[left, right]: [f64; 2]| right - left;
    assert!(caller.2[0] <= outer.2[0] && outer.2[1] <= direct.2[0] + 1.0 && direct.2[1] <= caller.2[1], "{shown:?}");
    let share = width(direct.2) / width(caller.2);
    #[allow(clippy::cast_precision_loss, reason = "the numbers are small")]
    let expected = inner as f64 / 3.0 / all as f64;
    assert!((share - expected).abs() < 0.01, "{share} instead of {expected}");

    // A click shows one function and what it calls, below its callers.
    page.value("[...document.querySelectorAll('#graph button')][2].click()");
    assert!(state(&mut page).starts_with(&format!("<b>outer</b>: {} instructions", count("<b>outer</b>"))));
    let names: Vec<_> = bars(&mut page).into_iter().map(|(name, row, _)| (name, row)).collect();
    let names: Vec<_> = names.iter().map(|(name, row)| (name.as_str(), *row)).collect();
    assert_eq!(names, [("all", 0), (callback, 1), ("<b>outer</b>", 2), ("inner", 3)]);

    // A search counts what it finds, and everything else becomes pale.
    page.value("search.value = 'INNER'; search.dispatchEvent(new Event('input'))");
    let in_outer = format!("{} instructions", inner / 3 * 2);
    assert!(state(&mut page).starts_with(&in_outer), "{}", state(&mut page));
    page.value("document.getElementById('all').click()");
    page.value("search.value = 'inner'; search.dispatchEvent(new Event('input'))");
    assert!(state(&mut page).starts_with(&format!("{inner} instructions")), "{}", state(&mut page));
    let dimmed = "[...document.querySelectorAll('#graph button.dim')].map(bar => bar.textContent).join()";
    assert_eq!(page.value(dimmed), format!("all,{callback},<b>outer</b>"));
    let largest =
        page.value("document.querySelectorAll('#functions tr')[1].innerText.split('\\t').map(cell => cell.trim())");
    assert_eq!((&largest[0], &largest[2]), (&json!(inner.to_string()), &json!("inner")));

    page.value("document.getElementById('all').click()");
    for scheme in ["light", "dark"] {
        page.colours(scheme);
        let least = page.value(CONTRAST);
        assert!(least[0].as_f64().unwrap() >= 4.5, "{scheme}: {least}");
    }
    page.resize(400, 800);
    let wide = page.value("document.documentElement.scrollWidth > document.documentElement.clientWidth");
    assert_eq!(wide, false, "a narrow window scrolls sideways");
    assert_eq!(page.problems(), [""; 0]);
}

/// Writes the pictures of `docs/command.md` when BLESS is set.
fn picture(page: &mut Browser, scheme: &str) {
    let made = page.command("Page.captureScreenshot", &json!({ "format": "png" }));
    if std::env::var_os("BLESS").is_some() {
        let path = repository().join(format!("docs/pictures/serve-{scheme}.png"));
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        let mut decoder = std::process::Command::new("base64");
        let mut child = decoder
            .arg("-d")
            .stdin(std::process::Stdio::piped())
            .stdout(std::fs::File::create(path).unwrap())
            .spawn()
            .unwrap();
        let data = made["data"].as_str().unwrap();
        std::io::Write::write_all(&mut child.stdin.take().unwrap(), data.as_bytes()).unwrap();
        assert!(child.wait().unwrap().success());
    }
}

#[test]
#[ignore = "needs Chromium"]
fn page_stays_fast_with_5000_exchanges() {
    let quick = upstream(|mut connection| {
        while connection.message().is_some() {
            connection.send("HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok");
        }
    });
    let (server, address) = serve_with_page(&example("http_config"), quick, &["--config", STAMP, "--workers", "2"]);
    let mut page = Browser::open(&format!("http://{address}/"));
    page.wait("state.textContent.includes('live')");
    // The longest time that the page could not do anything else.
    page.value(
        "var longest = 0, before = performance.now(); (function frame() { const now = performance.now(); \
        longest = Math.max(longest, now - before); before = now; requestAnimationFrame(frame); })()",
    );
    let sent = Arc::new(Mutex::new(0));
    let clients: Vec<_> = (0..4)
        .map(|client| {
            let (to, sent) = (server.address, Arc::clone(&sent));
            thread::spawn(move || {
                let mut connection = super::Connection::to(to);
                for number in 0..1_250 {
                    connection.send(format!("GET /{client}/{number} HTTP/1.1\r\nhost: a\r\n\r\n"));
                    assert!(connection.message().unwrap().head.contains("x-stamp"));
                    *sent.lock().unwrap() += 1;
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(*sent.lock().unwrap(), 5_000);
    page.wait("order.length === 5000 && [...summaries.values()].every(one => !one.in_flight)");
    let rows = page.value("document.querySelectorAll('#list .row').length");
    assert!(rows.as_u64().unwrap() < 60, "{rows} rows are elements");
    let longest = page.value("longest").as_f64().unwrap();
    assert!(longest < 500.0, "while the exchanges came, the page did nothing for {longest} ms");

    let timed = |page: &mut Browser, action: &str| {
        let frame = "new Promise(done => requestAnimationFrame(() => requestAnimationFrame(done)))";
        let script = format!(
            "(async () => {{ const start = performance.now(); {action}; await {frame}; \
            return performance.now() - start; }})()"
        );
        page.value(&script).as_f64().unwrap()
    };
    for (action, count) in [
        ("filter.value = 'path:/3/12'; filter.dispatchEvent(new Event('input'))", "61 of 5000"),
        ("filter.value = 'x-stamp -nothing'; filter.dispatchEvent(new Event('input'))", "5000"),
        ("list.scrollTop = list.scrollHeight / 2", "5000"),
    ] {
        let took = timed(&mut page, action);
        assert!(took < 250.0, "{action} took {took} ms");
        assert_eq!(page.value("state.dataset.count"), count, "{action}");
    }
    // The rows in view are those of the middle, and the oldest exchanges make room for new ones.
    page.value("document.querySelector('#list .row').click()");
    page.wait("document.querySelector('.timeline')");
    page.value("list.scrollTop = 0");
    for _ in 0..10 {
        get(server.address, "/new");
    }
    page.wait("document.querySelector('#list .path')?.textContent === 'GET /new' && order.length >= 5000");
    assert_eq!(page.value("order.length - summaries.size"), 0);
    let oldest = exchange(address, &format!("GET /exchanges/1 HTTP/1.1\r\nhost: {address}\r\n\r\n"));
    assert!(oldest.head.starts_with("http/1.1 404"), "{}", oldest.head);
    assert_eq!(page.problems(), [""; 0]);
    eprintln!("the longest pause of the page was {longest:.0} ms");
}

#[test]
#[ignore = "needs Chromium"]
fn page_of_run_shows_its_exchanges_from_a_file() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("page.html");
    let output = command()
        .args(["run", &example("http_config"), "--config", STAMP, "--path", "/a</script>b", "--html"])
        .arg(&path)
        .output()
        .unwrap();
    assert!(output.status.success());
    let mut page = Browser::open(&format!("file://{}", path.display()));
    page.wait("document.querySelector('#list .path')?.textContent === 'GET /a</script>b'");
    let added = page.value("[...document.querySelectorAll('.add')].map(one => one.textContent).join()");
    assert!(added.as_str().unwrap().contains("x-stamp: one"), "{added}");
    assert!(page.value("document.querySelectorAll('.events .callback').length").as_u64().unwrap() >= 3);
    assert_eq!(page.value("document.getElementById('plugins').hidden"), true);
    assert_eq!(page.problems(), [""; 0]);
}

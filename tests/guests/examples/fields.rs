//! Gives every byte, in a name and in a value, to the function that the path of the request names,
//! and logs which were taken.

use proxy_filter::prelude::*;
use proxy_filter::{callout::HttpCallResponse, grpc::GrpcBytes};

/// `x`, the byte, `y`.
fn text(byte: u8) -> [u8; 3] {
    [b'x', byte, b'y']
}

/// Logs the bytes that `takes` takes, in hexadecimal digits.
fn show(what: &str, mut takes: impl FnMut(&[u8]) -> Result<()>) {
    let mut bytes = Vec::new();
    for byte in 0..=u8::MAX {
        match takes(&text(byte)) {
            Ok(()) => bytes.push(format!("{byte:02x}")),
            Err(error) if error.kind() == ErrorKind::InvalidInput => {}
            Err(error) => log::error!("{what} {byte:02x}: {error}"),
        }
    }
    log::info!("{what}: {}", bytes.concat());
}

/// The same for a map.
fn edit(map: &mut HeaderMap) {
    show("add name", |text| map.add(text, "1"));
    show("add value", |text| map.add([b"v-", &hex(text)[..]].concat(), text));
    show("replace name", |text| map.replace(text, "2"));
    show("replace value", |text| map.replace("x-value", text));
    show("remove name", |text| map.remove(text));
}

/// The byte in the middle, as a name can have it.
fn hex(text: &[u8]) -> Vec<u8> {
    format!("{:02x}", text.get(1).copied().unwrap_or_default()).into_bytes()
}

/// Whether a call was refused before the host knew of it.
fn called(what: &str, answer: core::result::Result<HttpCallResponse, CalloutError>) {
    match answer {
        Ok(answer) => log::info!("{what}: {}", answer.status()),
        Err(CalloutError::Refused(error)) => log::info!("{what}: {:?}", error.kind()),
        Err(error) => log::info!("{what}: {error}"),
    }
}

/// Does what the path says, or the header `x-path` of a CONNECT request.
#[proxy_filter::filter]
async fn fields(mut exchange: Exchange) -> Result<()> {
    let request = exchange.request_headers().await?;
    // A CONNECT request has no path.
    let path = request.path()?.or(request.get("x-path")?).unwrap_or_default().to_string();
    match path.as_str() {
        "/request" => edit(request),
        "/copy" => {
            let call = HttpCall::get("service", "/copy").headers_from(&request.pairs()?);
            called("copy", call.await);
        }
        "/single" => {
            let hosts = request.get_all("host")?.iter().count();
            let host = request.get("host")?.unwrap_or_default();
            log::info!("host {hosts} {host} {}", escaped(request.pairs()?.get("host").unwrap_or_default()));
            request.get_single("x-tenant")?;
        }
        "/reply" => {
            let mut reply = LocalReply::new(403);
            for byte in 0..=u8::MAX {
                reply = reply.header(text(byte), "1").header([b"v-", &hex(&text(byte))[..]].concat(), text(byte));
            }
            return exchange.reply(reply.body("no\n"));
        }
        "/call" => {
            let bytes = request.get("x-bytes")?.unwrap_or_default();
            let get = || HttpCall::get("service", "/");
            for word in bytes.split(|byte| *byte == b' ') {
                let hex = core::str::from_utf8(word).unwrap_or_default();
                let text = text(u8::from_str_radix(hex, 16).unwrap_or_default());
                let path = [b"/", &text[..]].concat();
                called(&format!("name {hex}"), get().header(text, "1").await);
                called(&format!("value {hex}"), get().header("x", text).await);
                called(&format!("path {hex}"), HttpCall::get("service", path).await);
                called(&format!("method {hex}"), HttpCall::new("service", text, "/").await);
                let grpc = GrpcCall::<GrpcBytes>::new("grpc", "pkg.Service", "Method", &GrpcBytes::default());
                match grpc.metadata("x", text).await {
                    Ok(_) => log::info!("metadata {hex}: 200"),
                    Err(GrpcError::Refused(error)) => log::info!("metadata {hex}: {:?}", error.kind()),
                    Err(error) => log::info!("metadata {hex}: {error}"),
                }
            }
        }
        _ => {}
    }
    let response = exchange.response_headers().await?;
    if path == "/response" {
        edit(response);
    }
    Ok(())
}

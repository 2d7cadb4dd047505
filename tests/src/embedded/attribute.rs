//! The attributes of a stream, as Envoy 1.40 has them in each phase.

use super::fields::{Map, encode};
use super::info::{Info, Whose, grpc_status};
use super::metadata::get as inside;
use super::stream::{Phase, Stream};
use crate::backend::Settings;
use crate::fixture::{self, Metadata, MetadataSource};
use crate::message::{Fields, Protocol};
use crate::route::Routes;
use crate::tls::{Certificate, Tls};
use proxy_filter::Status;
use sha2::{Digest, Sha256};
use std::fmt::Write as _;

/// A connection on one machine: the client's port, the host's, the port the host connects from, and
/// the upstream's.
const PORTS: [u16; 4] = [50_000, 10_000, 40_000, 8_080];
/// How long whatever takes time has taken.
const MILLISECOND: u64 = 1_000_000;

type Found = Result<Vec<u8>, Status>;

#[allow(clippy::unnecessary_wraps, reason = "an arm of a match beside others that can fail")]
fn number(value: u64) -> Found {
    Ok(value.to_le_bytes().to_vec())
}

#[allow(clippy::unnecessary_wraps, reason = "an arm of a match beside others that can fail")]
fn text(value: &str) -> Found {
    Ok(value.as_bytes().to_vec())
}

fn address(port: u16) -> Found {
    text(&format!("127.0.0.1:{port}"))
}

fn when<T>(condition: bool, value: T) -> Result<T, Status> {
    condition.then_some(value).ok_or(Status::NOT_FOUND)
}

/// The maps that attributes are read from: those the module can reach, and the access log's during
/// `on_log`.
struct Maps<'a> {
    request: Option<&'a Map>,
    response: Option<&'a Map>,
    trailers: Option<&'a Map>,
}

impl<'a> Maps<'a> {
    fn of(stream: &'a Stream) -> Self {
        let logged = |map: &'a Option<Map>| map.as_ref().filter(|_| stream.phase == Phase::Log);
        Self {
            request: match &stream.request.headers.value {
                Some(map) if stream.info.held => Some(map),
                _ => stream.request.headers.get(stream.viewer).or_else(|| logged(&stream.logged.0)),
            },
            response: stream.response.headers.get(stream.viewer).or_else(|| logged(&stream.logged.1)),
            trailers: stream.response.trailers.get(stream.viewer).or_else(|| logged(&stream.logged.2)),
        }
    }
}

/// The value of an attribute of a stream.
pub(super) fn get(stream: &Stream, settings: &Settings, parts: &[&[u8]]) -> Found {
    let (routes, metadata) = (&settings.routes, &settings.metadata);
    let info = &stream.info;
    let [client, host, local, upstream] = PORTS;
    if let (Some(_), Some(answer)) = (&stream.connection, connection(info, parts)) {
        return answer;
    }
    match parts {
        [b"request", rest @ ..] => request(stream, rest),
        [b"response", rest @ ..] => response(stream, rest),
        [b"source", b"address"] => {
            text(&info.source.map_or_else(|| info.downstream(client), |source| source.to_string()))
        }
        [b"source", b"port"] => number(info.source.map_or(client, |source| source.port()).into()),
        [b"destination", b"address"] => text(&stream.info.downstream(host)),
        [b"destination", b"port"] => number(host.into()),
        [b"connection_id"] | [b"connection", b"id"] => number(stream.id.into()),
        [b"connection", name] => tls(settings.tls.as_ref(), name),
        [b"upstream", b"request_attempt_count"] => number(info.upstream.into()),
        [b"upstream", ..] if !info.upstream => Err(Status::NOT_FOUND),
        [b"upstream", b"address"] => address(upstream),
        [b"upstream", b"port"] => number(upstream.into()),
        [b"upstream", b"local_address"] => address(local),
        [b"upstream", b"transport_failure_reason"] => Ok(Vec::new()),
        [b"upstream", b"cx_pool_ready_duration"] => number(MILLISECOND),
        [b"upstream", b"locality"] => Ok(super::metadata::strings(&fixture::LOCALITY)),
        [b"metadata", rest @ ..] => inside(metadata.get(MetadataSource::Request), rest),
        [b"xds", rest @ ..] => xds(info, routes, metadata, rest),
        _ => Err(Status::NOT_FOUND),
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// An attribute of the client's connection.
fn tls(tls: Option<&Tls>, name: &[u8]) -> Found {
    let own = tls.map(|_| Certificate::of_host());
    let peer = tls.and_then(|tls| tls.certificate.as_ref());
    let found = |value: Option<&str>| value.map_or(Err(Status::NOT_FOUND), text);
    match name {
        b"mtls" => Ok(vec![u8::from(peer.is_some())]),
        b"requested_server_name" => text(tls.and_then(|tls| tls.server_name.as_deref()).unwrap_or_default()),
        b"tls_version" => found(tls.map(|_| "TLSv1.3")),
        b"subject_local_certificate" => found(own.as_ref().map(Certificate::subject)),
        b"subject_peer_certificate" => found(tls.map(|_| peer.map_or("", Certificate::subject))),
        b"uri_san_local_certificate" => found(own.as_ref().and_then(Certificate::first_uri)),
        b"uri_san_peer_certificate" => found(peer.and_then(Certificate::first_uri)),
        b"dns_san_local_certificate" => found(own.as_ref().and_then(Certificate::first_domain)),
        b"dns_san_peer_certificate" => found(peer.and_then(Certificate::first_domain)),
        b"sha256_peer_certificate_digest" => match peer {
            Some(peer) => text(&hexadecimal(&Sha256::digest(peer.der()))),
            None => Err(Status::NOT_FOUND),
        },
        _ => Err(Status::NOT_FOUND),
    }
}

/// The attributes that connections do not have, or have otherwise than requests.
fn connection(info: &Info, parts: &[&[u8]]) -> Option<Found> {
    match parts {
        [b"request", b"protocol" | b"duration"] => Some(Err(Status::NOT_FOUND)),
        [b"upstream", b"transport_failure_reason"] => Some(Ok(Vec::new())),
        [b"metadata", rest @ ..] => Some(inside(&serde_json::Map::new(), rest)),
        [b"xds", name, ..] if name.starts_with(b"route_") || name.starts_with(b"virtual_host_") => {
            Some(Err(Status::NOT_FOUND))
        }
        [b"xds", name, ..] if name.starts_with(b"cluster_") && !info.upstream => Some(Err(Status::NOT_FOUND)),
        _ => None,
    }
}

fn xds(info: &Info, routes: &Routes, metadata: &Metadata, parts: &[&[u8]]) -> Found {
    let of_route = |of, rest| inside(info.route.metadata(of, routes, metadata), rest);
    match parts {
        [b"listener_direction"] => number(fixture::DIRECTION.cast_unsigned()),
        [b"listener_metadata", rest @ ..] => inside(metadata.get(MetadataSource::Listener), rest),
        [b"filter_chain_name"] => text(fixture::FILTER_CHAIN),
        [b"upstream_host_metadata", rest @ ..] if info.upstream => of_route(MetadataSource::UpstreamHost, rest),
        [b"virtual_host_name"] => info.route.virtual_host().map_or(Err(Status::NOT_FOUND), text),
        [b"virtual_host_metadata", rest @ ..] if info.route.virtual_host().is_some() => {
            of_route(MetadataSource::VirtualHost, rest)
        }
        _ if !info.route.is_route() => Err(Status::NOT_FOUND),
        [b"route_name"] => text(info.route.name()),
        [b"route_metadata", rest @ ..] => of_route(MetadataSource::Route, rest),
        [b"cluster_name"] => text(info.route.cluster()),
        [b"cluster_metadata", rest @ ..] => of_route(MetadataSource::Cluster, rest),
        _ => Err(Status::NOT_FOUND),
    }
}

fn request(stream: &Stream, parts: &[&[u8]]) -> Found {
    let info = &stream.info;
    let map = Maps::of(stream).request;
    let header = |name: &[u8]| map.and_then(|map| map.get(name)).map(<[u8]>::to_vec).ok_or(Status::NOT_FOUND);
    let split_path = || {
        let path = header(b":path")?;
        let at = path.iter().position(|byte| *byte == b'?');
        let (path, query) = path.split_at_checked(at.unwrap_or(path.len())).unwrap_or_default();
        Ok((path.to_vec(), query.get(1..).unwrap_or_default().to_vec()))
    };
    match parts {
        [b"path"] => header(b":path"),
        [b"url_path"] => split_path().map(|(path, _)| path),
        [b"query"] => split_path().map(|(_, query)| query),
        [b"host"] => header(b":authority"),
        [b"scheme"] => header(b":scheme"),
        [b"method"] => header(b":method"),
        [b"referer"] => header(b"referer"),
        [b"useragent"] => header(b"user-agent"),
        [b"id"] => header(b"x-request-id"),
        [b"headers", rest @ ..] => joined(map, rest),
        [b"protocol"] => text(if info.protocol == Protocol::Http2 { "HTTP/2" } else { "HTTP/1.1" }),
        [b"time"] => number(info.started),
        [b"duration"] => when(matches!(stream.phase, Phase::Log | Phase::Done | Phase::Delete), ())
            .and_then(|()| number(MILLISECOND)),
        [b"size"] => match header(b"content-length") {
            Ok(length) => number(String::from_utf8_lossy(&length).parse().map_err(|_| Status::NOT_FOUND)?),
            Err(_) => number(info.received),
        },
        [b"headers_bytes"] => number(size(map)),
        [b"total_size"] => number(info.received + size(map)),
        _ => Err(Status::NOT_FOUND),
    }
}

fn response(stream: &Stream, parts: &[&[u8]]) -> Found {
    let info = &stream.info;
    let maps = Maps::of(stream);
    match parts {
        // Without a response there are details, but no code.
        [b"code"] => number(info.code.as_ref().filter(|(code, _)| *code > 0).ok_or(Status::NOT_FOUND)?.0.into()),
        [b"code_details"] => {
            let (_, details) = info.code.as_ref().ok_or(Status::NOT_FOUND)?;
            Ok(details.iter().map(|byte| if byte.is_ascii_whitespace() { b'_' } else { *byte }).collect())
        }
        [b"flags"] => number(info.flags),
        [b"grpc_status"] => {
            let (code, _) = info.code.as_ref().filter(|(code, _)| *code > 0).ok_or(Status::NOT_FOUND)?;
            let said = [maps.trailers, maps.response].into_iter().flatten().find_map(|map| map.get(b"grpc-status"));
            let status = said.map_or_else(
                || grpc_status(*code),
                |said| String::from_utf8_lossy(said).parse().ok().filter(|status| *status <= 16).unwrap_or(-1),
            );
            number(status.cast_unsigned())
        }
        [b"headers", rest @ ..] => joined(maps.response, rest),
        [b"trailers", rest @ ..] => joined(maps.trailers, rest),
        [b"headers_bytes"] => number(size(maps.response)),
        [b"size"] => number(info.sent),
        [b"total_size"] => number(info.sent + size(maps.response) + size(maps.trailers)),
        [b"backend_latency"] => when(info.whose == Whose::Ended, MILLISECOND).and_then(number),
        _ => Err(Status::NOT_FOUND),
    }
}

fn size(map: Option<&Map>) -> u64 {
    map.map_or(0, |map| map.byte_size().into())
}

/// The fields of a map, or one of them, repeated ones joined.
fn joined(map: Option<&Map>, parts: &[&[u8]]) -> Found {
    let mut all = Fields::new();
    for (name, value) in map.into_iter().flat_map(Map::fields) {
        match all.iter_mut().find(|(found, _)| found == name) {
            Some((_, joined)) => {
                joined.push(b',');
                joined.extend_from_slice(value);
            }
            None => all.push((name.clone(), value.clone())),
        }
    }
    match parts {
        [] if all.is_empty() => Ok(vec![0; 4]),
        [] => Ok(encode(&all)),
        [name] => {
            let found = all.into_iter().find(|(found, _)| found.eq_ignore_ascii_case(name));
            found.map(|(_, value)| value).ok_or(Status::NOT_FOUND)
        }
        _ => Err(Status::NOT_FOUND),
    }
}

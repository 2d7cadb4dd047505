//! Properties, which Envoy calls attributes.

use super::state::{Phase, State};
use proxy_filter::Status;

/// The value of a property in Envoy's encoding.
pub(crate) fn get(state: &mut State, path: &[u8]) -> Result<Vec<u8>, Status> {
    let path = path.strip_suffix(b"\0").unwrap_or(path);
    let parts: Vec<&[u8]> = path.split(|byte| *byte == 0).collect();
    match parts.as_slice() {
        [b"" | b"request" | b"xds" | b"filter_state"] => return Err(Status::SERIALIZATION_FAILURE),
        [b"plugin_name"] => return Ok(state.settings.plugin_name.clone().into_bytes()),
        [b"plugin_root_id"] => return Ok(state.settings.root_id.clone().into_bytes()),
        [b"plugin_vm_id"] => return Ok(state.settings.vm_id.clone().into_bytes()),
        _ => {}
    }
    let stream = state.stream().ok_or(Status::NOT_FOUND)?;
    let header = |name: &str| {
        let live = stream.request.headers.value.as_ref().or(stream.logged.0.as_ref());
        live.and_then(|map| map.get(name.as_bytes())).map(<[u8]>::to_vec).ok_or(Status::NOT_FOUND)
    };
    match parts.as_slice() {
        [b"request", ..] if matches!(stream.phase, Phase::Done | Phase::Delete) => Err(Status::NOT_FOUND),
        [b"request", b"path"] => header(":path"),
        [b"request", b"url_path"] => {
            Ok(header(":path")?.split(|byte| *byte == b'?').next().unwrap_or_default().to_vec())
        }
        [b"request", b"query"] => {
            let path = header(":path")?;
            let query = path.iter().position(|byte| *byte == b'?').and_then(|at| path.get(at + 1..));
            Ok(query.unwrap_or_default().to_vec())
        }
        [b"request", b"host"] => header(":authority"),
        [b"request", b"scheme"] => header(":scheme"),
        [b"request", b"method"] => header(":method"),
        [b"request", b"referer"] => header("referer"),
        [b"request", b"useragent"] => header("user-agent"),
        [b"request", b"id"] => header("x-request-id"),
        [b"request", b"headers", name] => {
            let live = stream.request.headers.value.as_ref().or(stream.logged.0.as_ref()).ok_or(Status::NOT_FOUND)?;
            let values: Vec<&[u8]> = live
                .fields()
                .iter()
                .filter(|(found, _)| found.eq_ignore_ascii_case(name))
                .map(|(_, value)| value.as_slice())
                .collect();
            if values.is_empty() { Err(Status::NOT_FOUND) } else { Ok(values.join(&b',')) }
        }
        [name] => stream.filter_state.get(*name).cloned().ok_or(Status::NOT_FOUND),
        [b"filter_state", name] => {
            let name = name.strip_prefix(b"wasm.").ok_or(Status::NOT_FOUND)?;
            stream.filter_state.get(name).cloned().ok_or(Status::NOT_FOUND)
        }
        _ => {
            let joined = String::from_utf8_lossy(&parts.join(&b'.')).into_owned();
            stream.attributes.get(joined.as_str()).cloned().ok_or(Status::NOT_FOUND)
        }
    }
}

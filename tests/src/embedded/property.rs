//! Properties, which Envoy calls attributes.

use super::state::State;
use super::{attribute, metadata};
use crate::fixture::MetadataSource;
use proxy_filter::Status;

/// The value of a property in Envoy's encoding.
pub(crate) fn get(state: &mut State, path: &[u8]) -> Result<Vec<u8>, Status> {
    let path = path.strip_suffix(b"\0").unwrap_or(path);
    let parts: Vec<&[u8]> = path.split(|byte| *byte == 0).collect();
    match parts.as_slice() {
        [b"plugin_name"] => {
            return Ok(state.root().map(|root| root.plugin.name.clone()).unwrap_or_default().into_bytes());
        }
        [b"plugin_root_id"] => {
            return Ok(state.root().map(|root| root.plugin.root_id.clone()).unwrap_or_default().into_bytes());
        }
        [b"plugin_vm_id"] => return Ok(state.settings.vm_id.clone().into_bytes()),
        [b"xds", b"node", rest @ ..] => return metadata::node(state.settings.metadata.get(MetadataSource::Node), rest),
        [b"" | b"request" | b"xds" | b"filter_state"] => return Err(Status::SERIALIZATION_FAILURE),
        _ => {}
    }
    let (settings, stream) = state.settings_and_stream();
    let stream = stream.ok_or(Status::NOT_FOUND)?;
    if let Some(value) = settings.properties.get(path) {
        return Ok(value.clone());
    }
    match parts.as_slice() {
        [b"filter_state", name] => {
            let own = name.strip_prefix(b"wasm.").and_then(|name| stream.filter_state.get(name));
            own.or_else(|| stream.objects.get(*name)).cloned().ok_or(Status::NOT_FOUND)
        }
        // A name of the host hides one of the filter's.
        parts => match (attribute::get(stream, settings, parts), parts) {
            (Err(Status::NOT_FOUND), [name]) => stream.filter_state.get(*name).cloned().ok_or(Status::NOT_FOUND),
            (answer, _) => answer,
        },
    }
}

/// Keeps a value with the stream.
pub(crate) fn set(state: &mut State, name: &[u8], value: &[u8]) -> Result<(), Status> {
    let read_only = state.declared.get(name).copied().unwrap_or_default();
    let stream = state.stream().ok_or(Status::NOT_FOUND)?;
    if read_only && stream.filter_state.contains_key(name) {
        return Err(Status::BAD_ARGUMENT);
    }
    stream.filter_state.insert(name.to_vec(), value.to_vec());
    Ok(())
}

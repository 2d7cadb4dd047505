//! Which maps and buffers a module can reach now.

use super::fields::{Kind, Map, UNAVAILABLE};
use super::state::State;
use super::stream::{Phase, Stream};
use proxy_filter::Status;

type Result<T> = std::result::Result<T, Status>;

/// Reads a map for `get` and `pairs`: during `on_log` the maps of the access log serve as well.
pub(super) fn read_map<T>(
    state: &mut State,
    map: u32,
    read: impl FnOnce(Option<&Map>, bool) -> Result<T>,
) -> Result<T> {
    match map {
        4 => return read(state.rpcs.initial.as_ref(), false),
        5 => return read(state.rpcs.trailing.as_ref(), false),
        6 | 7 => {
            let response = state.callouts.response.as_ref();
            let headers = response.map(|response| &response.headers);
            let trailers = response.and_then(|response| response.trailers.as_ref());
            return read(if map == 6 { headers } else { trailers }, false);
        }
        8.. => return Err(Status::BAD_ARGUMENT),
        _ => {}
    }
    let Some(stream) = state.stream() else { return read(None, false) };
    let (logging, viewer) = (stream.phase == Phase::Log, stream.viewer);
    let found = match map {
        0 => stream.request.headers.get(viewer).or_else(|| stream.logged.0.as_ref().filter(|_| logging)),
        // Access logs see no trailers of the request.
        1 => stream.request.trailers.get(viewer).filter(|_| !logging),
        2 => stream.response.headers.get(viewer).or_else(|| stream.logged.1.as_ref().filter(|_| logging)),
        3 => stream.response.trailers.get(viewer).or_else(|| stream.logged.2.as_ref().filter(|_| logging)),
        _ => None,
    };
    read(found, logging)
}

/// Reaches a map for everything that changes it. At the end of a body the trailers come into being.
pub(super) fn edit_map<T>(state: &mut State, map: u32, edit: impl FnOnce(&mut Map) -> T) -> Result<T> {
    let stream = state.stream().ok_or(UNAVAILABLE)?;
    let viewer = stream.viewer;
    let makes_trailers = stream.makes_request_trailers(viewer);
    let (side, trailers, at_end) = match map {
        0 => (&mut stream.request, false, false),
        1 => (&mut stream.request, true, makes_trailers),
        2 => (&mut stream.response, false, false),
        3 => (&mut stream.response, true, stream.phase == Phase::ResponseBody { end_of_stream: true }),
        _ => return Err(Status::BAD_ARGUMENT),
    };
    let slot = if trailers { &mut side.trailers } else { &mut side.headers };
    if at_end && slot.value.is_none() {
        slot.show(Map::new(Kind::Trailers), viewer);
    }
    slot.get_mut(viewer).map(edit).ok_or(UNAVAILABLE)
}

pub(super) fn body(stream: &mut Stream, buffer: u32) -> Option<&mut Vec<u8>> {
    let viewer = stream.viewer;
    match buffer {
        0 => stream.request.body.get_mut(viewer),
        1 => stream.response.body.get_mut(viewer),
        2 => stream.connection.as_mut()?.downstream.get_mut(viewer),
        3 => stream.connection.as_mut()?.upstream.get_mut(viewer),
        _ => None,
    }
}

/// The bytes of a buffer; `Ok` and nothing for one that is not there now.
pub(super) fn buffer(state: &mut State, buffer: u32) -> Result<Vec<u8>> {
    match buffer {
        0..=3 => Ok(state.stream().and_then(|stream| body(stream, buffer)).cloned().unwrap_or_default()),
        5 => Ok(state.rpcs.message.clone().unwrap_or_default()),
        8 => Ok(state.backs.arguments.clone().unwrap_or_default()),
        6 => Ok(state.settings.vm_configuration.clone()),
        4 => {
            let response = state.callouts.response.as_ref();
            response.map(|response| response.body.clone()).ok_or(Status::NOT_FOUND)
        }
        7 if state.configuring => Ok(state.root().map(|root| root.plugin.configuration.clone()).unwrap_or_default()),
        7 => Err(Status::NOT_FOUND),
        _ => Err(Status::BAD_ARGUMENT),
    }
}

/// The edits of a buffer that Envoy accepts: at its beginning, or at its end.
pub(crate) fn edit(buffer: &mut Vec<u8>, start: usize, size: usize, bytes: &[u8]) -> Result<()> {
    match (start, size) {
        (0, size) => drop(buffer.splice(..size.min(buffer.len()), bytes.iter().copied())),
        (start, _) if start >= buffer.len() => buffer.extend_from_slice(bytes),
        _ => return Err(Status::BAD_ARGUMENT),
    }
    Ok(())
}

//! Foreign functions: Envoy's, and those of a test.

#[cfg(feature = "expressions")]
use super::expression;
use super::protobuf::{Field, bytes, fields, number};
#[cfg(feature = "signatures")]
use super::signature;
use super::state::State;
use crate::foreign::{Back, ForeignReply};
#[cfg(feature = "signatures")]
use crate::host_profile::Quirk;
use proxy_filter::Status;

/// Objects of Envoy that can be made from text: those the scenarios set. Envoy 1.40 has more.
const OBJECTS: [&[u8]; 3] =
    [b"envoy.network.upstream_server_name", b"envoy.tcp_proxy.cluster", b"envoy.network.upstream_subject_alt_names"];
/// An object that is made from the number of a port only.
const PORT: &[u8] = b"envoy.upstream.dynamic_port";

/// The results of the functions of a test, and the callbacks that they cause.
pub(super) fn answer(state: &mut State, reply: ForeignReply) -> Result<Vec<u8>, Status> {
    let (context, now) = (state.context(), state.clock.now());
    state.backs.inside.extend(reply.inside.into_iter().map(|back| (context, back)));
    state.backs.later.extend(reply.later.into_iter().map(|(after, back)| (now + after, context, back)));
    reply.result
}

/// A callback that runs inside of the host function that runs now.
pub(super) fn next_inside(state: &mut State) -> Option<(&'static str, [u32; 3])> {
    let (context, back) = state.backs.inside.pop_front()?;
    Some((CALLBACK, show(state, context, back)))
}

pub(super) const CALLBACK: &str = "proxy_on_foreign_function";

/// The foreign callback that is due next, unless its context was deleted.
pub(super) fn next_due(state: &mut State) -> Option<[u32; 3]> {
    let due = state.backs.due();
    let index = state.backs.later.iter().position(|(at, ..)| Some(*at) == due)?;
    let (_, context, back) = state.backs.later.remove(index);
    state.knows(context).then(|| show(state, context, back))
}

/// Puts the arguments of a call into reach: those of its callback.
fn show(state: &mut State, context: u32, (function_id, arguments): Back) -> [u32; 3] {
    let size = u32::try_from(arguments.len()).unwrap_or(u32::MAX);
    state.backs.arguments = Some(arguments);
    [context, function_id, size]
}

/// Calls a function of Envoy's. One that is not here does not exist.
pub(super) fn call(state: &mut State, name: &[u8], argument: &[u8]) -> Result<Vec<u8>, Status> {
    match name {
        b"compress" => Ok(miniz_oxide::deflate::compress_to_vec_zlib(argument, 6)),
        b"uncompress" => {
            miniz_oxide::inflate::decompress_to_vec_zlib(argument).map_err(|_| Status::SERIALIZATION_FAILURE)
        }
        b"clear_route_cache" => Ok(Vec::new()),
        b"declare_property" => declare(state, &parse(argument)?),
        b"set_envoy_filter_state" => set_object(state, &parse(argument)?),
        #[cfg(feature = "expressions")]
        b"expr_create" => expression::create(state, argument),
        #[cfg(feature = "expressions")]
        b"expr_evaluate" => expression::evaluate(state, argument),
        #[cfg(feature = "expressions")]
        b"expr_delete" => expression::delete(state, argument),
        #[cfg(feature = "signatures")]
        b"sign" if !state.plays(Quirk::NoSign) => signature::sign(&parse(argument)?),
        #[cfg(feature = "signatures")]
        b"verify_signature" => signature::verify(&parse(argument)?),
        _ => Err(Status::NOT_FOUND),
    }
}

/// `DeclarePropertyArguments`: name, and whether it is read-only. From a stream it has no effect.
fn declare(state: &mut State, fields: &[(u64, Field<'_>)]) -> Result<Vec<u8>, Status> {
    let name = bytes(fields, 1);
    let root = state.roots.contains(state.current);
    if root && state.declared.contains_key(&name) {
        return Err(Status::BAD_ARGUMENT);
    }
    if root {
        state.declared.insert(name, number(fields, 2) != 0);
    }
    Ok(Vec::new())
}

/// `SetEnvoyFilterStateArguments`: the object's name and its text.
fn set_object(state: &mut State, fields: &[(u64, Field<'_>)]) -> Result<Vec<u8>, Status> {
    let stream = state.stream().ok_or(Status::NOT_FOUND)?;
    let name = bytes(fields, 1);
    let text = bytes(fields, 2);
    match name.as_slice() {
        PORT if !String::from_utf8_lossy(&text).parse::<u16>().is_ok_and(|port| port > 0) => {
            return Err(Status::BAD_ARGUMENT);
        }
        name if name != PORT && !OBJECTS.contains(&name) => return Err(Status::NOT_FOUND),
        _ => {}
    }
    stream.objects.insert(name, text);
    Ok(Vec::new())
}

/// The fields of a message; Envoy refuses bytes that are none.
fn parse(message: &[u8]) -> Result<Vec<(u64, Field<'_>)>, Status> {
    let known = |fields: &Vec<(u64, Field<'_>)>| fields.iter().all(|(_, field)| *field != Field::Fixed);
    fields(message).filter(known).ok_or(Status::BAD_ARGUMENT)
}

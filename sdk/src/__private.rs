//! What generated code names. Not part of the public API.

pub use crate::dispatch::{
    Awaits, CallbackSet, Callbacks, CreatedByRoot, Http, Life, NewContext, Runtime, Stateless, StatelessRoot, Tcp,
    assert_created_by_root, initialize, is_stateless, root_id, unknown_root_id, wrong_kind,
};
#[cfg(not(target_family = "wasm"))]
pub use crate::dispatch::{Export, Module};
pub use crate::exchange::{Gate, Points, RootTask, StreamTask, is_deadline, policy_of, within};
pub use crate::field_literal::{AnyCall, FieldCall, FieldLiteral, FieldName, FieldValue, RequestMethod, RequestPath};
#[cfg(feature = "grpc")]
pub use crate::grpc::{GrpcStream, NextGrpcMessage};
pub use crate::prelude::*;

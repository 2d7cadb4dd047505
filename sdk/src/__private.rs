//! What generated code names. Not part of the public API.

#[cfg(feature = "grpc")]
pub use crate::callout::grpc::{GrpcReceive, GrpcStream};
pub use crate::dispatch::contexts::Contexts;
pub use crate::engine::callbacks::{CallbackSet, Callbacks, CreatedByRoot, Declares, assert_created_by_root};
pub use crate::engine::life::{Http, Life, Tcp, wrong_kind};
pub use crate::engine::point::Points;
pub use crate::exchange::deadline::{is_deadline, within};
pub use crate::exchange::gate::Gate;
pub use crate::exchange::policy::policy_of;
pub use crate::exchange::spawner::Spawned;
pub use crate::exchange::task::{RootTask, StreamTask};
pub use crate::exports;
pub use crate::exports::field_literal::{
    AnyCall, FieldCall, FieldLiteral, FieldName, FieldValue, RequestMethod, RequestPath,
};
#[cfg(not(target_family = "wasm"))]
pub use crate::exports::handles::Handle;
pub use crate::exports::module::initialize;
#[cfg(not(target_family = "wasm"))]
pub use crate::exports::module::{Export, Module};
pub use crate::exports::stateless::{Stateless, StatelessRoot, is_stateless};
pub use crate::fields::constant::{is_name, is_value};
pub use crate::log::expanded as log_line;
pub use crate::plugin::one_type::{
    Configured, ConfiguredRoot, OneType, Unconfigured, UnconfiguredRoot, by_default, from_config, read_config,
};
pub use crate::plugin::registration::{NewContext, root_id, unknown_root_id};
pub use crate::prelude::*;
pub use ::log as log_crate;

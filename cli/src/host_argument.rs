//! The argument `--host`: a host by the name of its profile.

use clap::builder::PossibleValuesParser;
use proxy_filter_host::HostProfile;

/// Accepts the names of all hosts.
pub(crate) fn host_names() -> PossibleValuesParser {
    PossibleValuesParser::new(HostProfile::ALL.map(HostProfile::id))
}

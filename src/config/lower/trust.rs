//! `[trust]`

use plan::TrustPolicy;

use super::too_many;
use crate::config::address;
use crate::config::diagnostic::Problems;
use crate::config::raw;

/// Networks are tried one by one, once a connection.
const NETWORKS_MAX: usize = 1024;

pub(super) fn lower(section: &raw::Trust, problems: &mut Problems) -> TrustPolicy {
    if let Some(first_beyond) = section.networks.get(NETWORKS_MAX) {
        too_many("networks", section.networks.len(), NETWORKS_MAX, first_beyond.span(), problems);
    }
    let mut networks = Vec::new();
    for written in &section.networks {
        match address::network(written.get_ref()) {
            Ok(network) => networks.push(network),
            Err(problem) => problems.at(written.span(), problem),
        }
    }
    TrustPolicy { networks, unix: section.unix }
}

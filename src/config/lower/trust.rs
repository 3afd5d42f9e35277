//! `[trust]`

use plan::{Network, TrustPolicy};

use super::too_many;
use crate::config::address;
use crate::config::diagnostic::Problems;
use crate::config::raw;
use crate::config::spanned::Spanned;

/// Networks are tried one by one, once a connection.
const NETWORKS_MAX: usize = 1024;

pub(super) fn lower(section: &raw::Trust, problems: &mut Problems) -> TrustPolicy {
    TrustPolicy { networks: networks(&section.networks, problems), unix: section.unix }
}

/// The networks of a list, as far as they are right.
pub(super) fn networks(list: &[Spanned<String>], problems: &mut Problems) -> Vec<Network> {
    if let Some(first_beyond) = list.get(NETWORKS_MAX) {
        too_many("networks", list.len(), NETWORKS_MAX, first_beyond.span(), problems);
    }
    let mut networks = Vec::new();
    for written in list {
        match address::network(written.get_ref()) {
            Ok(network) => networks.push(network),
            Err(problem) => problems.at(written.span(), problem),
        }
    }
    networks
}

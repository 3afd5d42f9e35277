//! Weighted least connections: to the server with the fewest exchanges under way for its weight; equals take turns by weight,
//! as in nginx (`ngx_http_upstream_least_conn_module.c`).

use super::round_robin::RoundRobin;
use super::{Servers, is_less_loaded};

pub(crate) struct LeastConnections {
    turns: RoundRobin,
}

impl LeastConnections {
    pub(super) fn new(weights: &[u32]) -> LeastConnections {
        LeastConnections { turns: RoundRobin::new(weights) }
    }

    pub(super) fn pick(&mut self, servers: &impl Servers) -> Option<usize> {
        let usable = (0..servers.count()).filter(|server| servers.is_usable(*server));
        let least =
            usable.reduce(|least, server| if is_less_loaded(servers, server, least) { server } else { least })?;
        self.turns.pick(servers, |server| !is_less_loaded(servers, least, server))
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Fixed, spread};
    use super::*;

    #[test]
    fn the_least_loaded_for_its_weight_is_picked() {
        let mut servers = Fixed::new(&[1, 4, 1]);
        let mut balancer = LeastConnections::new(&servers.weights);
        servers.active = vec![1, 3, 1];
        assert_eq!(balancer.pick(&servers), Some(1));
        servers.active = vec![1, 5, 0];
        assert_eq!(balancer.pick(&servers), Some(2));
        servers.active = vec![1, 5, 2];
        assert_eq!(balancer.pick(&servers), Some(0));
    }

    #[test]
    fn equals_take_turns_by_weight() {
        let servers = Fixed::new(&[3, 1]);
        let mut balancer = LeastConnections::new(&servers.weights);
        assert_eq!(spread(&servers, 40, |servers, _| balancer.pick(servers)), [30, 10]);
    }

    #[test]
    fn load_that_stays_is_spread_by_weight() {
        let mut servers = Fixed::new(&[2, 1, 1]);
        let mut balancer = LeastConnections::new(&servers.weights);
        for _ in 0..400 {
            let picked = balancer.pick(&servers).unwrap();
            servers.active[picked] += 1;
        }
        assert_eq!(servers.active, [200, 100, 100]);
    }
}

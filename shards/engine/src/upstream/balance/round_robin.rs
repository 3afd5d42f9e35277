//! Smooth weighted round robin: servers in turn, each as often as its weight says, the turns of a heavy one spread out.

use super::Servers;

/// The state of nginx's algorithm (`ngx_http_upstream_round_robin.c`, Igor Sysoev 2012): at each pick every server's
/// current weight grows by its own weight, the largest is picked, and loses the sum of all.
pub(crate) struct RoundRobin {
    current: Vec<i64>,
    /// Whether all weigh the same. The algorithm then comes down to a cursor.
    uniform: bool,
    next: usize,
}

impl RoundRobin {
    pub(super) fn new(weights: &[u32]) -> RoundRobin {
        let uniform = weights.windows(2).all(|pair| pair[0] == pair[1]);
        RoundRobin { current: vec![0; weights.len()], uniform, next: 0 }
    }

    /// The next of the usable servers that `eligible` lets through.
    pub(super) fn pick(&mut self, servers: &impl Servers, eligible: impl Fn(usize) -> bool) -> Option<usize> {
        if self.uniform { self.pick_in_turn(servers, eligible) } else { self.pick_by_weight(servers, eligible) }
    }

    fn pick_in_turn(&mut self, servers: &impl Servers, eligible: impl Fn(usize) -> bool) -> Option<usize> {
        let count = servers.count();
        let mut turns = (0..count).map(|step| {
            let server = self.next + step;
            if server < count { server } else { server - count }
        });
        let picked = turns.find(|server| servers.is_usable(*server) && eligible(*server))?;
        self.next = if picked + 1 < count { picked + 1 } else { 0 };
        Some(picked)
    }

    fn pick_by_weight(&mut self, servers: &impl Servers, eligible: impl Fn(usize) -> bool) -> Option<usize> {
        let mut total = 0;
        let mut best = None::<usize>;
        for server in 0..servers.count() {
            if !servers.is_usable(server) || !eligible(server) {
                continue;
            }
            let weight = i64::from(servers.weight(server));
            self.current[server] += weight;
            total += weight;
            if best.is_none_or(|best| self.current[server] > self.current[best]) {
                best = Some(server);
            }
        }
        let best = best?;
        self.current[best] -= total;
        Some(best)
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Fixed, spread};
    use super::*;

    #[test]
    fn turns_are_as_smooth_as_nginx_makes_them() {
        let servers = Fixed::new(&[5, 1, 1]);
        let mut balancer = RoundRobin::new(&servers.weights);
        let turns: Vec<_> = (0..14).map(|_| balancer.pick(&servers, |_| true).unwrap()).collect();
        // The example of nginx's own commit message, twice: a a b a c a a.
        assert_eq!(turns, [0, 0, 1, 0, 2, 0, 0, 0, 0, 1, 0, 2, 0, 0]);
    }

    #[test]
    fn each_gets_its_share_to_the_request() {
        for weights in [&[1, 1, 1, 1][..], &[3, 1], &[7, 2, 1], &[100, 1, 50]] {
            let servers = Fixed::new(weights);
            let mut balancer = RoundRobin::new(weights);
            let total: u32 = weights.iter().sum();
            let counts = spread(&servers, u64::from(total * 10), |servers, _| balancer.pick(servers, |_| true));
            assert_eq!(counts, weights.iter().map(|weight| weight * 10).collect::<Vec<_>>());
        }
    }

    #[test]
    fn an_ejected_servers_turns_go_to_the_others_by_weight() {
        let mut servers = Fixed::new(&[2, 1, 1]);
        servers.usable[1] = false;
        let mut balancer = RoundRobin::new(&servers.weights);
        assert_eq!(spread(&servers, 30, |servers, _| balancer.pick(servers, |_| true)), [20, 0, 10]);
    }
}

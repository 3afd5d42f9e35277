//! Maglev hashing (Eisenbud et al., "Maglev: A Fast and Reliable Software Network Load Balancer", NSDI 2016, §3.4): a table
//! of servers that a key's hash looks up. Each server fills places in an order of its own, in turns, so that all get their
//! shares to within a fraction of a percent, and a server that comes or goes disturbs few places beyond its own.

use super::{Servers, first_usable, hash};

/// Places of the table: the paper's small prime. A hundred servers differ by about a percent, a thousand by about ten.
const PLACES: usize = 65_537;
/// A place that nobody has taken yet.
const VACANT: u16 = u16::MAX;
/// Places that are looked up for one key before the list is searched.
const LOOKUPS_MAX: u64 = 20;

pub(crate) struct Maglev {
    table: Vec<u16>,
}

/// The order in which one server wants the places: from an offset on, by steps of a fixed length. The number of places is a
/// prime, so every place comes up.
struct Preference {
    place: usize,
    skip: usize,
    weight: u64,
    /// What is left of the turns that the weight has earned, in units of the largest weight.
    earned: u64,
}

impl Maglev {
    /// The table of servers with these names and weights. A name's places depend on the name, not on its place in the list.
    ///
    /// Building it takes about a millisecond, and happens when the list changes.
    pub(super) fn new(servers: &[(&str, u32)]) -> Maglev {
        assert!(servers.len() < usize::from(VACANT), "the configuration bounds the number of servers");
        if servers.is_empty() {
            return Maglev { table: Vec::new() };
        }
        // Turns go by name, so that two shards that list the servers in another order build the same table.
        let mut order: Vec<usize> = (0..servers.len()).collect();
        order.sort_by_key(|server| servers[*server].0);
        let mut preferences: Vec<Preference> =
            servers.iter().map(|(name, weight)| Preference::of(name, *weight)).collect();
        let weight_max = preferences.iter().map(|preference| preference.weight).max().unwrap_or(1);
        let mut table = vec![VACANT; PLACES];
        let mut vacant = PLACES;
        loop {
            for server in &order {
                let preference = &mut preferences[*server];
                // A server of half the weight has half the turns.
                preference.earned += preference.weight;
                if preference.earned < weight_max {
                    continue;
                }
                preference.earned -= weight_max;
                let place = preference.next_vacant(&table);
                table[place] = *server as u16;
                vacant -= 1;
                if vacant == 0 {
                    return Maglev { table };
                }
            }
        }
    }

    pub(super) fn pick(&self, servers: &impl Servers, key: u64) -> Option<usize> {
        let place = |attempt| {
            let at = (hash::again(key, attempt) % PLACES as u64) as usize;
            self.table.get(at).map(|server| usize::from(*server))
        };
        // Those of an ejected server scatter over all others, and come back when it does.
        let found = (0..LOOKUPS_MAX).filter_map(place).find(|server| servers.is_usable(*server));
        found.or_else(|| first_usable(servers, place(0)?))
    }
}

impl Preference {
    fn of(name: &str, weight: u32) -> Preference {
        let places = PLACES as u64;
        let place = (hash::of(name.as_bytes(), 1) % places) as usize;
        let skip = (hash::of(name.as_bytes(), 2) % (places - 1) + 1) as usize;
        Preference { place, skip, weight: u64::from(weight), earned: 0 }
    }

    fn next_vacant(&mut self, table: &[u16]) -> usize {
        loop {
            let place = self.place;
            self.place += self.skip;
            if self.place >= PLACES {
                self.place -= PLACES;
            }
            if table[place] == VACANT {
                return place;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{Fixed, spread};
    use super::*;

    fn names(count: usize) -> Vec<String> {
        (0..count).map(|n| format!("192.0.2.{n}:8080")).collect()
    }

    fn maglev(names: &[String]) -> Maglev {
        Maglev::new(&names.iter().map(|name| (&name[..], 1)).collect::<Vec<_>>())
    }

    fn places_of(maglev: &Maglev, server: usize) -> usize {
        maglev.table.iter().filter(|place| usize::from(**place) == server).count()
    }

    #[test]
    fn servers_have_equal_shares_of_the_table() {
        let maglev = maglev(&names(100));
        for server in 0..100 {
            // Turns are taken one after another: shares differ by one place at most.
            assert!(places_of(&maglev, server).abs_diff(PLACES / 100) <= 1);
        }
    }

    #[test]
    fn shares_follow_the_weights() {
        let servers = Fixed::new(&[3, 1, 2]);
        let maglev = Maglev::new(&[("a:1", 3), ("b:1", 1), ("c:1", 2)]);
        for (server, weight) in servers.weights.iter().enumerate() {
            let expected = PLACES * *weight as usize / 6;
            assert!(places_of(&maglev, server).abs_diff(expected) <= 3);
        }
        let counts = spread(&servers, 60_000, |servers, key| maglev.pick(servers, key));
        assert!(counts[0].abs_diff(30_000) < 900 && counts[1].abs_diff(10_000) < 600, "{counts:?}");
    }

    #[test]
    fn a_server_that_leaves_takes_hardly_any_other_servers_keys_along() {
        let before = names(10);
        let mut after = before.clone();
        after.remove(4);
        let (old, new) = (maglev(&before), maglev(&after));
        let moved = (0..PLACES).filter(|place| {
            let (old, new) = (usize::from(old.table[*place]), usize::from(new.table[*place]));
            old != 4 && before[old] != after[new]
        });
        // A tenth had to move; beyond it the paper sees a few percent.
        let share = moved.count() as f64 / PLACES as f64;
        assert!(share < 0.05, "{share} of all keys moved without need");
    }

    #[test]
    fn the_order_of_the_list_does_not_matter() {
        let names = names(7);
        let reversed: Vec<String> = names.iter().rev().cloned().collect();
        let (one, other) = (maglev(&names), maglev(&reversed));
        assert!(one.table.iter().zip(&other.table).all(|(one, other)| *one == 6 - *other));
    }

    #[test]
    fn an_ejection_moves_only_the_keys_of_the_ejected_and_scatters_them() {
        let all = Fixed::new(&[1; 5]);
        let maglev = maglev(&names(5));
        let mut fewer = all.clone();
        fewer.usable[2] = false;
        let counts = spread(&all, 10_000, |all, key| {
            let before = maglev.pick(all, key);
            let after = maglev.pick(&fewer, key);
            assert!(before == Some(2) || after == before, "a key moved without need");
            after
        });
        assert!(counts.iter().enumerate().all(|(n, count)| n == 2 || count.abs_diff(2_500) < 250), "{counts:?}");
    }
}

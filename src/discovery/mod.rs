//! The addresses of servers that are known by name.
//!
//! The shards know addresses only. On the control thread the names are looked up before the shards start ([`FirstAnswers`]);
//! [`Resolution`] then follows them as their answers expire, and tells which upstream's list of servers has changed. A reload
//! goes on with the names that stay. [`dns`] is where answers come from.

mod dns;
mod drains;

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use plan::{Address, Plan, Server, Upstream, UpstreamId};
use tokio::sync::mpsc;
use tokio::time::Instant;

use dns::{Answer, Dns};
pub(crate) use drains::Drains;

/// An answer is asked for again when its time to live is over, but not sooner and not later than this.
const TTL_MIN: Duration = Duration::from_secs(1);
const TTL_MAX: Duration = Duration::from_secs(60 * 60);
/// After a failure the next look-up waits this long, then twice as long each time, up to a limit.
const PAUSE_MIN: Duration = Duration::from_secs(1);
const PAUSE_MAX: Duration = Duration::from_secs(60);
/// How long the start waits for names. What has no answer by then is followed like the rest.
const FIRST_MAX: Duration = Duration::from_secs(5);
/// Answers that wait to be looked at.
const ANSWERS_MAX: usize = 64;
/// Addresses of one name that are used; what goes beyond is no list of servers.
const ADDRESSES_MAX: usize = 256;

/// Which servers are known by name, and who is asked for their addresses.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    /// The servers of the DNS; where there are none, those of the system (`/etc/resolv.conf`).
    pub servers: Vec<SocketAddr>,
    /// How long one question to one of them may take.
    pub timeout: Duration,
    /// The names.
    pub names: Vec<Name>,
}

impl Default for Discovery {
    fn default() -> Discovery {
        Discovery { servers: Vec::new(), timeout: Duration::from_secs(2), names: Vec::new() }
    }
}

/// A server, or several alike, known by name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Name {
    /// The upstream that it belongs to.
    pub upstream: UpstreamId,
    /// The name, in lower case.
    pub host: String,
    /// The port, the same at all addresses.
    pub port: u16,
    /// The weight of each address.
    pub weight: u16,
}

/// The names under way.
pub(crate) struct Resolution {
    discovery: Discovery,
    names: Vec<Tracked>,
    /// The servers with fixed addresses, by upstream.
    fixed: Vec<Vec<Server>>,
    /// The names of the upstreams.
    upstreams: Vec<String>,
    /// Servers that get no new requests.
    drains: Drains,
    /// Changes that were ordered, and not told yet.
    ordered: VecDeque<Change>,
    sender: mpsc::Sender<(u64, Vec<IpAddr>)>,
    answers: mpsc::Receiver<(u64, Vec<IpAddr>)>,
    next_key: u64,
}

struct Tracked {
    /// Tells its answers from all others.
    key: u64,
    name: Name,
    addresses: Vec<IpAddr>,
    _follower: Follower,
}

/// The task that asks for a name again and again. It ends with this.
struct Follower(tokio::task::AbortHandle);

impl Drop for Follower {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// What is known of hosts before they are followed: first answers, or what an earlier worker knew.
#[derive(Debug, Default)]
pub(crate) struct FirstAnswers(HashMap<String, (Vec<IpAddr>, Option<Duration>)>);

/// An upstream's servers, all of them, after a change.
#[derive(Debug)]
pub(crate) struct Change {
    pub(crate) upstream: UpstreamId,
    pub(crate) servers: Vec<Server>,
}

/// Why an order to drain a server is not obeyed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum DrainError {
    /// There is no upstream of this name.
    #[error("there is no upstream `{0}`")]
    UnknownUpstream(String),
    /// It has no server at this address.
    #[error("upstream `{upstream}` has no server `{server}`; it has {known}")]
    UnknownServer { upstream: String, server: String, known: String },
    /// No server would be left.
    #[error(
        "it is the last server of `{0}` that takes requests: all would be answered with 503. `?force=true` does it anyway"
    )]
    LastServer(String),
}

/// The addresses of `host`, asked for once.
///
/// # Errors
/// When there are none, or nobody answers in time.
pub(crate) async fn addresses(discovery: &Discovery, host: &str) -> anyhow::Result<Vec<IpAddr>> {
    Ok(Dns::new(discovery)?.look_up(host).await?.addresses)
}

impl FirstAnswers {
    /// Addresses as an earlier worker knew them; they are asked for again soon.
    pub(crate) fn known(hosts: impl IntoIterator<Item = (String, Vec<IpAddr>)>) -> FirstAnswers {
        FirstAnswers(hosts.into_iter().map(|(host, addresses)| (host, (addresses, None))).collect())
    }

    /// Adds what is `also` known.
    pub(crate) fn add(&mut self, also: FirstAnswers) {
        self.0.extend(also.0);
    }

    /// Asks for `hosts`. A name without an answer is said in the log; its upstream does without it until there is one.
    pub(crate) async fn look_up(discovery: &Discovery, hosts: &[String]) -> anyhow::Result<FirstAnswers> {
        if hosts.is_empty() {
            return Ok(FirstAnswers::default());
        }
        let answers = look_all_up(&Dns::new(discovery)?, hosts).await;
        let answers = hosts.iter().zip(answers).filter_map(|(host, answer)| match answer {
            Ok(answer) => Some((host.clone(), (answer.addresses, Some(answer.ttl)))),
            Err(error) => {
                complain(host, &error);
                None
            }
        });
        Ok(FirstAnswers(answers.collect()))
    }
}

impl Resolution {
    /// Follows no name yet. Servers that `drains` names get no new requests.
    pub(crate) fn new(drains: Drains) -> Resolution {
        let (sender, answers) = mpsc::channel(ANSWERS_MAX);
        Resolution {
            discovery: Discovery::default(),
            names: Vec::new(),
            fixed: Vec::new(),
            upstreams: Vec::new(),
            drains,
            ordered: VecDeque::new(),
            sender,
            answers,
            next_key: 0,
        }
    }

    /// Hosts of `next` of which neither this nor `known` knows anything, each once.
    pub(crate) fn unknown_hosts(&self, next: &Discovery, known: &FirstAnswers) -> Vec<String> {
        let mut hosts: Vec<String> = next.names.iter().map(|name| name.host.clone()).collect();
        hosts.sort_unstable();
        hosts.dedup();
        hosts.retain(|host| {
            let is_followed = self.asks_as(next) && self.names.iter().any(|tracked| tracked.name.host == *host);
            !is_followed && !known.0.contains_key(host)
        });
        hosts
    }

    /// From now on follows the names of `next`, adding their addresses to the servers of `plan`. Those that are followed
    /// already go on as they are.
    pub(crate) fn follow(&mut self, next: Discovery, plan: &mut Plan, first: &FirstAnswers) -> anyhow::Result<()> {
        let dns = if next.names.is_empty() { None } else { Some(Dns::new(&next)?) };
        let mut before = if self.asks_as(&next) { std::mem::take(&mut self.names) } else { Vec::new() };
        self.names.clear();
        self.fixed = plan.upstreams.iter().map(|upstream| upstream.servers.clone()).collect();
        for name in &next.names {
            let Some(dns) = &dns else { break };
            let tracked = match before.iter().position(|tracked| tracked.name.host == name.host) {
                Some(index) => Tracked { name: name.clone(), ..before.swap_remove(index) },
                None => self.begin(name.clone(), dns, first),
            };
            self.names.push(tracked);
        }
        self.upstreams = plan.upstreams.iter().map(|upstream| upstream.name.clone()).collect();
        let is_named = |upstream| next.names.iter().any(|name| usize::from(name.upstream.0) == upstream);
        self.drains.retain_known(plan, is_named);
        // They speak of upstreams by their places in the Plan before; this one has what they were about.
        self.ordered.clear();
        self.discovery = next;
        for (index, upstream) in plan.upstreams.iter_mut().enumerate() {
            upstream.servers = self.servers(UpstreamId(index as u16));
        }
        Ok(())
    }

    fn begin(&mut self, name: Name, dns: &Dns, first: &FirstAnswers) -> Tracked {
        let key = self.next_key;
        self.next_key += 1;
        let (addresses, ttl) = first.0.get(&name.host).cloned().unwrap_or_default();
        let follow = follow(dns.clone(), key, name.host.clone(), ttl, self.sender.clone());
        Tracked { key, name, addresses, _follower: Follower(tokio::spawn(follow).abort_handle()) }
    }

    fn asks_as(&self, next: &Discovery) -> bool {
        self.discovery.servers == next.servers && self.discovery.timeout == next.timeout
    }

    /// Waits until an upstream's servers have changed. May be dropped and called again.
    pub(crate) async fn changed(&mut self) -> Change {
        if let Some(change) = self.ordered.pop_front() {
            return change;
        }
        loop {
            let Some((key, addresses)) = self.answers.recv().await else {
                // This holds a sender itself.
                return std::future::pending().await;
            };
            // One that is not followed any more may have left its last answer.
            let Some(tracked) = self.names.iter_mut().find(|tracked| tracked.key == key) else { continue };
            if tracked.addresses == addresses {
                continue;
            }
            tracing::info!(name = tracked.name.host, ?addresses, "addresses changed");
            tracked.addresses = addresses;
            let upstream = tracked.name.upstream;
            return Change { upstream, servers: self.servers(upstream) };
        }
    }

    /// Upstream, address and name of each server that is known by name.
    pub(crate) fn named(&self) -> impl Iterator<Item = (UpstreamId, Address, &str)> {
        self.names.iter().flat_map(|Tracked { name, addresses, .. }| {
            let address = |ip: &IpAddr| Address::Tcp(SocketAddr::new(*ip, name.port));
            addresses.iter().map(move |ip| (name.upstream, address(ip), name.host.as_str()))
        })
    }

    /// The orders to drain that are in force.
    pub(crate) fn drains(&self) -> &Drains {
        &self.drains
    }

    /// Orders that a server, known by its address as text, gets no new requests, or does again; tells whether that changed
    /// anything. The change is told by [`Resolution::changed`]. The last server that takes requests is drained only by `force`.
    pub(crate) fn drain(
        &mut self,
        upstream: &str,
        server: &str,
        draining: bool,
        force: bool,
    ) -> Result<bool, DrainError> {
        let index = self.upstreams.iter().position(|name| name == upstream);
        let Some(id) = index.and_then(|index| u16::try_from(index).ok()).map(UpstreamId) else {
            return Err(DrainError::UnknownUpstream(upstream.to_owned()));
        };
        let servers = self.servers(id);
        if !servers.iter().any(|known| known.address.to_string() == server) {
            let known: Vec<String> = servers.iter().map(|server| server.address.to_string()).collect();
            let (upstream, server, known) = (upstream.to_owned(), server.to_owned(), known.join(", "));
            return Err(DrainError::UnknownServer { upstream, server, known });
        }
        let mut others = servers.iter().filter(|other| other.address.to_string() != server);
        if draining && !force && others.all(|other| other.draining) {
            return Err(DrainError::LastServer(upstream.to_owned()));
        }
        let changes = self.drains.set(upstream, server, draining);
        if changes {
            tracing::info!(upstream, server, draining, "ordered: whether a server gets new requests");
            self.ordered.push_back(Change { upstream: id, servers: self.servers(id) });
        }
        Ok(changes)
    }

    /// The hosts that have addresses, for a worker to come.
    pub(crate) fn known(&self) -> impl Iterator<Item = (&str, &[IpAddr])> {
        let known = self.names.iter().filter(|tracked| !tracked.addresses.is_empty());
        known.map(|tracked| (tracked.name.host.as_str(), tracked.addresses.as_slice()))
    }

    /// All servers of an upstream, each address once.
    fn servers(&self, upstream: UpstreamId) -> Vec<Server> {
        let mut servers = self.fixed[usize::from(upstream.0)].clone();
        let mut seen: HashSet<Address> = servers.iter().map(|server| server.address.clone()).collect();
        for tracked in self.names.iter().filter(|tracked| tracked.name.upstream == upstream) {
            for ip in &tracked.addresses {
                let address = Address::Tcp(SocketAddr::new(*ip, tracked.name.port));
                if seen.insert(address.clone()) {
                    let host = Some(Arc::from(&*tracked.name.host));
                    servers.push(Server { host, weight: tracked.name.weight, ..Server::new(address) });
                }
            }
        }
        self.drains.mark(&self.upstreams[usize::from(upstream.0)], &mut servers);
        servers
    }
}

/// What is wrong with each name that does not resolve, for a check before the start.
pub(crate) async fn unresolved(discovery: &Discovery, upstreams: &[Upstream]) -> anyhow::Result<Vec<String>> {
    if discovery.names.is_empty() {
        return Ok(Vec::new());
    }
    let hosts: Vec<String> = discovery.names.iter().map(|name| name.host.clone()).collect();
    let answers = look_all_up(&Dns::new(discovery)?, &hosts).await;
    let failed = discovery.names.iter().zip(answers).filter_map(|(name, answer)| {
        let upstream = &upstreams[usize::from(name.upstream.0)].name;
        answer.err().map(|error| format!("`{}` of upstream `{upstream}` does not resolve now: {error}", name.host))
    });
    Ok(failed.collect())
}

/// Asks for all names at once, and waits no longer than a start may take.
async fn look_all_up(dns: &Dns, hosts: &[String]) -> Vec<anyhow::Result<Answer>> {
    let asked: Vec<_> = hosts
        .iter()
        .map(|host| {
            let (dns, host) = (dns.clone(), host.clone());
            tokio::spawn(async move {
                let answer = tokio::time::timeout(FIRST_MAX, dns.look_up(&host)).await;
                answer.unwrap_or_else(|_| Err(anyhow::anyhow!("no answer within {} s", FIRST_MAX.as_secs())))
            })
        })
        .collect();
    let mut answers = Vec::with_capacity(asked.len());
    for answer in asked {
        answers.push(answer.await.unwrap_or_else(|error| Err(error.into())));
    }
    answers
}

/// Asks for a name again and again, whenever the last answer has expired. Keeps to the last good answer: who cannot be asked
/// any more has not taken it back.
async fn follow(
    dns: Dns,
    key: u64,
    host: String,
    mut ttl: Option<Duration>,
    answers: mpsc::Sender<(u64, Vec<IpAddr>)>,
) {
    let mut pause = PAUSE_MIN;
    loop {
        let wait = ttl.map_or(pause, |ttl| ttl.clamp(TTL_MIN, TTL_MAX));
        tokio::time::sleep_until(Instant::now() + wait).await;
        match dns.look_up(&host).await {
            Ok(answer) => {
                (ttl, pause) = (Some(answer.ttl), PAUSE_MIN);
                if answers.send((key, answer.addresses)).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                complain(&host, &error);
                // After an answer the first pause is the shortest; from then on they grow.
                pause = if ttl.take().is_some() { PAUSE_MIN } else { (pause * 2).min(PAUSE_MAX) };
            }
        }
    }
}

fn complain(host: &str, error: &anyhow::Error) {
    tracing::warn!(name = host, "a server's name does not resolve, what was known of it stays in force: {error}");
}

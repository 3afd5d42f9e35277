//! Every metric: its name, type, labels and meaning. docs/metrics.md shows this list, and a test holds the page against it.

/// What all values of one name have in common.
#[derive(Debug)]
pub(crate) struct Metric {
    /// The name as it is queried: a counter's ends in `_total`, and a unit stands before that.
    pub(crate) name: &'static str,
    pub(crate) kind: Kind,
    pub(crate) labels: &'static [&'static str],
    /// What it means, in one sentence without quotes.
    pub(crate) help: &'static str,
}

/// A metric's type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Only rises.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Durations by buckets.
    Histogram,
    /// 1, and what there is to say stands in the labels.
    Info,
}

impl Kind {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
            Kind::Histogram => "histogram",
            Kind::Info => "info",
        }
    }
}

impl Metric {
    /// The unit, which the name tells: seconds or bytes, or nothing where things are counted.
    pub(crate) fn unit(&self) -> Option<&'static str> {
        let name = self.name.trim_end_matches("_total");
        ["seconds", "bytes"].into_iter().find(|unit| name.strip_suffix(unit).is_some_and(|rest| rest.ends_with('_')))
    }
}

const fn counter(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Counter, labels, help }
}

const fn gauge(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Gauge, labels, help }
}

const fn histogram(name: &'static str, labels: &'static [&'static str], help: &'static str) -> Metric {
    Metric { name, kind: Kind::Histogram, labels, help }
}

/// All metrics, in the order in which they are told.
#[rustfmt::skip]
pub(crate) static METRICS: [Metric; 89] = [
    // What clients asked for and got.
    counter("ringway_requests_total", &["route", "class"], "Requests by the class of their answer's status, 1xx to 5xx; a request counts when its exchange has ended."),
    counter("ringway_request_failures_total", &["route", "outcome"], "Requests that did not complete, by what ended them; an outcome is told once it has happened."),
    histogram("ringway_request_duration_seconds", &["route"], "From the end of a request's head to the end of its answer; for a tunnel, to its opening."),
    counter("ringway_request_body_bytes_total", &["route"], "Bytes of requests' bodies received, and of tunnels from clients."),
    counter("ringway_response_body_bytes_total", &["route"], "Bytes of answers' bodies sent, and of tunnels to clients."),
    // Where they came in.
    counter("ringway_listener_connections_total", &["listener"], "Connections accepted, also those that a limit closed at once."),
    gauge("ringway_listener_connections_open", &["listener"], "Client connections open."),
    counter("ringway_listener_requests_total", &["listener"], "Requests received, also those whose heads were refused."),
    // Where they went.
    counter("ringway_upstream_requests_total", &["upstream"], "Requests sent to an upstream, each attempt counted."),
    histogram("ringway_upstream_head_duration_seconds", &["upstream"], "From the end of a request to the end of its answer's head; an answer that comes earlier counts from the request's head."),
    histogram("ringway_upstream_duration_seconds", &["upstream"], "From the sending of a request's head to the end of its answer; answers that break off and tunnels are not counted."),
    counter("ringway_upstream_retries_total", &["upstream"], "Requests that were sent again."),
    counter("ringway_upstream_retries_denied_total", &["upstream"], "Retries that the retry budget did not allow."),
    counter("ringway_upstream_failovers_total", &["upstream"], "Requests that went on to the next server because one could not be connected to."),
    counter("ringway_upstream_ejections_total", &["upstream"], "Ejections of servers, each shard's counted."),
    counter("ringway_upstream_connects_total", &["upstream"], "Connections opened to servers, or tried to be."),
    counter("ringway_upstream_connection_reuses_total", &["upstream"], "Requests that went over a connection which had been used before."),
    gauge("ringway_upstream_connections", &["upstream", "state"], "Connections to servers: idle in the pool, or in use (being opened included)."),
    counter("ringway_upstream_coalesced_requests_total", &["upstream"], "Requests sent over connections that several share."),
    counter("ringway_upstream_coalesced_batches_total", &["upstream"], "Sends of these; requests by sends are how many leave together."),
    counter("ringway_upstream_coalesced_resent_total", &["upstream"], "Requests that were sent again because their shared connection ended or was held up."),
    counter("ringway_upstream_coalesced_stalls_total", &["upstream"], "Times a shared connection was held up by an answer that took too long."),
    gauge("ringway_upstream_coalesced_connections", &["upstream"], "Shared connections open; none while nothing is coalesced."),
    counter("ringway_upstream_tls_handshakes_total", &["upstream", "resumed"], "Handshakes of TLS with servers, and whether a session was resumed."),
    counter("ringway_upstream_tls_handshakes_failed_total", &["upstream", "reason"], "Handshakes of TLS with servers that failed; a reason is told once it has happened."),
    histogram("ringway_upstream_tls_handshake_duration_seconds", &["upstream"], "From an open connection to a server to the end of the handshake over it."),
    counter("ringway_server_requests_total", &["upstream", "server"], "Requests sent to a server, each attempt counted."),
    counter("ringway_server_failures_total", &["upstream", "server"], "Requests that count against a server: connections refused or broken off, time-outs, statuses that the health policy names."),
    counter("ringway_server_heads_total", &["upstream", "server"], "Answers of a server whose heads came."),
    counter("ringway_server_head_seconds_total", &["upstream", "server"], "How long these took together, measured as ringway_upstream_head_duration_seconds; by ringway_server_heads_total it is the mean."),
    gauge("ringway_server_requests_active", &["upstream", "server"], "Requests that are with a server or on their way to it."),
    gauge("ringway_server_ejected_shards", &["upstream", "server"], "Shards that have ejected the server; each judges by itself."),
    // How the whole does.
    counter("ringway_exchanges_total", &["outcome"], "Exchanges by how they ended."),
    counter("ringway_limits_hit_total", &["limit"], "Limits that were met, by the name that they have in the configuration."),
    counter("ringway_tls_handshakes_total", &["version", "group", "resumed"], "Handshakes of TLS with clients: the version, what keys were exchanged with, and whether a session was resumed."),
    counter("ringway_tls_handshakes_failed_total", &["reason"], "Handshakes of TLS with clients that failed."),
    counter("ringway_tunnels_total", &[], "Tunnels opened: upgrades such as WebSocket, CONNECT, and TLS that is passed through."),
    gauge("ringway_tunnels_open", &[], "Tunnels open."),
    counter("ringway_websockets_total", &[], "WebSockets opened whose frames are checked."),
    counter("ringway_websocket_pings_total", &[], "Pings sent to the ends of these."),
    counter("ringway_websocket_breaches_total", &["reason"], "Those that ended because the client or the upstream broke a rule of the protocol, sent text that is not UTF-8, or too large a frame or message."),
    counter("ringway_passthroughs_total", &[], "Connections of TLS that were passed through to a server."),
    counter("ringway_proxy_headers_total", &[], "Headers of the PROXY protocol that were believed."),
    counter("ringway_connections_refused_total", &["reason"], "Connections refused for what their first bytes were, or were not."),
    counter("ringway_http2_connections_total", &[], "Connections of clients that speak HTTP/2."),
    counter("ringway_http2_requests_total", &[], "Requests that came over these; those of HTTP/1 are the rest of ringway_listener_requests_total."),
    counter("ringway_http2_resets_total", &["by"], "Streams that were broken off, by whom; answers that came before the end of their request are among those by ringway."),
    counter("ringway_http2_budgets_exceeded_total", &["budget"], "Clients that were told to go for making too much work of a kind, by its name in the configuration (http2.budgets)."),
    counter("ringway_clients_cut_off_total", &[], "Clients that broke the protocol so often that they are refused for a while."),
    counter("ringway_access_records_dropped_total", &[], "Access records that were lost because their writer fell behind."),
    counter("ringway_access_records_refused_total", &["log"], "Access records that a target did not take, because its disk is full for instance; the log is a path, or what else it goes to."),
    counter("ringway_reloads_total", &["outcome"], "Reloads of the configuration: done or refused."),
    gauge("ringway_config_loaded_timestamp_seconds", &[], "When the configuration in force was loaded, in seconds since 1970."),
    gauge("ringway_certificate_not_after_timestamp_seconds", &["certificate"], "Until when a certificate is valid, in seconds since 1970, by the file that it was read from; beyond metrics.series_max, the soonest of the others is told under the label other."),
    gauge("ringway_certificate_files_broken", &[], "Files of certificates that are wrong, so that what was read before goes on, or what they hold is missing."),
    counter("ringway_ocsp_answers_total", &["outcome"], "Answers of OCSP, fetched or in files, and questions without one: good, or why nothing of them is shown; an outcome is told once it has happened."),
    gauge("ringway_ocsp_next_update_timestamp_seconds", &["certificate"], "Until when the answer is good that a certificate is shown with, in seconds since 1970; nothing for one that is shown without."),
    gauge("ringway_generation", &[], "Which worker this is of those that its supervisor has started, from 1."),
    counter("ringway_worker_crashes_total", &[], "Workers that fell, as their supervisor has seen."),
    gauge("ringway_metrics_label_sets", &["kind"], "Listeners, routes, upstreams and servers that are counted each by itself."),
    gauge("ringway_metrics_label_sets_folded", &["kind"], "Those beyond metrics.series_max, which are counted together under the label other."),
    // How each shard does.
    counter("ringway_shard_cpu_seconds_total", &["shard"], "Processor time of the shard's thread, the kernel's work for it included."),
    counter("ringway_shard_run_queue_seconds_total", &["shard"], "Time in which the shard's thread could have run and another thread had its core."),
    histogram("ringway_shard_tick_duration_seconds", &["shard"], "From the kernel's answer to the shard's next look at it: what everything that is ready waits at most; the kernel's own work and waiting are not part of it."),
    histogram("ringway_shard_queue_duration_seconds", &["shard"], "How long work that is ready waits for its turn, by a probe every 10 ms while requests come."),
    gauge("ringway_shard_shedding", &["shard"], "1 while the shard refuses new requests because that takes too long."),
    counter("ringway_shard_connections_total", &["shard"], "Client connections accepted."),
    gauge("ringway_shard_connections_open", &["shard"], "Client connections open."),
    counter("ringway_shard_task_panics_total", &["shard"], "Exchanges and other tasks that ended in a panic: each is a mistake of Ringway's, and its trace is in the log."),
    gauge("ringway_shard_plan_swap_max_seconds", &["shard"], "The longest that the shard's sessions had to wait for another configuration to be taken."),
    counter("ringway_ring_enters_total", &["shard"], "Calls of io_uring_enter, or of epoll_wait."),
    counter("ringway_ring_entries_total", &["shard"], "Operations handed to the kernel."),
    counter("ringway_ring_completions_total", &["shard"], "Completions reaped; by ringway_ring_enters_total they are the completions a tick."),
    counter("ringway_ring_overflows_total", &["shard"], "Times the completion queue was found to have overflowed; nothing is lost, but it costs."),
    counter("ringway_ring_receives_starved_total", &["shard"], "Receives that found no free buffer (ENOBUFS) and had to wait for one."),
    counter("ringway_ring_accept_pauses_total", &["shard"], "Times accepting paused because descriptors or memory ran out."),
    counter("ringway_ring_pipes_shrunk_total", &["shard"], "Pipes for splicing that the kernel granted smaller than asked for (fs.pipe-user-pages-soft)."),
    counter("ringway_ring_pipes_refused_total", &["shard"], "Times large bodies were copied because the kernel granted no pipe of a useful size."),
    counter("ringway_ring_received_bytes_total", &["shard"], "Bytes received from clients and servers."),
    counter("ringway_ring_sent_bytes_total", &["shard"], "Bytes sent to clients and servers."),
    counter("ringway_ring_spliced_bytes_total", &["shard"], "Bytes that passed from socket to socket without being seen."),
    counter("ringway_ring_copied_out_bytes_total", &["shard"], "Bytes copied out of receive buffers because few of these were free."),
    // The process, under the names that all programs use for it.
    counter("process_cpu_seconds_total", &[], "Processor time of this process."),
    gauge("process_resident_memory_bytes", &[], "Memory of this process that is in place."),
    gauge("process_virtual_memory_bytes", &[], "Memory of this process that is mapped."),
    gauge("process_open_fds", &[], "Descriptors open."),
    gauge("process_max_fds", &[], "Descriptors that may be open."),
    gauge("process_start_time_seconds", &[], "When this process was started, in seconds since 1970."),
    Metric { name: "ringway_build_info", kind: Kind::Info, labels: &["version", "target"], help: "What this program is." },
];

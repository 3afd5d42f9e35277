//! Envoy: one worker, no admin listener, nothing done to a request but to pass it on, its limits out of the way.

use std::{fs, path::Path, process::Command};

use anyhow::Context;

use super::Site;
use crate::{certificate::Certificate, scenario::Work};

pub(super) fn launch(program: &Path, site: &Site<'_>) -> anyhow::Result<Command> {
    let config = site.directory.join("envoy.yaml");
    fs::write(&config, config_text(site)).context("cannot write the configuration of envoy")?;
    let mut command = Command::new(program);
    command.arg("--config-path").arg(config);
    command.args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "error"]);
    Ok(command)
}

fn config_text(site: &Site<'_>) -> String {
    let Site { listen, upstream, scenario, certificate, .. } = site;
    let (codec, alpn) = if scenario.streams.is_some() { ("HTTP2", "h2") } else { ("HTTP1", "http/1.1") };
    let tls = certificate.map_or_else(String::new, |Certificate { certificate, key, .. }| {
        let (certificate, key) = (certificate.display(), key.display());
        format!(
            "
      transport_socket:
        name: envoy.transport_sockets.tls
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.transport_sockets.tls.v3.DownstreamTlsContext
          common_tls_context:
            alpn_protocols: [{alpn}]
            tls_params: {{tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3}}
            tls_certificates:
            - certificate_chain: {{filename: {certificate}}}
              private_key: {{filename: {key}}}"
        )
    });
    let upgrades = match scenario.work {
        Work::Echo(_) => "\n          upgrade_configs: [{upgrade_type: websocket}]",
        _ => "",
    };
    // The circuit breakers would refuse more than 1024 requests at once. A buffer holds 1 MiB a connection as it comes, which is
    // as large as the bodies are. Statistics of the router and headers of Envoy's own are work that the others do not do.
    format!(
        "static_resources:
  listeners:
  - name: web
    address: {{socket_address: {{address: {listen_host}, port_value: {listen_port}}}}}
    filter_chains:
    - filters:
      - name: envoy.filters.network.http_connection_manager
        typed_config:
          \"@type\": type.googleapis.com/envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager
          stat_prefix: web
          codec_type: {codec}
          generate_request_id: false
          stream_idle_timeout: 600s
          common_http_protocol_options: {{idle_timeout: 600s}}{upgrades}
          http_filters:
          - name: envoy.filters.http.router
            typed_config:
              \"@type\": type.googleapis.com/envoy.extensions.filters.http.router.v3.Router
              suppress_envoy_headers: true
              dynamic_stats: false
          route_config:
            virtual_hosts:
            - name: all
              domains: [\"*\"]
              routes:
              - match: {{prefix: \"/\"}}
                route: {{cluster: app, timeout: 0s}}{tls}
  clusters:
  - name: app
    type: STATIC
    connect_timeout: 5s
    circuit_breakers:
      thresholds:
      - {{max_connections: 1000000, max_pending_requests: 1000000, max_requests: 1000000}}
    load_assignment:
      cluster_name: app
      endpoints:
      - lb_endpoints:
        - endpoint:
            address: {{socket_address: {{address: {upstream_host}, port_value: {upstream_port}}}}}
",
        listen_host = listen.ip(),
        listen_port = listen.port(),
        upstream_host = upstream.ip(),
        upstream_port = upstream.port(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_configuration_is_as_kept() {
        assert_eq!(config_text(&Site::example("small@64")), include_str!("envoy.golden.yaml"));
        let tunnels = config_text(&Site::example("ws@64"));
        assert!(tunnels.contains("{idle_timeout: 600s}\n          upgrade_configs: [{upgrade_type: websocket}]\n"));
    }
}

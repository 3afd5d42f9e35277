//! The upstream: nginx, which serves a small body from its configuration and larger ones from files in memory.

use std::{
    fs,
    net::SocketAddr,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::Context;

use crate::{
    body::Body,
    fetch,
    interrupt::Interrupt,
    nginx,
    process::{self, Process},
};

/// Upper bound of the connections that a bench loads a proxy with at once. Between two runs of the load generator a proxy
/// may hold four descriptors for each, and the upstream holds one for each of every proxy: 20,000 are a common limit of a
/// process.
pub const CONNECTIONS_MAX: u32 = 2048;

/// The path that takes an upload: the answer, the small body, comes when the request has come whole.
pub const UPLOAD_PATH: &str = "/upload";

/// Upper bound of an upload; it is held in memory.
pub const UPLOAD_BYTES_MAX: usize = 1 << 20;

/// The running upstream.
#[derive(Debug)]
pub struct Upstream {
    /// nginx.
    pub process: Process,
    /// Where it listens.
    pub address: SocketAddr,
    /// Its folder of files.
    files: PathBuf,
}

impl Upstream {
    /// Starts the nginx at `program` on `core` and checks that it serves the usual bodies.
    ///
    /// # Errors
    /// Fails, with what nginx wrote, when it does not come to that.
    pub fn start(program: &Path, directory: &Path, core: usize, interrupt: &Interrupt) -> anyhow::Result<Self> {
        let address = process::free_address()?;
        let files = directory.join("files");
        fs::create_dir(&files).context("cannot create the folder of the upstream's files")?;
        let config = directory.join("upstream.conf");
        fs::write(&config, config_text(address, directory)).context("cannot write the upstream's configuration")?;
        let mut command = Command::new(program);
        command.args(nginx::arguments(&config, directory, "upstream"));
        let mut process = Process::start("upstream", command, core, directory)?;
        process.wait_until_listening(address, interrupt)?;
        let upstream = Self { process, address, files };
        Body::USUAL.into_iter().try_for_each(|body| upstream.offer(body))?;
        Ok(upstream)
    }

    /// Has it serve this body too, and checks that it does.
    ///
    /// # Errors
    /// Fails when it does not.
    pub fn offer(&self, body: Body) -> anyhow::Result<()> {
        let file = self.files.join(body.name());
        if !file.exists() {
            fs::write(file, body.content()).context("cannot write a file of the upstream")?;
        }
        fetch::check(self.address, body).with_context(|| format!("the upstream does not serve {}", body.path()))
    }
}

fn config_text(address: SocketAddr, directory: &Path) -> String {
    let small = String::from_utf8(Body::SMALL.content()).expect("bodies are ASCII");
    let (main, http) = (nginx::main_context(directory, "upstream"), nginx::http_settings(directory));
    // nginx answers by a `return` before it has read the request's body. It must not: a proxy would have to give the
    // connection up, and the bench would measure that. Passed on to itself, the request is read first.
    let passed_on = format!(
        "proxy_pass http://itself/small;
            proxy_method GET;
            proxy_pass_request_body off;
            proxy_set_header Content-Length \"\";
            proxy_set_header Connection \"\";
            proxy_http_version 1.1;
            client_max_body_size {UPLOAD_BYTES_MAX};
            client_body_buffer_size {UPLOAD_BYTES_MAX};"
    );
    // Every target keeps its connections while the others are measured.
    let connections = 8 * CONNECTIONS_MAX;
    let directory = directory.display();
    format!(
        "{main}events {{
    worker_connections {connections};
}}
http {{
{http}    sendfile on;
    tcp_nopush off;
    open_file_cache max=16;
    default_type application/octet-stream;
    upstream itself {{
        server {address};
        keepalive 256;
        keepalive_timeout 600s;
        keepalive_requests 1000000000;
    }}
    server {{
        listen {address};
        root {directory}/files;
        location = /small {{
            return 200 \"{small}\";
        }}
        location = {UPLOAD_PATH} {{
            {passed_on}
        }}
    }}
}}
"
    )
}

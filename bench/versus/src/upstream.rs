//! The upstream: nginx, which serves a small body from its configuration and larger ones from files in memory.

use std::{fs, net::SocketAddr, path::Path, process::Command};

use anyhow::Context;

use crate::{
    fetch,
    interrupt::Interrupt,
    process::{self, Process},
    programs::Programs,
    scenario::{Body, CONNECTIONS_MAX},
    targets,
};

/// The running upstream.
pub(crate) struct Upstream {
    pub(crate) process: Process,
    pub(crate) address: SocketAddr,
}

impl Upstream {
    /// Starts it on `core` and checks that it serves every body.
    pub(crate) fn start(
        programs: &Programs,
        directory: &Path,
        core: usize,
        interrupt: &Interrupt,
    ) -> anyhow::Result<Self> {
        let address = process::free_address()?;
        let files = directory.join("files");
        fs::create_dir(&files).context("cannot create the folder of the upstream's files")?;
        for body in Body::ALL {
            fs::write(files.join(body.name()), body.content()).context("cannot write a file of the upstream")?;
        }
        let config = directory.join("upstream.conf");
        fs::write(&config, config_text(address, directory)).context("cannot write the upstream's configuration")?;
        let mut command = Command::new(&programs.nginx);
        command.args(targets::nginx_arguments(&config, directory, "upstream"));
        let mut process = Process::start("upstream", command, core, directory)?;
        process.wait_until_listening(address, interrupt)?;
        for body in Body::ALL {
            fetch::check(address, body).with_context(|| format!("the upstream does not serve {}", body.path()))?;
        }
        Ok(Self { process, address })
    }
}

fn config_text(address: SocketAddr, directory: &Path) -> String {
    let small = String::from_utf8(Body::Small.content()).expect("bodies are ASCII");
    let (main, http) = (targets::nginx_main(directory, "upstream"), targets::nginx_http(directory));
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
    server {{
        listen {address};
        root {directory}/files;
        location = /small {{
            return 200 \"{small}\";
        }}
    }}
}}
"
    )
}

//! Servers that we did not write.

use std::fs;
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;

use crate::{Address, Port, Process};

/// nginx as Debian packages it, serving a folder of files.
#[derive(Debug)]
pub struct Nginx {
    process: Process,
    address: Address,
    folder: TempDir,
    _port: Port,
}

impl Nginx {
    /// Starts nginx on a free port, or on the Unix socket at `unix_path`, with one worker and an empty folder.
    ///
    /// # Panics
    /// If nginx does not come to listen.
    #[must_use]
    pub fn start(unix_path: Option<&Path>) -> Nginx {
        let port = Port::take();
        let folder = tempfile::tempdir().expect("a folder for nginx");
        fs::create_dir(folder.path().join("files")).expect("a folder for the files");
        let address = unix_path.map_or_else(|| port.address(), |path| Address::Unix(path.to_owned()));
        let configuration = folder.path().join("nginx.conf");
        fs::write(&configuration, nginx_configuration(folder.path(), &address)).expect("nginx's configuration");
        // Without -e nginx complains about the log of the system's own nginx before it reads the configuration.
        let log = folder.path().join("error.log");
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder.path()).arg("-c").arg(&configuration).arg("-e").arg(&log);
        // Debian installs it where only root's search path leads.
        command.env("PATH", format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default()));
        let mut process = Process::spawn("nginx", &mut command);
        process.wait_until_listening(&address);
        Nginx { process, address, folder, _port: port }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Puts a file into the folder that is served.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn put(&self, name: &str, content: &[u8]) {
        fs::write(self.folder.path().join("files").join(name), content).expect("a file to serve");
    }

    /// A file of the folder that is served, where clients may have put it with PUT.
    #[must_use]
    pub fn file(&self, name: &str) -> Option<Vec<u8>> {
        fs::read(self.folder.path().join("files").join(name)).ok()
    }

    /// The process.
    #[must_use]
    pub fn process(&self) -> &Process {
        &self.process
    }
}

/// Python's `http.server`, serving a folder of files.
#[derive(Debug)]
pub struct PythonServer {
    _process: Process,
    address: Address,
    folder: TempDir,
    _port: Port,
}

impl PythonServer {
    /// Starts it on a free port. `protocol` is `HTTP/1.0` (each response ends with the connection) or `HTTP/1.1`.
    ///
    /// # Panics
    /// If it does not come to listen.
    #[must_use]
    pub fn start(protocol: &str) -> PythonServer {
        let port = Port::take();
        let folder = tempfile::tempdir().expect("a folder for the files");
        let mut command = Command::new("python3");
        command.args(["-m", "http.server", &port.number().to_string(), "--bind", "127.0.0.1"]);
        command.args(["--protocol", protocol, "--directory"]).arg(folder.path());
        let mut process = Process::spawn("python3", &mut command);
        process.wait_until_listening(&port.address());
        PythonServer { _process: process, address: port.address(), folder, _port: port }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }

    /// Puts a file into the folder that is served.
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn put(&self, name: &str, content: &[u8]) {
        fs::write(self.folder.path().join(name), content).expect("a file to serve");
    }
}

fn nginx_configuration(folder: &Path, address: &Address) -> String {
    let folder = folder.display();
    format!(
        "daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log warn;
         events {{ worker_connections 4096; }}
         http {{
             access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; keepalive_timeout 60s;
             default_type application/octet-stream; client_max_body_size 0;
             client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
             uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
             server {{
                 listen {address}; root {folder}/files;
                 location / {{ dav_methods PUT DELETE; }}
                 location = /echo {{ return 200 \"$request_method $http_host $http_x_forwarded_for\"; }}
             }}
         }}
        "
    )
}

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
        let server = format!(
            "server {{
                 listen {address}; root {folder}/files;
                 location / {{ dav_methods PUT DELETE; }}
                 location = /echo {{ return 200 \"$request_method $http_host $http_x_forwarded_for\"; }}
             }}",
            folder = folder.path().display()
        );
        Nginx::launch(port, folder, unix_path, &server)
    }

    /// Starts nginx with TLS on a free port: it shows `certificate`, whose file has its key as well, and serves only those who show
    /// one that `client_authority` has signed, if there is one. `/session` tells of the connection and its session; `/chunked/`
    /// and `/closed/` serve the files with chunks, and until the connection ends.
    ///
    /// # Panics
    /// If nginx does not come to listen.
    #[must_use]
    pub fn start_with_tls(certificate: &Path, client_authority: Option<&Path>) -> Nginx {
        Nginx::start_with_tls_of("TLSv1.2 TLSv1.3", certificate, client_authority)
    }

    /// As [`Nginx::start_with_tls`], with these versions only, as `ssl_protocols` takes them.
    ///
    /// # Panics
    /// If nginx does not come to listen.
    #[must_use]
    pub fn start_with_tls_of(versions: &str, certificate: &Path, client_authority: Option<&Path>) -> Nginx {
        let (port, shown) = (Port::take(), certificate.display());
        let folder = tempfile::tempdir().expect("a folder for nginx");
        let files = folder.path().join("files");
        fs::create_dir(&files).expect("a folder for the files");
        let verify = client_authority.map_or(String::new(), |authority| {
            format!("ssl_verify_client on; ssl_client_certificate {};", authority.display())
        });
        let server = format!(
            "server {{
                 listen {address} ssl; root {files};
                 ssl_certificate {shown}; ssl_certificate_key {shown}; ssl_protocols {versions}; {verify}
                 location / {{ dav_methods PUT DELETE; }}
                 location /chunked/ {{ alias {files}/; ssi on; ssi_types *; }}
                 location /closed/ {{ alias {files}/; ssi on; ssi_types *; chunked_transfer_encoding off; }}
                 location = /session {{
                     return 200 \"$connection $ssl_protocol $ssl_session_reused $ssl_server_name $ssl_client_verify\";
                 }}
             }}",
            address = port.address(),
            files = files.display()
        );
        Nginx::launch(port, folder, None, &server)
    }

    /// Starts nginx with these servers inside its `http` block, on a free port that stands there as `PORT`; `FOLDER` is its folder,
    /// into which `files` are put first, each by its name.
    ///
    /// # Panics
    /// If nginx does not come to listen.
    #[must_use]
    pub fn start_with(servers: &str, files: &[(&str, &[u8])]) -> Nginx {
        let port = Port::take();
        let folder = tempfile::tempdir().expect("a folder for nginx");
        for (name, content) in files {
            fs::write(folder.path().join(name), content).expect("a file for nginx");
        }
        let servers = servers.replace("PORT", &port.address().to_string());
        let servers = servers.replace("FOLDER", &folder.path().display().to_string());
        Nginx::launch(port, folder, None, &servers)
    }

    fn launch(port: Port, folder: TempDir, unix_path: Option<&Path>, servers: &str) -> Nginx {
        let address = unix_path.map_or_else(|| port.address(), |path| Address::Unix(path.to_owned()));
        let configuration = folder.path().join("nginx.conf");
        fs::write(&configuration, nginx_configuration(folder.path(), servers)).expect("nginx's configuration");
        // Without -e nginx complains about the log of the system's own nginx before it reads the configuration.
        let log = folder.path().join("error.log");
        let mut command = Command::new("nginx");
        command.arg("-p").arg(folder.path()).arg("-c").arg(&configuration).arg("-e").arg(&log);
        command.env("PATH", search_path());
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

    /// Puts a file into its own folder, for a server of [`Nginx::start_with`].
    ///
    /// # Panics
    /// If the file cannot be written.
    pub fn put_into(&self, name: &str, content: &[u8]) {
        let path = self.folder.path().join(name);
        fs::create_dir_all(path.parent().expect("a folder")).expect("a folder");
        fs::write(path, content).expect("a file to serve");
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

fn nginx_configuration(folder: &Path, servers: &str) -> String {
    let folder = folder.display();
    format!(
        "daemon off; master_process off; worker_processes 1; pid {folder}/pid; error_log {folder}/error.log warn;
         events {{ worker_connections 4096; }}
         http {{
             access_log off; sendfile on; tcp_nopush on; keepalive_requests 1000000; keepalive_timeout 60s;
             default_type application/octet-stream; client_max_body_size 0;
             client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
             uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi;
             {servers}
         }}
        "
    )
}

/// HAProxy as Debian packages it, in front of the proxy under test.
#[derive(Debug)]
pub struct Haproxy {
    _process: Process,
    address: Address,
    _folder: TempDir,
    _port: Port,
}

impl Haproxy {
    /// Starts it on a free port, in `mode` (`tcp` or `http`), before `server`, to which it connects with these `options`.
    ///
    /// # Panics
    /// If it does not come to listen.
    #[must_use]
    pub fn start(mode: &str, server: &Address, options: &str) -> Haproxy {
        Haproxy::launch(mode, "", server, options)
    }

    /// Starts it on a free port, where it speaks TLS by these options of `bind` and passes on to `server` what comes, byte for byte.
    ///
    /// # Panics
    /// If it does not come to listen.
    #[must_use]
    pub fn start_with_tls(server: &Address, options: &str) -> Haproxy {
        Haproxy::launch("tcp", &format!("ssl {options}"), server, "")
    }

    fn launch(mode: &str, bind: &str, server: &Address, options: &str) -> Haproxy {
        let port = Port::take();
        let folder = tempfile::tempdir().expect("a folder for HAProxy");
        let configuration = folder.path().join("haproxy.cfg");
        let address = port.address();
        let text = format!(
            "defaults\n mode {mode}\n timeout connect 5s\n timeout client 60s\n timeout server 60s\n\
             frontend front\n bind {address} {bind}\n default_backend back\n\
             backend back\n server one {server} {options}\n"
        );
        fs::write(&configuration, text).expect("HAProxy's configuration");
        let mut command = Command::new("haproxy");
        command.arg("-db").arg("-q").arg("-f").arg(&configuration).env("PATH", search_path());
        let mut process = Process::spawn("haproxy", &mut command);
        process.wait_until_listening(&address);
        Haproxy { _process: process, address, _folder: folder, _port: port }
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> &Address {
        &self.address
    }
}

/// Debian installs servers where only root's search path leads.
fn search_path() -> String {
    format!("{}:/usr/sbin", std::env::var("PATH").unwrap_or_default())
}

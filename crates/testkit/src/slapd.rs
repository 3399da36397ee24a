//! An LDAP server of its own for a test: Debian's slapd on loopback, configuration and database in a
//! temporary folder, gone when dropped or when the test dies.

use anyhow::{Context, Result, bail, ensure};
use std::io::Write;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const START_DEADLINE: Duration = Duration::from_secs(60);
/// Where the directory begins.
pub const BASE_DN: &str = "dc=example,dc=test";
/// Who may read it, 100 entries at a time.
pub const READER_DN: &str = "cn=reader,dc=example,dc=test";
/// Password of the reader.
pub const READER_PASSWORD: &str = "reader-password";
/// Tries to start: another process may take a port first.
const TRIES: usize = 3;

/// A running server.
pub struct Slapd {
    server: Child,
    folder: tempfile::TempDir,
    plain: u16,
    tls: u16,
}

impl Slapd {
    /// Fills a database with entries (LDIF below [`BASE_DN`]) and starts a server on it.
    ///
    /// # Errors
    /// When slapd is missing (Debian package slapd) or does not start.
    pub fn start(ldif: &str) -> Result<Slapd> {
        let folder = tempfile::Builder::new().prefix("hinomi-ldap-").tempdir().context("temporary folder")?;
        certificates(folder.path())?;
        let config = folder.path().join("slapd.conf");
        std::fs::create_dir(folder.path().join("db"))?;
        std::fs::write(&config, configuration(folder.path()))?;
        fill(&config, ldif)?;
        for _ in 1..TRIES {
            if let Ok((server, plain, tls)) = start(&config, folder.path()) {
                return Ok(Slapd { server, folder, plain, tls });
            }
        }
        let (server, plain, tls) = start(&config, folder.path())?;
        Ok(Slapd { server, folder, plain, tls })
    }

    /// Address without TLS; StartTLS works on it.
    pub fn url(&self) -> String {
        format!("ldap://localhost:{}", self.plain)
    }

    /// Address with TLS.
    pub fn tls_url(&self) -> String {
        format!("ldaps://localhost:{}", self.tls)
    }

    /// The authority of its certificate, PEM.
    pub fn authority(&self) -> PathBuf {
        self.folder.path().join("authority.pem")
    }

    /// Applies changes (LDIF with `changetype`).
    ///
    /// # Errors
    /// When the server refuses them.
    pub fn modify(&self, ldif: &str) -> Result<()> {
        let admin = format!("cn=admin,{BASE_DN}");
        let mut child = Command::new("ldapmodify")
            .args(["-x", "-D", &admin, "-w", "admin-password", "-H", &self.url()])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .context("run ldapmodify (Debian package ldap-utils)")?;
        child.stdin.take().context("standard input")?.write_all(ldif.as_bytes())?;
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "ldapmodify: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    }
}

impl Drop for Slapd {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn configuration(folder: &Path) -> String {
    let folder = folder.display();
    format!(
        "include /etc/ldap/schema/core.schema\n\
         include /etc/ldap/schema/cosine.schema\n\
         include /etc/ldap/schema/inetorgperson.schema\n\
         pidfile {folder}/slapd.pid\n\
         argsfile {folder}/slapd.args\n\
         modulepath /usr/lib/ldap\n\
         moduleload back_mdb\n\
         TLSCACertificateFile {folder}/authority.pem\n\
         TLSCertificateFile {folder}/server.pem\n\
         TLSCertificateKeyFile {folder}/server.key\n\
         database mdb\n\
         maxsize 104857600\n\
         suffix \"{BASE_DN}\"\n\
         rootdn \"cn=admin,{BASE_DN}\"\n\
         rootpw admin-password\n\
         directory {folder}/db\n\
         limits dn.exact=\"{READER_DN}\" size.soft=100 size.hard=100 size.pr=100 size.prtotal=unlimited\n\
         access to attrs=userPassword by anonymous auth by * none\n\
         access to * by dn.exact=\"{READER_DN}\" read by * none\n"
    )
}

/// Base, reader and the entries of the test, written by slapadd as there is no server yet.
fn fill(config: &Path, ldif: &str) -> Result<()> {
    let file = config.with_extension("ldif");
    let all = format!(
        "dn: {BASE_DN}\nobjectClass: dcObject\nobjectClass: organization\ndc: example\no: Example\n\n\
         dn: {READER_DN}\nobjectClass: organizationalRole\nobjectClass: simpleSecurityObject\ncn: reader\n\
         userPassword: {READER_PASSWORD}\n\n{ldif}"
    );
    std::fs::write(&file, all)?;
    let output = Command::new("/usr/sbin/slapadd")
        .arg("-f")
        .arg(config)
        .arg("-l")
        .arg(&file)
        .output()
        .context("run slapadd (Debian package slapd)")?;
    ensure!(output.status.success(), "slapadd: {}", String::from_utf8_lossy(&output.stderr));
    Ok(())
}

fn start(config: &Path, folder: &Path) -> Result<(Child, u16, u16)> {
    let ports = [TcpListener::bind("127.0.0.1:0")?, TcpListener::bind("127.0.0.1:0")?];
    let [plain, tls] = [ports[0].local_addr()?.port(), ports[1].local_addr()?.port()];
    drop(ports);
    let log = std::fs::File::create(folder.join("slapd.log"))?;
    let mut server = Command::new("setpriv")
        .args(["--pdeathsig=KILL", "/usr/sbin/slapd", "-d", "0", "-f"])
        .arg(config)
        .arg("-h")
        .arg(format!("ldap://127.0.0.1:{plain}/ ldaps://127.0.0.1:{tls}/"))
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(log)
        .spawn()
        .context("start slapd")?;
    let begin = Instant::now();
    while [plain, tls].iter().any(|port| std::net::TcpStream::connect(("127.0.0.1", *port)).is_err()) {
        if let Some(status) = server.try_wait()? {
            bail!("slapd ended with {status}: {}", std::fs::read_to_string(folder.join("slapd.log"))?);
        }
        if begin.elapsed() > START_DEADLINE {
            let _ = server.kill();
            bail!("slapd was not ready within {START_DEADLINE:?}");
        }
        // the connection is the condition; this only keeps the loop from spinning
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok((server, plain, tls))
}

/// An authority and a certificate of it for localhost.
fn certificates(folder: &Path) -> Result<()> {
    let openssl = |arguments: &[&str]| -> Result<()> {
        let output = Command::new("openssl").current_dir(folder).args(arguments).output().context("run openssl")?;
        ensure!(output.status.success(), "openssl: {}", String::from_utf8_lossy(&output.stderr));
        Ok(())
    };
    const CURVE: [&str; 5] = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes"];
    let authority =
        ["req", "-x509", "-days", "2", "-subj", "/CN=test authority", "-keyout", "ca.key", "-out", "authority.pem"];
    openssl(&[&authority[..], &CURVE].concat())?;
    let request = [
        "req",
        "-subj",
        "/CN=localhost",
        "-addext",
        "subjectAltName=DNS:localhost,IP:127.0.0.1",
        "-keyout",
        "server.key",
        "-out",
        "server.csr",
    ];
    openssl(&[&request[..], &CURVE].concat())?;
    openssl(&[
        "x509",
        "-req",
        "-days",
        "2",
        "-in",
        "server.csr",
        "-CA",
        "authority.pem",
        "-CAkey",
        "ca.key",
        "-CAcreateserial",
        "-copy_extensions",
        "copy",
        "-out",
        "server.pem",
    ])
}

//! The server's own keys: certificate authority, server certificate, command key, vault key.
//!
//! All live in `DIR/keys`, readable by the owner only, made on first start. Losing them means
//! enrolling every sensor again, so `hinomi backup` takes them along.

use anyhow::{Context, Result, bail};
use hinomi_model::DeviceId;
use rcgen::{
    BasicConstraints, CertificateParams, CertificateSigningRequestParams, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use ring::rand::{SecureRandom, SystemRandom};
use ring::signature::{Ed25519KeyPair, KeyPair as _};
use rustls::pki_types::{CertificateDer, CertificateSigningRequestDer, PrivateKeyDer, PrivatePkcs8KeyDer};
use std::fs;
use std::io::Write;
use std::net::IpAddr;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Days a server or device certificate is valid. Two years: renewal comes with a later release,
/// the authority lasts ten.
const LEAF_DAYS: i64 = 730;
const AUTHORITY_DAYS: i64 = 3_650;

/// The keys in use.
pub struct Keys {
    dir: PathBuf,
    authority: Issuer<'static, KeyPair>,
    /// Certificate of the authority, DER.
    pub authority_der: CertificateDer<'static>,
    /// Certificate of the authority, PEM.
    pub authority_pem: String,
    /// Certificate chain of the server.
    pub server_chain: Vec<CertificateDer<'static>>,
    server_key: Vec<u8>,
    command: Ed25519KeyPair,
    vault: [u8; 32],
}

impl Keys {
    /// Loads the keys of a data folder, making what is missing. `hosts` are the names and addresses
    /// the server certificate must carry; it is made anew when one is missing.
    ///
    /// # Errors
    /// When files cannot be read, written or understood; the file is named.
    pub fn open(data: &Path, hosts: &[String]) -> Result<Keys> {
        let dir = data.join("keys");
        fs::DirBuilder::new()
            .recursive(true)
            .mode(0o700)
            .create(&dir)
            .with_context(|| format!("create {}", dir.display()))?;
        let (authority_key, authority_pem) = open_authority(&dir)?;
        let authority =
            Issuer::from_ca_cert_pem(&authority_pem, authority_key).context("read authority certificate")?;
        let authority_der = first_certificate(&authority_pem)?;
        let (server_pem, server_key) = open_server(&dir, &authority, hosts)?;
        let server_chain = vec![first_certificate(&server_pem)?, authority_der.clone()];
        let command_der = open_or_make(&dir.join("command.pk8"), || {
            let document =
                Ed25519KeyPair::generate_pkcs8(&SystemRandom::new()).map_err(|_| anyhow::anyhow!("no randomness"))?;
            Ok(document.as_ref().to_vec())
        })?;
        let command =
            Ed25519KeyPair::from_pkcs8(&command_der).map_err(|error| anyhow::anyhow!("command key: {error}"))?;
        let vault = open_or_make(&dir.join("vault.key"), || Ok(random::<32>().to_vec()))?;
        let Ok(vault) = <[u8; 32]>::try_from(vault) else { bail!("{}/vault.key is not 32 bytes", dir.display()) };
        Ok(Keys { dir, authority, authority_der, authority_pem, server_chain, server_key, command, vault })
    }

    /// Folder of the keys.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Private key of the server certificate.
    pub fn server_key(&self) -> PrivateKeyDer<'static> {
        PrivatePkcs8KeyDer::from(self.server_key.clone()).into()
    }

    /// Server certificate chain and key as PEM.
    pub fn server_pem(&self) -> (String, String) {
        let chain: String = self.server_chain.iter().map(|der| pem("CERTIFICATE", der)).collect();
        (chain, pem("PRIVATE KEY", &self.server_key))
    }

    /// The key that signs commands to sensors.
    pub fn command(&self) -> &Ed25519KeyPair {
        &self.command
    }

    /// Public half of the command key, 32 bytes.
    pub fn command_public(&self) -> Vec<u8> {
        self.command.public_key().as_ref().to_vec()
    }

    /// The key that encrypts removed mails.
    pub fn vault(&self) -> &[u8; 32] {
        &self.vault
    }

    /// Issues a client certificate for a device. Only the public key of the request is taken; name
    /// and usage are ours.
    ///
    /// # Errors
    /// When the request is not a valid PKCS#10 request.
    pub fn issue_device(&self, device: DeviceId, request: &[u8]) -> Result<CertificateDer<'static>> {
        let request = CertificateSigningRequestParams::from_der(&CertificateSigningRequestDer::from(request.to_vec()))
            .context("read certificate request")?;
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, device.to_string());
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        valid_for(&mut params, LEAF_DAYS);
        let certificate = params.signed_by(&request.public_key, &self.authority).context("sign device certificate")?;
        Ok(certificate.der().clone())
    }
}

/// Returns `N` random bytes of the system's generator.
pub fn random<const N: usize>() -> [u8; N] {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).expect("the kernel's generator never fails once seeded");
    bytes
}

fn open_authority(dir: &Path) -> Result<(KeyPair, String)> {
    let key_pem = open_or_make(&dir.join("authority.key"), || Ok(KeyPair::generate()?.serialize_pem().into_bytes()))?;
    let key = KeyPair::from_pem(&String::from_utf8(key_pem)?).context("read authority key")?;
    let pem = open_or_make(&dir.join("authority.pem"), || {
        let mut params = CertificateParams::default();
        params.distinguished_name.push(DnType::CommonName, format!("Hinomi authority {}", hex::encode(random::<4>())));
        params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
        params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
        valid_for(&mut params, AUTHORITY_DAYS);
        Ok(params.self_signed(&key)?.pem().into_bytes())
    })?;
    Ok((key, String::from_utf8(pem)?))
}

fn open_server(dir: &Path, authority: &Issuer<'static, KeyPair>, hosts: &[String]) -> Result<(String, Vec<u8>)> {
    let key_pem = open_or_make(&dir.join("server.key"), || Ok(KeyPair::generate()?.serialize_pem().into_bytes()))?;
    let key = KeyPair::from_pem(&String::from_utf8(key_pem)?).context("read server key")?;
    let path = dir.join("server.pem");
    let names = dir.join("server.names");
    let wanted = hosts.join("\n");
    if fs::read_to_string(&names).is_ok_and(|had| had == wanted) && path.exists() {
        return Ok((fs::read_to_string(&path)?, key.serialize_der()));
    }
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, hosts.first().map_or("hinomi", String::as_str));
    params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    for host in hosts {
        params.subject_alt_names.push(match host.parse::<IpAddr>() {
            Ok(address) => SanType::IpAddress(address),
            Err(_) => SanType::DnsName(host.as_str().try_into().with_context(|| format!("host name {host:?}"))?),
        });
    }
    valid_for(&mut params, LEAF_DAYS);
    let pem = params.signed_by(&key, authority).context("sign server certificate")?.pem();
    write_new(&path, pem.as_bytes())?;
    write_new(&names, wanted.as_bytes())?;
    Ok((pem, key.serialize_der()))
}

fn valid_for(params: &mut CertificateParams, days: i64) {
    let now = jiff::Timestamp::now().as_second();
    // a day of leeway for clocks that run behind
    params.not_before = rcgen_time(now - 86_400);
    params.not_after = rcgen_time(now + days * 86_400);
}

fn rcgen_time(second: i64) -> time::OffsetDateTime {
    time::OffsetDateTime::from_unix_timestamp(second).expect("a present-day instant is in range")
}

fn first_certificate(pem: &str) -> Result<CertificateDer<'static>> {
    let first = rustls_pemfile::certs(&mut pem.as_bytes()).next().context("no certificate in PEM")?;
    Ok(first?)
}

fn pem(label: &str, der: &[u8]) -> String {
    use base64::Engine;
    let body = base64::engine::general_purpose::STANDARD.encode(der);
    let lines: Vec<&str> =
        body.as_bytes().chunks(64).map(|line| std::str::from_utf8(line).expect("base64 is ASCII")).collect();
    format!("-----BEGIN {label}-----\n{}\n-----END {label}-----\n", lines.join("\n"))
}

fn open_or_make(path: &Path, make: impl FnOnce() -> Result<Vec<u8>>) -> Result<Vec<u8>> {
    match fs::read(path) {
        Ok(bytes) => Ok(bytes),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            let bytes = make().with_context(|| format!("make {}", path.display()))?;
            write_new(path, &bytes)?;
            Ok(bytes)
        }
        Err(error) => Err(error).with_context(|| format!("read {}", path.display())),
    }
}

/// Writes beside and renames, so that a crash leaves the old file or the new one.
pub(crate) fn write_new(path: &Path, bytes: &[u8]) -> Result<()> {
    let beside = path.with_extension("new");
    let write = || -> std::io::Result<()> {
        let mut file = fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        fs::File::open(path.parent().unwrap_or(Path::new(".")))?.sync_all()
    };
    write().with_context(|| format!("write {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_stay_the_same_and_issue_certificates() {
        let dir = tempfile::tempdir().expect("temp dir");
        let hosts = ["127.0.0.1".to_owned(), "localhost".to_owned()];
        let keys = Keys::open(dir.path(), &hosts).expect("made");
        let again = Keys::open(dir.path(), &hosts).expect("read");
        assert_eq!(keys.authority_pem, again.authority_pem);
        assert_eq!(keys.server_chain, again.server_chain);
        assert_eq!(keys.command_public(), again.command_public());
        let more = Keys::open(dir.path(), &["hinomi.example.jp".to_owned()]).expect("other name");
        assert_ne!(keys.server_chain[0], more.server_chain[0], "a new name makes a new certificate");

        let device = crate::ids::new();
        let key = KeyPair::generate().expect("key");
        let request = CertificateParams::default().serialize_request(&key).expect("request");
        let certificate = keys.issue_device(device, request.der()).expect("issued");
        let (_, parsed) = x509_parser::parse_x509_certificate(&certificate).expect("parses");
        assert_eq!(
            parsed.subject().iter_common_name().next().and_then(|cn| cn.as_str().ok()),
            Some(&*device.to_string())
        );
        assert!(keys.issue_device(device, b"junk").is_err());
    }
}

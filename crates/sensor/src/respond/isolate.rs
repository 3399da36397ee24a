//! Cuts the network but for the server, with a lease that ends by itself.
//!
//! One nftables table of our own, in front of every other chain. The lease is part of the rules
//! (`meta time`), so the kernel lets go at its end even when the sensor does not run any more.
//! The state is on disk and applied again at start; a code, told to the server in the receipt,
//! releases the device on the spot (`hinomi-sensor release --code CODE`).

use super::Outcome;
use crate::files;
use hinomi_model::{ReceiptState, Timestamp};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use std::fmt::Write as _;
use std::io::{self, Write as _};
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Mutex, MutexGuard};

/// Name of the table (family inet).
pub const TABLE: &str = "hinomi_isolation";
/// Longest lease: 7 days, as actions in the console allow.
const LEASE_SECONDS_MAX: i64 = 7 * 24 * 3600;
const FILE: &str = "isolation.json";
/// Crockford's base32 alphabet: no letters that are mistaken for digits.
const CODE_LETTERS: &[u8; 32] = b"0123456789ABCDEFGHJKMNPQRSTVWXYZ";
const CODE_LETTERS_COUNT: usize = 12;

/// Isolation of this device.
pub struct Isolation {
    enabled: bool,
    file: PathBuf,
    active: Mutex<Option<Active>>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Active {
    until: Timestamp,
    addresses: Vec<SocketAddr>,
    /// SHA-256 of the release code, hex.
    code_sha256: String,
}

/// The network could not be cut or restored.
#[derive(Debug, thiserror::Error)]
pub enum IsolationError {
    /// The state file fails.
    #[error("use the isolation state")]
    State(#[source] io::Error),
    /// The nft program cannot be run.
    #[error("run nft")]
    Run(#[source] io::Error),
    /// nft refused the rules.
    #[error("nft: {0}")]
    Nft(String),
    /// The code is wrong, or the device is not isolated.
    #[error("wrong code, or the device is not isolated")]
    Code,
}

impl Isolation {
    /// Reads the state in `data` and puts it in force: rules whose lease runs are applied again,
    /// others are removed. Rules that cannot be changed now are tried again by [`Self::tick`].
    ///
    /// # Errors
    /// When the state file is damaged.
    pub fn open(data: &Path, enabled: bool) -> Result<Isolation, IsolationError> {
        let file = data.join(FILE);
        let found: Option<Active> = files::read_json(&file).map_err(IsolationError::State)?;
        let isolation = Isolation { enabled, file, active: Mutex::new(found.clone()) };
        let done = match found {
            Some(active) if active.until > crate::clock::now() => apply(&active),
            Some(_) => isolation.lift(),
            None => Ok(()),
        };
        if let Err(error) = done {
            tracing::error!(error = crate::chain(&error), "isolation cannot be put in force yet");
        }
        Ok(isolation)
    }

    /// `ok`, or why the network could not be cut.
    pub fn capability(&self) -> String {
        if !self.enabled {
            return "off by configuration".to_owned();
        }
        match nft_program() {
            Some(_) => "ok".to_owned(),
            None => "nft is not installed".to_owned(),
        }
    }

    /// True while the network is cut.
    pub fn is_active(&self) -> bool {
        self.active().is_some()
    }

    /// Cuts everything but `addresses` for `lease_seconds`. While cut: begins a new lease.
    pub fn isolate(&self, lease_seconds: i64, addresses: &[SocketAddr]) -> Outcome {
        if !self.enabled {
            return Outcome::failed("isolation is off by configuration", "設定により隔離は無効です");
        }
        if addresses.is_empty() {
            return Outcome::failed("the server's address is not known", "サーバーのアドレスが分かりません");
        }
        if lease_seconds <= 0 {
            return Outcome::failed("the lease is over before it begins", "隔離の期限が不正です");
        }
        let Some(code) = draw_code() else {
            return Outcome::failed("no random numbers for the release code", "解除コードを作成できません");
        };
        let active = Active {
            until: lease_end(crate::clock::now(), lease_seconds),
            addresses: addresses.to_vec(),
            code_sha256: hash(&code),
        };
        // on disk first: a crash in between leaves a device that isolates itself at the next start
        let done = files::write_json(&self.file, &active).map_err(IsolationError::State).and_then(|()| apply(&active));
        if let Err(error) = done {
            let _ = self.lift();
            let why = crate::chain(&error);
            return Outcome::failed(format!("not isolated: {why}"), format!("隔離できませんでした: {why}"));
        }
        *self.active() = Some(active.clone());
        let proof = json!({
            "until": active.until,
            "addresses": active.addresses,
            "table": TABLE,
            "rules": count_rules().unwrap_or_default(),
            "release_code": code,
        });
        Outcome::new(
            ReceiptState::Done,
            format!("isolated until {}; only the server is reachable", active.until),
            format!("{} まで隔離しました。サーバーのみ通信できます", active.until),
            proof,
        )
    }

    /// Restores the network.
    pub fn release(&self) -> Outcome {
        let was = self.is_active();
        match self.lift() {
            Ok(()) if was => {
                Outcome::new(ReceiptState::Done, "network restored", "ネットワークを元に戻しました", Value::Null)
            }
            Ok(()) => Outcome::new(
                ReceiptState::AlreadyDone,
                "the device was not isolated",
                "デバイスは隔離されていません",
                Value::Null,
            ),
            Err(error) => {
                let why = crate::chain(&error);
                Outcome::failed(format!("not released: {why}"), format!("解除できませんでした: {why}"))
            }
        }
    }

    /// Restores the network when `code` is the one of the current isolation.
    ///
    /// # Errors
    /// When the code is wrong or the rules cannot be removed.
    pub fn release_with_code(&self, code: &str) -> Result<(), IsolationError> {
        let fits = self.active().as_ref().is_some_and(|active| active.code_sha256 == hash(code));
        if fits { self.lift() } else { Err(IsolationError::Code) }
    }

    /// Ends the lease when it is over and puts rules back that somebody removed; true when the
    /// isolation ended.
    ///
    /// # Errors
    /// When the rules cannot be changed.
    pub fn tick(&self) -> Result<bool, IsolationError> {
        let Some(active) = self.active().clone() else { return Ok(false) };
        if active.until <= crate::clock::now() {
            self.lift()?;
            return Ok(true);
        }
        if count_rules().is_none() {
            tracing::warn!("isolation rules are gone, they are applied again");
            apply(&active)?;
        }
        Ok(false)
    }

    fn lift(&self) -> Result<(), IsolationError> {
        if self.is_active() || self.file.exists() {
            nft(&format!("table inet {TABLE}\ndelete table inet {TABLE}\n"))?;
        }
        files::remove(&self.file).map_err(IsolationError::State)?;
        *self.active() = None;
        Ok(())
    }

    fn active(&self) -> MutexGuard<'_, Option<Active>> {
        self.active.lock().expect("no panic while holding the isolation state")
    }
}

/// The end of a lease: a whole second, as the kernel's rule knows no finer, and never an early one. Both
/// let go at the same moment then.
fn lease_end(now: Timestamp, lease_seconds: i64) -> Timestamp {
    let end = now.plus_seconds(lease_seconds.min(LEASE_SECONDS_MAX)).as_micros();
    Timestamp::from_micros((end + 999_999).div_euclid(1_000_000) * 1_000_000)
}

fn apply(active: &Active) -> Result<(), IsolationError> {
    nft(&rules(active))
}

/// Writes the whole table; nft replaces the old one by it in one transaction.
fn rules(active: &Active) -> String {
    let mut outward = String::new();
    let mut inward = String::new();
    for address in &active.addresses {
        let (family, ip) = match address.ip().to_canonical() {
            IpAddr::V4(ip) => ("ip", ip.to_string()),
            IpAddr::V6(ip) => ("ip6", ip.to_string()),
        };
        let port = address.port();
        let _ = writeln!(outward, "    {family} daddr {ip} tcp dport {port} accept");
        // the server answers, it never begins a connection
        let _ = writeln!(
            inward,
            "    {family} saddr {ip} tcp sport {port} tcp flags & (fin | syn | rst | ack) != syn accept"
        );
    }
    let until = active.until.as_micros().div_euclid(1_000_000);
    let discovery =
        "    icmpv6 type { nd-router-solicit, nd-router-advert, nd-neighbor-solicit, nd-neighbor-advert } accept\n";
    let dhcp = |from4, to4, from6, to6| {
        format!("    udp sport {from4} udp dport {to4} accept\n    udp sport {from6} udp dport {to6} accept\n")
    };
    let chain = |name: &str, hook: &str, accept: &str| {
        format!(
            "  chain {name} {{\n    type filter hook {hook} priority -500; policy accept;\n\
             {accept}    meta time < {until} counter drop\n  }}\n"
        )
    };
    let outward = format!("    oifname \"lo\" accept\n{outward}{discovery}{}", dhcp(68, 67, 546, 547));
    let inward = format!("    iifname \"lo\" accept\n{inward}{discovery}{}", dhcp(67, 68, 547, 546));
    format!(
        "table inet {TABLE}\ndelete table inet {TABLE}\ntable inet {TABLE} {{\n{}{}{}}}\n",
        chain("outward", "output", &outward),
        chain("inward", "input", &inward),
        chain("through", "forward", ""),
    )
}

fn nft_program() -> Option<&'static str> {
    ["/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft"].into_iter().find(|path| Path::new(path).exists())
}

fn nft(script: &str) -> Result<(), IsolationError> {
    let missing = || IsolationError::Run(io::Error::new(io::ErrorKind::NotFound, "nft is not installed"));
    let mut child = Command::new(nft_program().ok_or_else(missing)?)
        .args(["-f", "-"])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(IsolationError::Run)?;
    let mut stdin = child.stdin.take().expect("asked for above");
    let written = stdin.write_all(script.as_bytes());
    drop(stdin);
    let output = child.wait_with_output().map_err(IsolationError::Run)?;
    if output.status.success() {
        return written.map_err(IsolationError::Run);
    }
    let said = String::from_utf8_lossy(&output.stderr);
    Err(IsolationError::Nft(said.lines().next().unwrap_or("failed without a word").to_owned()))
}

/// Asks the kernel how many rules our table has; none when there is no table.
fn count_rules() -> Option<usize> {
    let output = Command::new(nft_program()?)
        .args(["-j", "list", "table", "inet", TABLE])
        .stdin(Stdio::null())
        .output()
        .ok()
        .filter(|output| output.status.success())?;
    let listed: Value = serde_json::from_slice(&output.stdout).ok()?;
    let rules = listed.get("nftables")?.as_array()?;
    Some(rules.iter().filter(|entry| entry.get("rule").is_some()).count())
}

/// Draws a code of 60 random bits, `XXXX-XXXX-XXXX`.
fn draw_code() -> Option<String> {
    let mut bytes = [0; CODE_LETTERS_COUNT];
    SystemRandom::new().fill(&mut bytes).ok()?;
    let letters: Vec<u8> = bytes.iter().map(|byte| CODE_LETTERS[usize::from(byte % 32)]).collect();
    let groups: Vec<String> = letters.chunks(4).map(|group| String::from_utf8_lossy(group).into_owned()).collect();
    Some(groups.join("-"))
}

/// Hashes a code as typed: case and separators do not matter.
fn hash(code: &str) -> String {
    let typed: String = code.chars().filter(char::is_ascii_alphanumeric).collect();
    hex::encode(Sha256::digest(typed.to_ascii_uppercase().as_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn leases_end_with_a_whole_second_and_never_early() {
        let end = |now, seconds| lease_end(Timestamp::from_micros(now), seconds).as_micros();
        assert_eq!((end(1_000_000, 4), end(1_000_001, 4), end(1_999_999, 4)), (5_000_000, 6_000_000, 6_000_000));
        assert_eq!(end(0, i64::MAX), LEASE_SECONDS_MAX * 1_000_000);
    }
}

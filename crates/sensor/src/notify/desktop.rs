//! Messages on desktops: org.freedesktop.Notifications on the user's session bus.

use super::Message;
use hinomi_model::{Language, Text};
use std::collections::HashMap;
use std::io::{self, Read, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};
use zbus::Variant;

const SHOW_TIMEOUT: Duration = Duration::from_secs(5);
/// Most bytes of a message handed to the helper.
const MESSAGE_BYTES_MAX: u64 = 64 * 1024;

/// Shows a message to `uid` through a helper process that becomes that user.
///
/// # Errors
/// When the helper cannot be started, or no desktop answers on the bus.
pub fn show_as(uid: u32, bus: &Path, message: &Message, language: Language) -> io::Result<()> {
    let mut child = Command::new("/proc/self/exe")
        .args(["show-notification", "--uid", &uid.to_string(), "--bus"])
        .arg(bus)
        .args(if message.urgent { &["--urgent"][..] } else { &[] })
        .env_clear()
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()?;
    let text = serde_json::to_vec(&[message.title.get(language), message.body.get(language)])?;
    if let Some(mut stdin) = child.stdin.take() {
        stdin.write_all(&text)?;
    }
    let deadline = Instant::now() + SHOW_TIMEOUT;
    let status = loop {
        if let Some(status) = child.try_wait()? {
            break status;
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Err(io::Error::new(io::ErrorKind::TimedOut, "the desktop does not answer"));
        }
        std::thread::sleep(Duration::from_millis(10));
    };
    if status.success() {
        return Ok(());
    }
    let mut said = String::new();
    if let Some(stderr) = child.stderr.take() {
        stderr.take(1024).read_to_string(&mut said)?;
    }
    Err(io::Error::other(said.lines().last().unwrap_or("the helper failed").to_owned()))
}

/// The helper: becomes `uid`, then shows the message on standard input. Call before any thread runs.
///
/// # Errors
/// When the user cannot be become or the bus does not take the message.
pub fn helper(uid: u32, bus: &Path, urgent: bool) -> anyhow::Result<()> {
    let mut text = Vec::new();
    io::stdin().take(MESSAGE_BYTES_MAX).read_to_end(&mut text)?;
    let [title, body]: [String; 2] = serde_json::from_slice(&text)?;
    if nix::unistd::geteuid().is_root() {
        let user = nix::unistd::Uid::from_raw(uid);
        let group = match nix::unistd::User::from_uid(user)? {
            Some(user) => user.gid,
            None => nix::unistd::Gid::from_raw(uid),
        };
        nix::unistd::setgroups(&[])?;
        nix::unistd::setresgid(group, group, group)?;
        nix::unistd::setresuid(user, user, user)?;
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let message = Message { title: Text::same(title), body: Text::same(body), urgent };
    runtime.block_on(async { tokio::time::timeout(SHOW_TIMEOUT, show(bus, &message)).await })??;
    Ok(())
}

async fn show(bus: &Path, message: &Message) -> zbus::Result<()> {
    let address = format!("unix:path={}", bus.display());
    let connection = zbus::connection::Builder::address(address.as_str()).build().await?;
    let actions: Vec<&str> = Vec::new();
    let mut hints: HashMap<&str, Variant<'_>> = HashMap::new();
    // urgency 2 is critical, 1 normal (Desktop Notifications Specification 1.2)
    hints.insert("urgency", Variant::U8(if message.urgent { 2 } else { 1 }));
    let body =
        ("Hinomi", 0_u32, "security-high", message.title.en.as_str(), escape(&message.body.en), actions, hints, -1_i32);
    connection
        .call_method(
            Some("org.freedesktop.Notifications"),
            "/org/freedesktop/Notifications",
            Some("org.freedesktop.Notifications"),
            "Notify",
            &body,
        )
        .await?;
    Ok(())
}

/// Bodies may be read as markup: text from outside must not become any.
fn escape(text: &str) -> String {
    super::printable(text).replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;")
}

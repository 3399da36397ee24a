//! Users are told in their language: on a real session bus with a small notification server, else
//! on a real terminal. Needs root and dbus-daemon.

mod rig;

use hinomi_model::{ReceiptState, Text};
use hinomi_wire::Command as Order;
use rig::{Sensor, Server, until};
use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::os::fd::FromRawFd;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;
use tokio_stream::StreamExt;

/// `games`: a user of every Debian as whom nobody works.
const USER: u32 = 5;
const USER_NAME: &str = "games";

/// Starts a program as the user, with a Japanese session's environment only.
fn as_user(program: &str) -> Command {
    let mut command = Command::new("setpriv");
    command.args([&format!("--reuid={USER}"), &format!("--regid={USER}"), "--clear-groups", program]);
    command.env_clear().env("PATH", "/usr/bin:/bin").env("LANG", "ja_JP.UTF-8");
    command
}

struct Ended(Child);

impl Drop for Ended {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Starts the user's session bus. Anybody may own names on it, so that this process can be its
/// desktop; who sends is asked of the bus.
fn session_bus(folder: &Path) -> (Ended, PathBuf) {
    let runtime = folder.join(USER.to_string());
    std::fs::create_dir(&runtime).unwrap();
    std::os::unix::fs::chown(&runtime, Some(USER), Some(USER)).unwrap();
    let bus = runtime.join("bus");
    let config = folder.join("bus.conf");
    let text = format!(
        "<busconfig><type>session</type><listen>unix:path={}</listen><auth>EXTERNAL</auth>\
         <policy context=\"default\"><allow user=\"*\"/><allow own=\"*\"/><allow send_destination=\"*\"/>\
         <allow receive_sender=\"*\"/></policy></busconfig>",
        bus.display()
    );
    std::fs::write(&config, text).unwrap();
    let mut daemon = as_user("dbus-daemon")
        .args(["--nofork", "--print-address", "--config-file"])
        .arg(&config)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(daemon.stdout.as_mut().unwrap()).read_line(&mut address).unwrap();
    assert!(address.starts_with("unix:path="), "{address}");
    (Ended(daemon), bus)
}

#[derive(Debug)]
struct Shown {
    title: String,
    body: String,
    urgency: u8,
    uid: u32,
}

/// Serves org.freedesktop.Notifications as a desktop does.
async fn desktop(address: &str) -> (zbus::Connection, mpsc::Receiver<Shown>) {
    const NAME: &str = "org.freedesktop.Notifications";
    type Body = (String, u32, String, String, String, Vec<String>, HashMap<String, zbus::OwnedVariant>, i32);
    let connection = zbus::connection::Builder::address(address).name(NAME).build().await.unwrap();
    let mut messages = zbus::MessageStream::from(&connection);
    let (tell, shown) = mpsc::channel();
    let bus = connection.clone();
    tokio::spawn(async move {
        while let Some(Ok(message)) = messages.next().await {
            let header = message.header();
            if header.member().is_none_or(|member| member != "Notify") {
                continue;
            }
            let sender = header.sender().unwrap().to_string();
            let asked = bus.call_method(
                Some("org.freedesktop.DBus"),
                "/org/freedesktop/DBus",
                Some("org.freedesktop.DBus"),
                "GetConnectionUnixUser",
                &sender,
            );
            let uid = asked.await.unwrap().body().deserialize().unwrap();
            let (_, _, _, title, body, _, hints, _): Body = message.body().deserialize().unwrap();
            let urgency = hints.get("urgency").and_then(|value| u8::try_from(value).ok()).unwrap_or(9);
            tell.send(Shown { title, body, urgency, uid }).unwrap();
            bus.reply(&header, &1_u32).await.unwrap();
        }
    });
    (connection, shown)
}

fn message() -> Order {
    Order::Notify { title: Text::new("Title", "件名"), body: Text::new("Body", "本文 <b>&\u{1b}[31m\u{202e}") }
}

fn config(folder: &Path) -> String {
    format!(
        "[prevention]\nenabled = false\n[isolation]\nenabled = false\n\
         [notify]\nruntime_dir = \"{0}/run\"\nterminal_dir = \"{0}/terminals\"\n",
        folder.display()
    )
}

fn stage() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    std::fs::set_permissions(folder.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    std::fs::create_dir(folder.path().join("run")).unwrap();
    std::fs::create_dir(folder.path().join("terminals")).unwrap();
    folder
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_the_desktop_as_the_user() {
    let folder = stage();
    let (_daemon, bus) = session_bus(&folder.path().join("run"));
    let (connection, shows) = desktop(&format!("unix:path={}", bus.display())).await;
    let mut server = Server::start().await;
    let mut sensor = Sensor::new(&config(folder.path()), &["--synthetic-events", "1"]);
    sensor.begin(&server).await;

    let told = server.order(message()).await;
    assert_eq!(told.state, ReceiptState::Done, "{told:?}");
    assert_eq!(told.proof["desktops"], serde_json::json!([USER]));
    let shown = shows.try_recv().unwrap();
    assert_eq!((shown.title.as_str(), shown.urgency, shown.uid), ("件名", 1, USER));
    assert_eq!(shown.body, "本文 &lt;b&gt;&amp;[31m");
    let users = sensor.status()["status"]["logged_on_users"].clone();
    assert_eq!(users, serde_json::json!([USER_NAME]));
    connection.close().await.unwrap();

    // a session without a desktop: the failure is told, nothing hangs
    let nobody = server.order(message()).await;
    assert_eq!(nobody.state, ReceiptState::NotFound);
    assert!(nobody.proof["failures"][0].as_str().unwrap().contains("desktop of user"), "{nobody:?}");
}

/// A pseudo terminal that belongs to the user, named `name` in `folder`.
fn terminal(folder: &Path, name: &str) -> File {
    // SAFETY: plain calls; the descriptor is ours, the buffer is valid for its length.
    let (master, path) = unsafe {
        let master = libc::posix_openpt(libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC);
        assert!(master >= 0 && libc::grantpt(master) == 0 && libc::unlockpt(master) == 0);
        let mut name = [0; 64];
        assert_eq!(libc::ptsname_r(master, name.as_mut_ptr(), name.len()), 0);
        let path = std::ffi::CStr::from_ptr(name.as_ptr()).to_str().unwrap().to_owned();
        (File::from_raw_fd(master), path)
    };
    std::os::unix::fs::chown(&path, Some(USER), None).unwrap();
    std::os::unix::fs::symlink(&path, folder.join(name)).unwrap();
    master
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn on_the_terminals_without_a_desktop() {
    let folder = stage();
    let mut master = terminal(&folder.path().join("terminals"), "7");
    // nobody reads this one any more: it must hold up nobody
    let _stuck = terminal(&folder.path().join("terminals"), "8");
    let _shell = Ended(as_user("sleep").arg("1000").spawn().unwrap());
    let mut server = Server::start().await;
    let mut sensor = Sensor::new(&config(folder.path()), &["--synthetic-events", "1"]);
    sensor.begin(&server).await;
    until("the user's environment", || {
        let told = std::fs::read(format!("/proc/{}/environ", _shell.0.id())).ok()?;
        told.windows(4).any(|part| part == b"LANG").then_some(())
    })
    .await;
    let told = server.order(message()).await;
    assert_eq!(told.state, ReceiptState::Done, "{told:?}");
    let mut text = vec![0; 4096];
    let read = master.read(&mut text).unwrap();
    let text = String::from_utf8_lossy(&text[..read]).into_owned();
    assert!(text.contains("*** 件名 ***") && text.contains("本文 <b>&[31m"), "{text:?}");
    assert!(!text.contains('\u{1b}') && !text.contains('\u{202e}'));
}

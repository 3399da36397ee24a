//! What paths and program names mean: system files, temporary folders, persistence, and the
//! programs that start others on behalf of a person or the system.

use hinomi_model::PivotStage;

/// A place that makes a program run again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Persistence {
    /// cron tables and folders.
    Cron,
    /// Desktop autostart entries.
    Autostart,
    /// systemd units, of the system or a user.
    SystemdUnit,
    /// Start-up files of shells.
    ShellProfile,
    /// SSH keys that let somebody in.
    AuthorizedKeys,
    /// A library loaded into every process.
    Preload,
    /// Boot scripts.
    BootScript,
    /// Windows start-up folder.
    StartupFolder,
}

impl Persistence {
    /// Returns the kind in English and Japanese.
    pub fn text(self) -> hinomi_model::Text {
        let (en, ja) = match self {
            Persistence::Cron => ("a cron table", "cron の設定"),
            Persistence::Autostart => ("a desktop autostart entry", "デスクトップの自動起動"),
            Persistence::SystemdUnit => ("a systemd unit", "systemd のユニット"),
            Persistence::ShellProfile => ("a shell start-up file", "シェルの起動ファイル"),
            Persistence::AuthorizedKeys => ("SSH keys", "SSH の公開鍵"),
            Persistence::Preload => ("the preload list", "プリロードの一覧"),
            Persistence::BootScript => ("a boot script", "起動スクリプト"),
            Persistence::StartupFolder => ("the start-up folder", "スタートアップ フォルダー"),
        };
        hinomi_model::Text::new(en, ja)
    }

    /// Returns the ATT&CK technique.
    pub fn technique(self) -> &'static str {
        match self {
            Persistence::Cron => "T1053.003",
            Persistence::Autostart => "T1547.013",
            Persistence::SystemdUnit => "T1543.002",
            Persistence::ShellProfile => "T1546.004",
            Persistence::AuthorizedKeys => "T1098.004",
            Persistence::Preload => "T1574.006",
            Persistence::BootScript => "T1037.004",
            Persistence::StartupFolder => "T1547.001",
        }
    }
}

/// Tells whether a file at `path` makes something run again, and how.
pub fn persistence_of(path: &str) -> Option<Persistence> {
    let lower = path.replace('\\', "/").to_lowercase();
    let name = lower.rsplit('/').next().unwrap_or_default();
    let has = |part: &str| lower.contains(part);
    Some(if has("/etc/cron") || has("/var/spool/cron") || has("/spool/cron/crontabs/") {
        Persistence::Cron
    } else if has("/autostart/") && name.ends_with(".desktop") {
        Persistence::Autostart
    } else if has("/systemd/") && [".service", ".timer", ".path", ".socket"].iter().any(|end| name.ends_with(end)) {
        Persistence::SystemdUnit
    } else if [".bashrc", ".profile", ".bash_profile", ".bash_login", ".zshrc", ".zprofile"].contains(&name)
        || has("/etc/profile")
    {
        Persistence::ShellProfile
    } else if name.starts_with("authorized_keys") {
        Persistence::AuthorizedKeys
    } else if lower.ends_with("/etc/ld.so.preload") {
        Persistence::Preload
    } else if lower.ends_with("/etc/rc.local") || has("/etc/init.d/") {
        Persistence::BootScript
    } else if has("/start menu/programs/startup/") {
        Persistence::StartupFolder
    } else {
        return None;
    })
}

/// True for files of the operating system: widely installed, so their hash links nothing and is
/// never blocked or quarantined by itself.
pub fn is_system_path(path: &str) -> bool {
    let lower = path.replace('\\', "/").to_lowercase();
    let system = ["/usr/bin/", "/usr/sbin/", "/usr/lib", "/usr/libexec/", "/usr/share/", "/bin/", "/sbin/", "/lib"];
    let windows = [":/windows/", ":/program files"];
    let (clean, wide) = (!lower.contains("/../"), ["/snap/", "/nix/store/"]);
    clean
        && (system.iter().chain(&wide).any(|root| lower.starts_with(root))
            || windows.iter().any(|root| lower.get(1..).is_some_and(|rest| rest.starts_with(root))))
}

/// True for folders where anybody may put files for a while.
pub fn is_temporary_path(path: &str) -> bool {
    let lower = path.replace('\\', "/").to_lowercase();
    ["/tmp/", "/var/tmp/", "/dev/shm/"].iter().any(|root| lower.starts_with(root))
        || ["/downloads/", "/appdata/local/temp/", "/.cache/", "/windows/temp/"].iter().any(|part| lower.contains(part))
}

/// Programs that start others for a person or the system: an attack's own tree begins below them.
const BOUNDARIES: &[&str] = &[
    // service managers, log-in, schedulers
    "systemd",
    "init",
    "(sd-pam)",
    "sshd",
    "sshd-session",
    "login",
    "agetty",
    "cron",
    "crond",
    "anacron",
    "atd",
    "dbus-daemon",
    "dbus-broker",
    "xinetd",
    "supervisord",
    "runit",
    "s6-supervise",
    // containers and terminals
    "containerd-shim",
    "containerd-shim-runc-v2",
    "conmon",
    "dockerd",
    "runc",
    "tmux",
    "tmux: server",
    "screen",
    "gnome-terminal-server",
    "gnome-terminal-",
    "konsole",
    "xfce4-terminal",
    "xterm",
    "kitty",
    "alacritty",
    // desktops
    "gdm",
    "gdm3",
    "gdm-session-worker",
    "sddm",
    "lightdm",
    "xorg",
    "gnome-shell",
    "gnome-session-binary",
    "plasmashell",
    "kwin_wayland",
    "kwin_x11",
    "xfce4-session",
    "xfce4-panel",
    "nautilus",
    "dolphin",
    "thunar",
    "explorer.exe",
    "services.exe",
    "svchost.exe",
    "winlogon.exe",
    "userinit.exe",
    "wininit.exe",
    // what opens files of strangers, beside mail clients and browsers
    "soffice.bin",
    "libreoffice",
    "winword.exe",
    "excel.exe",
    "powerpnt.exe",
    "file-roller",
    "ark",
    "engrampa",
    "evince",
    "okular",
    "acrord32.exe",
    // servers that take requests from outside
    "nginx",
    "apache2",
    "httpd",
    "php-fpm",
    "mysqld",
    "postgres",
    "java",
    "node",
    "master",
    "local",
    "dovecot",
    "smbd",
    "vsftpd",
    "proftpd",
    "w3wp.exe",
    "tomcat",
];

/// True for programs whose children start a story of their own (mail client, browser, service
/// manager, terminal, server).
pub fn is_boundary(file_name: &str) -> bool {
    let lower = file_name.to_lowercase();
    let known = [BOUNDARIES, MAIL_CLIENTS, BROWSERS].iter().any(|names| names.contains(&lower.as_str()));
    known || lower.starts_with("php-fpm")
}

/// Programs people read mail with.
const MAIL_CLIENTS: &[&str] = &[
    "thunderbird",
    "thunderbird-bin",
    "evolution",
    "kmail",
    "geary",
    "mutt",
    "neomutt",
    "claws-mail",
    "sylpheed",
    "outlook.exe",
    "olk.exe",
    "thunderbird.exe",
];
/// Browsers.
const BROWSERS: &[&str] = &[
    "firefox",
    "firefox-esr",
    "firefox-bin",
    "chrome",
    "chromium",
    "google-chrome",
    "brave",
    "msedge.exe",
    "chrome.exe",
    "firefox.exe",
];
/// Programs that unpack archives.
const ARCHIVERS: &[&str] = &[
    "unzip",
    "7z",
    "7za",
    "7zz",
    "tar",
    "bsdtar",
    "unrar",
    "cabextract",
    "gunzip",
    "file-roller",
    "ark",
    "engrampa",
    "xarchiver",
    "7zfm.exe",
    "7zg.exe",
    "winrar.exe",
];

/// Programs that open documents.
const OPENERS: &[&str] = &[
    "soffice.bin",
    "libreoffice",
    "evince",
    "okular",
    "xpdf",
    "atril",
    "file-roller",
    "ark",
    "engrampa",
    "winword.exe",
    "excel.exe",
    "powerpnt.exe",
    "acrord32.exe",
];

/// True for programs people read mail with.
pub fn is_mail_client(file_name: &str) -> bool {
    MAIL_CLIENTS.contains(&file_name.to_lowercase().as_str())
}

/// True for programs that open documents of others.
pub fn is_opener(file_name: &str) -> bool {
    OPENERS.contains(&file_name.to_lowercase().as_str())
}

/// What it means that a program of this file name wrote a file.
pub(crate) fn saved_stage(program: &str) -> PivotStage {
    let lower = program.to_lowercase();
    let among = |names: &[&str]| names.contains(&lower.as_str());
    if is_mail_client(program) {
        PivotStage::SavedByMailClient
    } else if among(BROWSERS) {
        PivotStage::SavedByBrowser
    } else if among(ARCHIVERS) {
        PivotStage::Unpacked
    } else {
        PivotStage::Saved
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_are_told_apart() {
        assert!(is_system_path("/usr/bin/bash") && is_system_path("C:\\Windows\\System32\\cmd.exe"));
        assert!(!is_system_path("/usr/bin/../../home/u/x") && !is_system_path("/usr/local/bin/x"));
        assert!(is_temporary_path("/tmp/stage2") && is_temporary_path("/home/u/Downloads/a.sh"));
        assert_eq!(persistence_of("/home/u/.config/autostart/upd.desktop"), Some(Persistence::Autostart));
        assert_eq!(persistence_of("/var/spool/cron/crontabs/u"), Some(Persistence::Cron));
        assert_eq!(persistence_of("/home/u/.config/systemd/user/a.service"), Some(Persistence::SystemdUnit));
        assert_eq!(persistence_of("/home/u/notes.txt"), None);
        assert!(is_boundary("thunderbird") && is_boundary("php-fpm8.2") && !is_boundary("bash"));
    }
}

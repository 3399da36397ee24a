//! Plays the story; also the inert mail program on its endpoint.

use anyhow::{Context, Result, bail};
use hinomi_testkit::story::mail_client::{OpenMail, open};
use hinomi_testkit::story::{StoryConfig, play};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

#[tokio::main]
async fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let result = match arguments.as_slice() {
        ["open-mail", imap, user, password, downloads] => open_mail(imap, user, password, downloads).await,
        [] => story(None).await,
        ["--keep", folder] => story(Some(PathBuf::from(folder))).await,
        _ => Err(anyhow::anyhow!("usage: hinomi-story [--keep FOLDER]")),
    };
    result.unwrap_or_else(|error| {
        eprintln!("error: {error:#}");
        ExitCode::from(2)
    })
}

fn exit(success: bool) -> ExitCode {
    if success { ExitCode::SUCCESS } else { ExitCode::from(1) }
}

async fn open_mail(imap: &str, user: &str, password: &str, downloads: &str) -> Result<ExitCode> {
    let mail = OpenMail {
        imap: imap.parse()?,
        user: user.to_owned(),
        password: password.to_owned(),
        downloads: PathBuf::from(downloads),
    };
    open(&mail).await.map(|status| exit(status.success()))
}

async fn story(keep: Option<PathBuf>) -> Result<ExitCode> {
    let own = std::env::current_exe()?;
    let binaries = own.parent().context("no folder")?.to_owned();
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).ancestors().nth(2).context("no workspace")?.to_owned();
    for name in ["hinomi", "hinomi-sensor"] {
        if !binaries.join(name).exists() {
            bail!("{name} is not built: run cargo xtask story");
        }
    }
    let report = play(StoryConfig { binaries, workspace, keep }, |step| {
        let mark = if step.ok { "ok    " } else { "FAILED" };
        println!("{mark} {:>6.1} s  {}", step.seconds, step.name);
        for note in &step.notes {
            println!("                 {note}");
        }
        if let Some(error) = &step.error {
            println!("                 {error}");
        }
    })
    .await;
    println!("{}", serde_json::to_string(&report)?);
    Ok(exit(report.steps_failed == 0))
}

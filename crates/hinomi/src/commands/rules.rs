//! `hinomi rules`

use crate::commands::rules_in_force::InForce;
use crate::commands::scan::load;
use crate::output::{self, exit, line, printable};
use anyhow::{Context, Result, bail};
use clap::{Args, Subcommand};
use hinomi_model::Language;
use hinomi_scan::rules::pick::{Pick, Want};
use hinomi_scan::rules::{RuleSet, coverage, examples, explain, set};
use hinomi_scan::{Options, Progress, run};
use serde::Serialize;
use std::path::PathBuf;

/// Events of a log looked at for the nearest miss.
const MISSES_MAX: usize = 100;

/// Work with detection rules.
#[derive(Debug, Subcommand)]
pub enum Rules {
    /// Read rules and explain every mistake
    Check {
        /// Rule files and folders
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// Run the examples beside rules (<rule>.test.yml)
    Test {
        /// Rule files and folders
        #[arg(required = true)]
        paths: Vec<PathBuf>,
    },
    /// List rules
    List(Which),
    /// Show how an event meets each condition of a rule
    Explain {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        about: About,
    },
    /// Show the first condition of a rule an event does not meet
    WhyNot {
        #[command(flatten)]
        which: Which,
        #[command(flatten)]
        about: About,
    },
    /// Show which ATT&CK techniques rules name
    Coverage(Which),
    /// Decide on a server which rules are in force
    #[command(subcommand)]
    Server(InForce),
}

/// Which rules are meant.
#[derive(Debug, Args)]
pub struct Which {
    /// Folder (or file) of Sigma rules; may be given several times
    #[arg(long, value_name = "DIR")]
    rules: Vec<PathBuf>,
    /// Leave out the rules that ship with Hinomi
    #[arg(long)]
    no_content: bool,
}

/// A rule and an event.
#[derive(Debug, Args)]
pub struct About {
    /// Id of the rule, or its file
    rule: String,
    /// Log with the event
    path: PathBuf,
    /// Number of the event in its log: record id, or line
    #[arg(long, value_name = "N")]
    record: Option<u64>,
}

#[derive(Serialize)]
struct Mistake<'e> {
    path: &'e str,
    line: usize,
    column: usize,
    code: &'e str,
    message: &'e str,
    hint: &'e str,
}

#[derive(Serialize)]
struct Listed<'e> {
    id: &'e str,
    level: &'e str,
    title: &'e str,
    logsource: String,
    tags: &'e [String],
    author: &'e str,
    path: &'e str,
}

impl Rules {
    /// Does what is asked.
    ///
    /// # Errors
    /// When rules or logs cannot be read.
    pub fn run(self, json: bool, language: Language) -> Result<u8> {
        match self {
            Rules::Check { paths } => check(&paths, json),
            Rules::Test { paths } => test(&paths, json),
            Rules::List(which) => list(&which.load()?, json, language),
            Rules::Explain { which, about } => about_one(which, about, json, true),
            Rules::WhyNot { which, about } => about_one(which, about, json, false),
            Rules::Coverage(which) => cover(&which.load()?, json, language),
            Rules::Server(_) => bail!("answered before"),
        }
    }
}

impl Which {
    fn load(&self) -> Result<RuleSet> {
        load(&self.rules, !self.no_content)
    }
}

fn check(paths: &[PathBuf], json: bool) -> Result<u8> {
    let set = load(paths, false)?;
    for error in &set.errors {
        if json {
            let (path, message, hint) = (error.path.as_str(), error.message.as_str(), error.hint.as_str());
            let (line, column, code) = (error.line, error.column, error.code.name());
            output::line(&serde_json::to_string(&Mistake { path, line, column, code, message, hint })?);
        } else {
            error.to_string().lines().for_each(|text| line(&printable(text)));
            line("");
        }
    }
    if !json {
        line(&format!("{} rules loaded, {} mistakes", set.engine.rules().len(), set.errors.len()));
    }
    Ok(if set.errors.is_empty() && !set.engine.rules().is_empty() { exit::DONE } else { exit::NOTHING })
}

fn test(paths: &[PathBuf], json: bool) -> Result<u8> {
    let (mut passed, mut failed, mut without) = (0, 0, 0);
    for path in paths {
        for source in set::read(path)? {
            let Some(outcome) = examples::run(&source).with_context(|| format!("read examples of {}", source.path))?
            else {
                without += 1;
                continue;
            };
            passed += outcome.passed;
            failed += outcome.failed.len();
            if json {
                line(&serde_json::to_string(&outcome)?);
            } else {
                for failure in &outcome.failed {
                    line(&printable(&format!("{}: {failure}", outcome.path)));
                }
            }
        }
    }
    if !json {
        line(&format!("{passed} examples passed, {failed} failed; {without} rules without examples"));
    }
    Ok(if failed == 0 && passed > 0 { exit::DONE } else { exit::NOTHING })
}

fn list(set: &RuleSet, json: bool, language: Language) -> Result<u8> {
    tell_failed(set);
    let listed: Vec<Listed<'_>> = (0u32..)
        .zip(set.engine.rules())
        .map(|(at, rule)| Listed {
            id: &rule.id,
            level: &rule.level,
            title: if language == Language::Ja { &rule.title.ja } else { &rule.title.en },
            logsource: set.engine.source(at).map(ToString::to_string).unwrap_or_default(),
            tags: &rule.tags,
            author: &rule.author,
            path: &rule.path,
        })
        .collect();
    Ok(output::list(json, &listed, &["LEVEL", "TITLE", "LOG SOURCE", "AUTHOR", "ID"], |rule| {
        [rule.level, rule.title, &rule.logsource, rule.author, rule.id].map(str::to_owned).to_vec()
    }))
}

fn cover(set: &RuleSet, json: bool, language: Language) -> Result<u8> {
    tell_failed(set);
    let matrix = coverage::matrix(set.engine.rules());
    if json {
        output::json(&matrix);
    } else {
        coverage::lines(&matrix, language).iter().for_each(|text| line(text));
    }
    Ok(exit::DONE)
}

fn about_one(which: Which, about: About, json: bool, fires: bool) -> Result<u8> {
    let mut which = which;
    let as_file = PathBuf::from(&about.rule);
    let named_file = as_file.is_file();
    if named_file {
        which = Which { rules: vec![as_file], no_content: true };
    }
    let set = which.load()?;
    let wanted = |id: &str| named_file || id == about.rule;
    let Some(at) = set.engine.rules().iter().position(|rule| wanted(&rule.id)) else {
        for error in &set.errors {
            eprintln!("{}", printable(&error.to_string()));
        }
        bail!("no rule {}", about.rule);
    };
    let rule = &set.engine.rules()[at];
    let want = match (about.record, fires) {
        (Some(number), _) => Want::Record(number),
        (None, true) => Want::Fires,
        (None, false) => Want::Silent,
    };
    let (files, _) = run::list(std::slice::from_ref(&about.path))?;
    let pick = Pick::new(&set.engine, at as u32, want, if fires { 1 } else { MISSES_MAX });
    run::run(&files, &pick, Options { threads: 1 }, &Progress::default(), &mut |_| true);
    let source = set.source_of(&rule.id).context("the rule has no file")?;
    let mut best: Option<((bool, bool, usize), _, _, explain::Explanation)> = None;
    for (log, record) in pick.into_kept() {
        let explained = explain::explain(&source.path, &source.yaml, &rule.id, &record).map_err(anyhow::Error::msg)?;
        let unmet = explained.selections.iter().filter(|selection| !selection.holds).count();
        let alone = explained.selections.iter().any(|selection| selection.decides);
        let distance = (!explained.applies, !alone, unmet);
        if best.as_ref().is_none_or(|(least, ..)| distance < *least) {
            best = Some((distance, log, record.record_id, explained));
        }
    }
    let Some((_, log, number, explained)) = best else {
        eprintln!("no such event in {}", about.path.display());
        return Ok(exit::NOTHING);
    };
    if json {
        output::json(&explained);
    } else {
        let number = number.map(|number| format!(":{number}")).unwrap_or_default();
        line(&printable(&format!("{} ({}) on {log}{number}", rule.title.en, rule.id)));
        explain::lines(&explained).iter().for_each(|text| line(&printable(text)));
        if let Some(blame) = explained.blame.as_ref().filter(|_| !fires) {
            let how = if blame.met { "is met, and the condition asks that it is not" } else { "is not met" };
            line(&printable(&format!("\nfirst obstacle: {} {how}", blame.selection)));
            if let Some(comparison) = &blame.comparison {
                let has = comparison.has.as_deref().unwrap_or("no such field");
                line(&printable(
                    &format!("  {}: {}\n  event: {has}", comparison.field, comparison.wanted).replace('\n', " | "),
                ));
            }
        }
    }
    Ok(if explained.fires { exit::DONE } else { exit::NOTHING })
}

fn tell_failed(set: &RuleSet) {
    if !set.errors.is_empty() {
        eprintln!("{} rules not loaded; hinomi rules check tells why", set.errors.len());
    }
}

//! Which file an interpreter was started on.

/// Options of an interpreter: those that name code instead of a file, and those with a value apart.
struct Interpreter {
    names: &'static [&'static str],
    code: &'static [&'static str],
    with_value: &'static [&'static str],
}

/// From the manual pages; an option bundle such as `-ec` counts as its last letter for shells.
const INTERPRETERS: &[Interpreter] = &[
    Interpreter {
        names: &["sh", "bash", "dash", "zsh", "ksh", "ksh93", "mksh", "ash", "rbash"],
        code: &["-c", "-s"],
        with_value: &["-o", "-O", "+o", "+O", "--rcfile", "--init-file"],
    },
    Interpreter {
        names: &["python", "pypy"],
        code: &["-c", "-m"],
        with_value: &["-W", "-X", "--check-hash-based-pycs"],
    },
    Interpreter { names: &["perl"], code: &["-e", "-E"], with_value: &["-I", "-M", "-m"] },
    Interpreter { names: &["ruby"], code: &["-e"], with_value: &["-I", "-r", "-C", "-E"] },
    Interpreter {
        names: &["node", "nodejs", "deno", "bun"],
        code: &["-e", "--eval", "-p", "--print"],
        with_value: &["-r", "--require", "--import", "-C"],
    },
    Interpreter { names: &["php"], code: &["-r", "-B", "-R"], with_value: &["-c", "-d", "-z", "-f"] },
    Interpreter {
        names: &["lua", "luajit", "tclsh", "wish", "expect", "gjs", "osascript", "pwsh"],
        code: &["-e", "-c"],
        with_value: &["-l"],
    },
    Interpreter { names: &["awk", "gawk", "mawk"], code: &[], with_value: &["-F", "-v"] },
];

/// Returns the script among the arguments of a known interpreter, as it was written there.
///
/// `exe_name` is the name of the image (`python3.11`), `argv` its arguments with the zeroth.
pub fn script_argument<'a>(exe_name: &str, argv: &'a [String]) -> Option<&'a str> {
    let called = argv.first().map(String::as_str).unwrap_or_default();
    let applet = called.rsplit('/').next().unwrap_or_default();
    // busybox is whatever it was called as, or its first argument
    let (name, rest) = match exe_name {
        "busybox" if applet == "busybox" => (argv.get(1)?.as_str(), argv.get(2..)?),
        "busybox" => (applet, argv.get(1..)?),
        _ => (exe_name, argv.get(1..)?),
    };
    let interpreter = INTERPRETERS.iter().find(|known| known.names.contains(&without_version(name)))?;
    if interpreter.names.contains(&"awk") {
        return value_of(rest, "-f");
    }
    let is_shell = interpreter.names.contains(&"sh");
    let mut args = rest.iter();
    while let Some(arg) = args.next() {
        if arg == "--" {
            return args.next().map(String::as_str);
        }
        if arg == "-" || !(arg.starts_with('-') || arg.starts_with('+')) {
            return (arg != "-").then_some(arg);
        }
        let is_bundle = is_shell && arg.len() > 2 && !arg.starts_with("--");
        if interpreter.code.contains(&arg.as_str()) || (is_bundle && arg.contains(['c', 's'])) {
            return None;
        }
        if arg == "-f" && interpreter.names.contains(&"php") {
            return args.next().map(String::as_str);
        }
        if interpreter.with_value.contains(&arg.as_str()) {
            args.next();
        }
    }
    None
}

fn without_version(name: &str) -> &str {
    name.trim_end_matches(|c: char| c.is_ascii_digit() || c == '.' || c == '-')
}

fn value_of<'a>(args: &'a [String], option: &str) -> Option<&'a str> {
    let at = args.iter().position(|arg| arg == option)?;
    args.get(at + 1).map(String::as_str)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn scripts_are_found() {
        for (exe, line, script) in [
            ("dash", "sh invoice.sh a b", Some("invoice.sh")),
            ("bash", "bash -x -o pipefail ./請求書.sh", Some("./請求書.sh")),
            ("bash", "bash -c id", None),
            ("bash", "bash -lc id", None),
            ("bash", "bash -- -odd", Some("-odd")),
            ("dash", "sh", None),
            ("dash", "sh -", None),
            ("python3.11", "python3 -W ignore -u run.py x", Some("run.py")),
            ("python3.11", "python3 -m http.server", None),
            ("perl", "perl -e print", None),
            ("busybox", "/bin/sh x.sh", Some("x.sh")),
            ("busybox", "busybox ash x.sh", Some("x.sh")),
            ("mawk", "awk -f p.awk file", Some("p.awk")),
            ("mawk", "awk {print} file", None),
            ("php8.2", "php -f a.php", Some("a.php")),
            ("ls", "ls x.sh", None),
        ] {
            let argv: Vec<String> = line.split(' ').map(str::to_owned).collect();
            assert_eq!(script_argument(exe, &argv), script, "{line}");
        }
    }
}

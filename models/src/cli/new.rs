//! `interrex new`.

use super::{Exit, Failure, STRONG, shown, styled};
use crate::io::file;
use std::{
    fs,
    io::Write,
    path::{Path, PathBuf},
};

/// Make a crate for a protocol of one's own
///
/// It begins with an election that is wrong in one place, a scenario that shows it, a test, and a workflow for CI. It has
/// a command with all subcommands but this one. The guide leads from there to a machine that is repaired, and runs over TCP.
#[derive(Debug, clap::Args)]
#[command(after_help = super::exit_codes! {
    "0    the crate is made"
    "2    it cannot be made, or there is something of that name already"
})]
pub(super) struct New {
    /// The folder to make. Its name is the name of the crate
    #[arg(value_name = "NAME")]
    folder: PathBuf,
    /// Depend on the source tree of interrex in this folder, and not on the one in its repository
    #[arg(long, value_name = "DIR", value_parser = super::folder())]
    path: Option<PathBuf>,
}

/// The files of a crate, below `models/template`. Two of them would mean something to cargo and Git there.
const FILES: [(&str, &str); 7] = [
    ("Cargo.toml", include_str!("../../template/Cargo.toml.in")),
    (".gitignore", include_str!("../../template/gitignore.in")),
    (".github/workflows/check.yml", include_str!("../../template/.github/workflows/check.yml")),
    (
        "scenarios/election/crash-stop.toml",
        include_str!("../../template/scenarios/election/crash-stop.toml"),
    ),
    ("src/lib.rs", include_str!("../../template/src/lib.rs")),
    ("src/main.rs", include_str!("../../template/src/main.rs")),
    ("tests/scenarios.rs", include_str!("../../template/tests/scenarios.rs")),
];

/// The name of the crate in these files.
const NAME: &str = "my-election";

const REPOSITORY: &str = env!("CARGO_PKG_REPOSITORY");

/// The comment in `Cargo.toml` on a dependency that is a folder.
const ELSEWHERE: &str = concat!(
    "# These folders are on this computer only, so the workflow cannot pass in CI. There, in place of `path = …`:\n",
    "# git = \"",
    env!("CARGO_PKG_REPOSITORY"),
    "\"\n",
);

impl New {
    pub(super) fn run(&self) -> Result<Exit, Failure> {
        let name = self.name()?;
        let [library, harness] = self.sources()?;
        let note = if self.path.is_some() { ELSEWHERE } else { "" };
        let folder = &self.folder;
        if let Err(error) = fs::create_dir(folder) {
            let advice =
                if folder.symlink_metadata().is_ok() { "; choose another name" } else { "" };
            let folder = folder.display();
            return Err(Failure::Usage(format!("{folder}: cannot be made: {error}{advice}")));
        }
        for (path, text) in FILES {
            let text = text.replace(NAME, name).replace(&identifier(NAME), &identifier(name));
            // No name has braces, and each stands before everything that is put in: paths may contain anything.
            let text = text.replacen("{MODELS}", &harness, 1).replacen("{INTERREX}", &library, 1);
            let text = text.replacen("{NOTE}", note, 1);
            write(&folder.join(path), &text)?;
        }
        let mut out = anstream::stdout().lock();
        writeln!(
            out,
            "{} is a crate with an election that is wrong in one place",
            styled(STRONG, shown(folder))
        )?;
        writeln!(out, "  cd {}", folder.display())?;
        writeln!(out, "  cargo run -- check    # explores its scenario, and shows what is wrong")?;
        writeln!(out, "  guide: {REPOSITORY}/blob/main/models/src/guide.md")?;
        if self.path.is_some() {
            writeln!(
                out,
                "  its workflow cannot pass in CI as long as Cargo.toml depends on that folder:"
            )?;
            writeln!(out, "  a comment there says what to write instead")?;
        }
        Ok(Exit::AsExpected)
    }

    /// The name of the crate, if cargo takes it.
    fn name(&self) -> Result<&str, Failure> {
        let name = self.folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
        let refused = |why: &str| {
            let given = self.folder.display();
            Err(Failure::Usage(format!("{given}: {why}; choose another name, as `{NAME}`")))
        };
        let is_letter = |it: char| it.is_ascii_alphanumeric() || it == '-' || it == '_';
        if !name.starts_with(|first: char| first.is_ascii_alphabetic())
            || !name.chars().all(is_letter)
        {
            return refused(
                "the name of a crate is ASCII letters, digits, - and _, a letter first",
            );
        }
        if TAKEN.contains(&identifier(name).as_str()) {
            return refused("means something else in Rust, in cargo, or in the crate itself");
        }
        Ok(name)
    }

    /// The dependencies on the library and on the harness, as they are written in `Cargo.toml`.
    fn sources(&self) -> Result<[String; 2], Failure> {
        let Some(tree) = &self.path else {
            return Ok([(); 2].map(|()| format!("git = \"{REPOSITORY}\"")));
        };
        let harness = tree.join("models");
        if !harness.join("Cargo.toml").is_file() {
            let (tree, missing) = (tree.display(), harness.display());
            return Err(Failure::Usage(format!(
                "--path: {tree} is not the source tree of interrex: there is no crate {missing}"
            )));
        }
        let path = |folder: &Path| {
            let folder = fs::canonicalize(folder).unwrap_or_else(|_| folder.into());
            format!("path = {}", toml::Value::from(folder.to_string_lossy().as_ref()))
        };
        Ok([path(tree), path(&harness)])
    }
}

fn write(path: &Path, text: &str) -> Result<(), Failure> {
    let folder = path.parent().expect("a file of the crate is in its folder");
    fs::create_dir_all(folder).map_err(|error| {
        Failure::Usage(format!("{}: cannot be made: {error}", folder.display()))
    })?;
    Ok(file::write(path, text)?)
}

/// The name of a crate in Rust.
fn identifier(name: &str) -> String {
    name.replace('-', "_")
}

/// Names that cargo refuses or that would clash in the crate: keywords, folders of cargo's, crates that are there already.
#[rustfmt::skip]
const TAKEN: &[&str] = &[
    "abstract", "as", "async", "await", "become", "box", "break", "const", "continue", "crate", "do", "dyn", "else", "enum",
    "extern", "false", "final", "fn", "for", "gen", "if", "impl", "in", "let", "loop", "macro", "match", "mod", "move", "mut",
    "override", "priv", "pub", "ref", "return", "self", "Self", "static", "struct", "super", "trait", "true", "try", "type",
    "typeof", "unsafe", "unsized", "use", "virtual", "where", "while", "yield",
    "build", "deps", "examples", "incremental", "test", "alloc", "core", "proc_macro", "std",
    "interrex", "interrex_models", "serde",
];

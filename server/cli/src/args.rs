//! The command line: what can be asked, with the defaults a person would want.

use crate::commands::eval::options::Eval;
use crate::failure::Failure;
use crate::location::{self, LineRange, Location, Place};
use clap::builder::RangedU64ValueParser;
use clap::{Args, Parser, Subcommand, ValueEnum};
use lacuna_engine::{Method, Preset, Sampling};
use lacuna_lsp::rank::REFINE_STRENGTH;
use std::path::PathBuf;

/// Most tokens that a bench decodes.
const TOKENS_MAX: u64 = 1 << 20;

const EXAMPLES: &str = "\
Examples:
  lacuna fill src/lib.rs              fill the todo!(), ..., pass, ‹› or empty body in the file
  lacuna fill src/lib.rs:12:9 -i      fill at line 12, column 9, and write the file
  lacuna editors neovim --write       set up an editor; lacuna editors lists them";

/// Fills a hole in a source file with a text-diffusion model that runs on this machine.
#[derive(Debug, Parser)]
#[command(name = "lacuna", version, after_help = EXAMPLES)]
pub struct Cli {
    /// The same as `lacuna lsp`, for editors that start servers that way
    #[arg(long, hide = true)]
    pub stdio: bool,
    /// What to do; without it a short help is printed.
    #[command(subcommand)]
    pub command: Option<Command>,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Serve an editor: the language server, on standard input and output
    Lsp(Lsp),
    /// Fill a hole: a marker, a position or a range
    Fill(Fill),
    /// Let the model correct lines that are there
    Refine(Refine),
    /// Measure fills against known answers
    Eval(Eval),
    /// Say what model, machine and grammars there are, and test them for two seconds
    Doctor(Doctor),
    /// Set up an editor: list them, print or write a configuration
    Editors(Editors),
    /// Measure the engine against its own controls
    #[command(subcommand, arg_required_else_help = false)]
    Bench(Bench),
    /// Recompute recorded tensors with this engine, for parity checks
    Replay(Replay),
}

/// `lacuna lsp`.
#[derive(Debug, Default, Args)]
#[command(
    after_help = "Editors start this by themselves. Settings come from the editor (section lacuna) and from\n\
    lacuna.toml in a workspace folder; --schema prints what there is. The log goes to standard error;\n\
    the environment variable LACUNA_LOG (error, warn, info, debug, trace) says how much."
)]
pub struct Lsp {
    /// Standard input and output; the only way there is, so it may be left out
    #[arg(long)]
    pub stdio: bool,
    /// Print the JSON schema of the settings and end
    #[arg(long)]
    pub schema: bool,
    /// The editor's process; the server ends with it (editors say it in the protocol too)
    #[arg(long = "clientProcessId", value_name = "PID", hide = true)]
    pub client_process_id: Option<u32>,
}

/// `lacuna fill`.
#[derive(Debug, Args)]
#[command(after_help = "Without a position the hole is a marker in the file: todo!(), unimplemented!(), \
    raise NotImplementedError, ..., pass, ‹› or an empty body.\n\
    Piped, the text of the hole is printed; --diff and --json print more.\n\
    Exit codes: 0 filled, 1 no usable candidate, 2 bad input, 130 interrupted.")]
pub struct Fill {
    /// FILE, FILE:LINE or FILE:LINE:COLUMN, counted from 1; - and -:LINE:COLUMN read standard input
    #[arg(value_name = "FILE[:LINE[:COLUMN]]", value_parser = location::parse_location)]
    pub location: Location,
    /// End of the range to replace, not included
    #[arg(long, value_name = "LINE:COLUMN", value_parser = location::parse_place)]
    pub to: Option<Place>,
    /// Fill the N-th marker of the file
    #[arg(long, value_name = "N", conflicts_with = "to")]
    pub marker: Option<usize>,
    /// Fill all markers together, each in view of the others; with TEXT, wherever it stands is a hole. The first to the last
    /// must fit one canvas of the model (64 tokens for the built-in one)
    #[arg(long, value_name = "TEXT", num_args = 0..=1, require_equals = true, default_missing_value = "",
        conflicts_with_all = ["to", "marker"])]
    pub all: Option<String>,
    /// Tokens of each hole, or one number for all of them, where the model's holes have no fixed length
    #[arg(long, value_name = "N,…", value_delimiter = ',', requires = "all")]
    pub tokens: Vec<usize>,
    /// Who fills them: the diffusion or one of its controls, with the same weights
    #[arg(long, value_enum, default_value_t, requires = "all")]
    pub method: MethodArg,
    /// What fill and refine share.
    #[command(flatten)]
    pub edit: EditArgs,
}

/// `lacuna refine`.
#[derive(Debug, Args)]
pub struct Refine {
    /// FILE:A-B, the lines to correct, counted from 1 and both included; -:A-B reads standard input
    #[arg(value_name = "FILE:A-B", value_parser = location::parse_line_range)]
    pub lines: LineRange,
    /// How much of the text is given up first: 0 keeps it, 1 forgets it
    #[arg(long, value_name = "0..1", default_value_t = REFINE_STRENGTH)]
    pub strength: f32,
    /// What fill and refine share.
    #[command(flatten)]
    pub edit: EditArgs,
}

/// Everything that is the same for fill and refine.
#[derive(Debug, Args)]
pub struct EditArgs {
    /// Write the file (atomically) instead of only showing the change
    #[arg(short, long)]
    pub in_place: bool,
    /// Use the N-th candidate of the list instead of the first
    #[arg(long, value_name = "N")]
    pub pick: Option<usize>,
    /// Print the change as a unified diff
    #[arg(long, conflicts_with = "json")]
    pub diff: bool,
    /// Print everything as one line of JSON
    #[arg(long)]
    pub json: bool,
    /// Say what it cost, on standard error where the output is piped, and list the candidates that cannot be used
    #[arg(short, long)]
    pub verbose: bool,
    /// Language of the file, such as rust or python, where its name does not tell
    #[arg(long, value_name = "ID")]
    pub language: Option<String>,
    /// How to sample.
    #[command(flatten)]
    pub sampling: SamplingArgs,
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
}

/// How to sample.
#[derive(Debug, Default, Args)]
pub struct SamplingArgs {
    /// Candidates to offer
    #[arg(long, value_name = "N")]
    pub candidates: Option<usize>,
    /// Most denoising steps
    #[arg(long, value_name = "N")]
    pub steps: Option<usize>,
    /// Quality against time: fast for ghost text, thorough for who waits
    #[arg(long, value_enum, default_value_t)]
    pub preset: PresetArg,
    /// Seed of the noise: same seed, same answer
    #[arg(long, value_name = "N", default_value_t = 0, allow_negative_numbers = true)]
    pub seed: u64,
}

impl SamplingArgs {
    /// The request's part of it.
    ///
    /// # Errors
    /// A count of zero.
    pub fn sampling(&self) -> Result<Sampling, Failure> {
        Ok(Sampling {
            preset: self.preset.into(),
            steps: at_least_one("--steps", self.steps)?,
            candidates: at_least_one("--candidates", self.candidates)?,
            seed: self.seed,
            lengths: None,
            drafts: None,
            canvases: None,
        })
    }
}

/// `--preset`. Comments on the values are not `///`: clap would spread the help over two screens.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PresetArg {
    // Few steps: for ghost text while typing.
    Fast,
    // The default.
    #[default]
    Balanced,
    // More lengths and steps: for a person who waits.
    Thorough,
}

impl From<PresetArg> for Preset {
    fn from(preset: PresetArg) -> Self {
        match preset {
            PresetArg::Fast => Self::Fast,
            PresetArg::Balanced => Self::Balanced,
            PresetArg::Thorough => Self::Thorough,
        }
    }
}

/// `--method`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum MethodArg {
    // All holes at once, with both sides in view.
    #[default]
    Diffusion,
    // Left to right; what is given is read when it is reached.
    Causal,
    // Left to right, with all that is given read first.
    CausalFim,
}

impl From<MethodArg> for Method {
    fn from(method: MethodArg) -> Self {
        match method {
            MethodArg::Diffusion => Self::Diffusion,
            MethodArg::Causal => Self::Causal,
            MethodArg::CausalFim => Self::CausalFim,
        }
    }
}

/// Which model to load, and with how many threads.
#[derive(Clone, Debug, Default, Args)]
pub struct ModelArgs {
    /// Model directory in Hugging Face layout, instead of the built-in model
    #[arg(long, value_name = "DIR")]
    pub model: Option<PathBuf>,
    /// Worker threads, instead of one a core
    #[arg(long, value_name = "N")]
    pub threads: Option<usize>,
    /// Precision of the matrix work; q8 and q4 (weights in 8 and 4 bits) on a GPU only
    #[arg(long, value_enum, default_value_t)]
    pub precision: PrecisionArg,
    /// Where the model runs; auto is the first NVIDIA GPU where build and machine have one, else the CPU
    #[arg(long, value_enum, default_value_t)]
    pub device: DeviceArg,
}

/// `--device`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum DeviceArg {
    // The GPU if it can be used, else the CPU.
    #[default]
    Auto,
    // The CPU.
    Cpu,
    // The first NVIDIA GPU, or an error.
    Cuda,
    // The GPU's kernels without a GPU: for tests.
    #[cfg(feature = "emulated")]
    Emulated,
}

/// `--precision`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum)]
pub enum PrecisionArg {
    // The fastest this machine does well.
    #[default]
    Auto,
    // 32-bit floats.
    F32,
    // bfloat16.
    Bf16,
    // Weights in 8 bits.
    Q8,
    // Weights in 4 bits.
    Q4,
}

/// `lacuna doctor`.
#[derive(Debug, Args)]
pub struct Doctor {
    /// Print the report as one line of JSON
    #[arg(long)]
    pub json: bool,
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
}

/// `lacuna editors`.
#[derive(Debug, Args)]
#[command(after_help = "Printed is exactly what is to be pasted; where it goes is said on standard error.\n\
    --write overwrites nothing: where a file is in the way it says so and ends with 2. After an upgrade,\n\
    --write --replace puts this version's files in place; each old one stays beside it, as NAME.old.")]
pub struct Editors {
    /// The editor; without it they are listed
    #[arg(value_name = "NAME")]
    pub name: Option<String>,
    /// Write the configuration to where the editor looks for it
    #[arg(long, requires = "name")]
    pub write: bool,
    /// With --write: also where another version of Lacuna's own files is there, which is kept as NAME.old
    #[arg(long, requires = "write")]
    pub replace: bool,
}

/// `lacuna bench`.
#[derive(Debug, Subcommand)]
pub enum Bench {
    /// Diffusion against autoregressive decoding with the same weights: time and exact match, side by side
    Generate(BenchGenerate),
    /// The time of one denoising step
    Step(BenchStep),
}

/// `lacuna bench step`.
#[derive(Debug, Args)]
pub struct BenchStep {
    /// Canvas length in tokens
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub canvas: usize,
    /// Cached prompt tokens
    #[arg(long, value_name = "N", default_value_t = 512)]
    pub prefix: usize,
    /// Canvases side by side
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub batch: usize,
    /// Steps timed
    #[arg(long, value_name = "N", default_value_t = 20)]
    pub repeats: usize,
    /// On a GPU: also decode N tokens left to right with the same weights
    #[arg(long, value_name = "N", default_value_t = 0, value_parser = RangedU64ValueParser::<usize>::new().range(0..=TOKENS_MAX))]
    pub causal: usize,
    /// On a GPU: 26b or mini with made-up weights, or a model directory
    #[arg(long, value_name = "26b|mini|DIR", conflicts_with = "model")]
    pub shape: Option<PathBuf>,
    /// How weights are stored: f32, bf16, q8 or q4 (the same as --precision)
    #[arg(long, value_enum, value_name = "FORMAT", conflicts_with = "precision")]
    pub weights: Option<PrecisionArg>,
    /// Print the result as one line of JSON
    #[arg(long)]
    pub json: bool,
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
}

/// `lacuna bench generate`.
#[derive(Debug, Args)]
pub struct BenchGenerate {
    /// Tokens of the hole and of the continuation
    #[arg(long, value_name = "N", default_value_t = 64)]
    pub tokens: usize,
    /// Cases as for eval, instead of the built-in ones
    #[arg(long, value_name = "CASES.jsonl")]
    pub cases: Option<PathBuf>,
    /// Only the first N cases
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Print the result as one line of JSON
    #[arg(long)]
    pub json: bool,
    /// How to sample.
    #[command(flatten)]
    pub sampling: SamplingArgs,
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
}

/// `lacuna replay`.
#[derive(Debug, Args)]
pub struct Replay {
    /// Model directory in Hugging Face layout
    #[arg(long, value_name = "DIR")]
    pub model: PathBuf,
    /// Recorded inputs
    #[arg(long, value_name = "IN.safetensors")]
    pub replay: PathBuf,
    /// Where to write the recomputed tensors
    #[arg(long, value_name = "OUT.safetensors")]
    pub out: PathBuf,
    /// Where the model runs
    #[arg(long, value_enum, default_value_t = DeviceArg::Cpu)]
    pub device: DeviceArg,
    /// Precision of the matrix work; parity is measured in f32
    #[arg(long, value_enum, default_value_t = PrecisionArg::F32)]
    pub precision: PrecisionArg,
}

/// A count from the command line that must not be zero.
///
/// # Errors
/// Zero, named by its flag.
pub fn at_least_one(flag: &str, value: Option<usize>) -> Result<Option<usize>, Failure> {
    match value {
        Some(0) => Err(Failure::input(format!("{flag} must be at least 1, found 0"))),
        other => Ok(other),
    }
}

/// clap's several lines of complaint as our one, with the name that was probably meant.
pub fn usage_line(error: &clap::Error) -> String {
    let rendered = error.render().to_string();
    let lines = rendered.lines().take_while(|line| !line.trim().is_empty());
    let joined = lines.map(str::trim).collect::<Vec<_>>().join(" ");
    // What Rust says of a number that is none; a person wants to know what is one.
    let plain = [
        ("invalid digit found in string", "expected a whole number from 0 on"),
        ("cannot parse integer from empty string", "expected a whole number"),
        ("number too large to fit in target type", "the number is too large"),
        ("invalid float literal", "expected a number such as 0.4"),
    ];
    let joined = plain.iter().fold(joined, |line, (said, meant)| line.replace(said, meant));
    let tip = rendered
        .lines()
        .find_map(|line| line.trim().strip_prefix("tip: "))
        .filter(|tip| tip.contains("similar"));
    let tip = tip.map(|tip| format!("; {tip}")).unwrap_or_default();
    format!("{}{tip} (try --help)", joined.strip_prefix("error: ").unwrap_or(&joined))
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    fn parse(words: &str) -> Result<Cli, clap::Error> {
        Cli::try_parse_from(words.split(' '))
    }

    #[test]
    fn the_command_tree_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn defaults_need_no_reading() {
        let Some(Command::Fill(fill)) = parse("lacuna fill a.rs").unwrap().command else { panic!() };
        assert_eq!(fill.edit.sampling.sampling().unwrap(), Sampling::default());
        assert!(!fill.edit.in_place && fill.edit.model.model.is_none());
        let Some(Command::Refine(refine)) = parse("lacuna refine a.rs:1-2").unwrap().command else {
            panic!()
        };
        assert!((refine.strength - REFINE_STRENGTH).abs() < f32::EPSILON);
    }

    #[test]
    fn zero_steps_and_candidates_are_refused_by_name() {
        let Some(Command::Fill(fill)) = parse("lacuna fill a.rs --steps 0").unwrap().command else {
            panic!()
        };
        let error = fill.edit.sampling.sampling().unwrap_err();
        assert_eq!(
            (error.to_string().as_str(), error.exit_code()),
            ("--steps must be at least 1, found 0", 2)
        );
    }

    #[test]
    fn usage_errors_fit_on_one_line() {
        let line = usage_line(&parse("lacuna refine a.rs").unwrap_err());
        assert!(line.contains("FILE:A-B") && !line.contains('\n'), "{line}");
        let line = usage_line(&parse("lacuna fill").unwrap_err());
        assert!(line.contains("FILE[:LINE[:COLUMN]]") && !line.contains('\n'), "{line}");
        let line = usage_line(&parse("lacuna fill a.rs --nonsense").unwrap_err());
        assert_eq!(line, "unexpected argument '--nonsense' found (try --help)");
        let line = usage_line(&parse("lacuna bench").unwrap_err());
        assert!(line.contains("generate, step") && line.contains("requires a subcommand"), "{line}");
    }

    #[test]
    fn a_number_that_is_none_is_told_what_is_one() {
        for (words, expected) in [
            ("lacuna fill a.rs --all --tokens four", "'four' for '--tokens <N,…>': expected a whole number"),
            ("lacuna fill a.rs --seed -1", "'-1' for '--seed <N>': expected a whole number from 0 on"),
            ("lacuna fill a.rs --steps 99999999999999999999999", "the number is too large"),
            ("lacuna refine a.rs:1 --strength much", "expected a number such as 0.4"),
        ] {
            let line = usage_line(&parse(words).unwrap_err());
            assert!(line.contains(expected), "{line}");
        }
    }

    #[test]
    fn a_slip_is_answered_with_what_was_meant() {
        let line = usage_line(&parse("lacuna fil a.rs").unwrap_err());
        assert!(line.contains("similar subcommand exists: 'fill'"), "{line}");
        let line = usage_line(&parse("lacuna fill a.rs --candidate 3").unwrap_err());
        assert!(line.contains("'--candidates'") && !line.contains('\n'), "{line}");
    }
}

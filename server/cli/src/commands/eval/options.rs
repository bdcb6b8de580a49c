//! What `lacuna eval` can be asked.

use super::methods::Way;
use crate::args::{ModelArgs, SamplingArgs};
use clap::Args;
use std::path::PathBuf;

/// `lacuna eval`.
#[derive(Debug, Args)]
#[command(after_help = "Each line of CASES.jsonl: task_id, prompt, suffix, canonical_solution (as in \
    HumanEval-Infilling; SantaCoder-FIM with name for task_id is read too), optionally language and kind (line, span,\n\
    lines or body). Several files are one.\n\
    answer: the first usable candidate; without one it is blank, not exact and no syntax kept\n\
    exact match: equal to the known answer, white space at the end aside\n\
    edit similarity: 1 - Levenshtein distance / longer length, in characters\n\
    syntax kept: an answer that adds no syntax error over the known one\n\
    repeats suffix: not exact, and ends with what stands after the hole (a whole line, or 3 or more characters of the \
    same line)\n\
    confidence: the stated probability that the answer is exact: fitted to outcomes where the model says how, else of \
    the hole given the code before\n\
    latency: one answer as a user gets it, from the plan to ranked candidates, after an unmeasured built-in case\n\
    --refine: into the lines around each hole one wrong token is put (identifier: another name of its kind from the file; \
    bracket: one is missing; argument: two neighbours of a call change places; operator: < for <=, - for +, 2 for 1, …), \
    then the line is refined as lacuna refine does it\n\
    repaired: the original again; untouched: left as it was; white space at line ends aside\n\
    worse: more tokens differ from the original than before; changed: neither of these. Fault none is right code, of which \
    every change is worse\n\
    Intervals are 95 % bootstrap intervals over cases. Exit codes: 0 done, 1 quality fell (--compare), 2 bad input.")]
pub struct Eval {
    /// Cases, one JSON object a line; without files the scorecard's own: fixtures/infill/cases/*.jsonl
    #[arg(value_name = "CASES.jsonl")]
    pub cases: Vec<PathBuf>,
    /// Only the first N cases
    #[arg(long, value_name = "N")]
    pub limit: Option<usize>,
    /// Only each N-th case
    #[arg(long, value_name = "N")]
    pub every: Option<usize>,
    /// Only holes of these kinds
    #[arg(long, value_name = "KIND,…", value_delimiter = ',')]
    pub kinds: Vec<String>,
    /// Only these languages
    #[arg(long, value_name = "ID,…", value_delimiter = ',')]
    pub languages: Vec<String>,
    /// Print the result as one line of JSON
    #[arg(long, conflicts_with_all = ["scorecard", "compare"])]
    pub json: bool,
    /// Diffusion, or one of its controls
    #[arg(long, value_enum, default_value_t)]
    pub method: Way,
    /// Write every case's answer to this file, one JSON object a line
    #[arg(long, value_name = "OUT.jsonl", conflicts_with_all = ["compare", "html"])]
    pub predictions: Option<PathBuf>,
    /// Run all methods and write one row a kind, language and method; beside it OUT.cases.csv and OUT.calibration.csv
    #[arg(long, value_name = "OUT.csv", conflicts_with = "compare")]
    pub scorecard: Option<PathBuf>,
    /// Run again and fail where quality fell by more than noise against this scorecard (its .cases.csv)
    #[arg(long, value_name = "SCORECARD.csv")]
    pub compare: Option<PathBuf>,
    /// Write a page that shows the cases side by side, with the canvas's history
    #[arg(long, value_name = "OUT.html", conflicts_with = "json")]
    pub html: Option<PathBuf>,
    /// Put faults into the cases' code and count what refining makes of it; --scorecard OUT.csv writes the table
    #[arg(long, conflicts_with_all = ["compare", "html", "methods", "method"])]
    pub refine: bool,
    /// The strengths of --refine
    #[arg(long, value_name = "0..1,…", value_delimiter = ',', requires = "refine",
        default_values_t = [0.1, 0.2, 0.3, 0.4, 0.5, 0.7])]
    pub strengths: Vec<f32>,
    /// The methods of --scorecard and --html (default: all) and of --compare (default: diffusion)
    #[arg(long, value_enum, value_name = "METHOD,…", value_delimiter = ',')]
    pub methods: Vec<Way>,
    /// How to sample.
    #[command(flatten)]
    pub sampling: SamplingArgs,
    /// Which model.
    #[command(flatten)]
    pub model: ModelArgs,
}

impl Eval {
    /// Whether several methods are run, and not one for its report.
    pub const fn is_board(&self) -> bool {
        self.scorecard.is_some() || self.compare.is_some() || self.html.is_some()
    }

    /// The files that will be written.
    pub fn outputs(&self) -> Vec<PathBuf> {
        let boards = self.scorecard.iter().flat_map(|path| {
            let beside = if self.refine { &[][..] } else { &["cases.csv", "calibration.csv"] };
            let beside = beside.iter().map(|extension| path.with_extension(extension));
            std::iter::once(path.clone()).chain(beside)
        });
        boards.chain(self.html.clone()).chain(self.predictions.clone()).collect()
    }

    /// The methods of a board, in the scorecard's order.
    pub fn ways(&self) -> Vec<Way> {
        match (self.methods.is_empty(), &self.compare) {
            (true, Some(_)) => vec![Way::Diffusion],
            (true, None) => Way::ALL.to_vec(),
            (false, _) => Way::ALL.into_iter().filter(|way| self.methods.contains(way)).collect(),
        }
    }
}

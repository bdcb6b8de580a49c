//! Change and request thirty times without a cancel, as Neovim does: every request is answered, the last with a result,
//! and the engine is not started for those that nobody waits for.

use super::{Figure, Programs, Target};
use lacuna_tests::client::{Client, Setup, Trigger};
use lacuna_tests::engine::Script;

const PAIRS: usize = 30;
const URI: &str = "file:///project/pairs.rs";
const CODE: &str = "/// The sum of some numbers.\nfn sum(numbers: &[u32]) -> u32 {\n    let mut total = 0;\n    \n    total\n}\n";

/// The pairs with a scripted engine and with the shipped model.
#[must_use]
pub fn pairs(programs: &Programs) -> Vec<Figure> {
    let stage = programs.stage();
    let script = Script { step_ms: 300.0, ..Script::default() };
    let mut figures = one("scripted engine (300 ms)", &mut stage.ready(&script, &Setup::default()));
    figures.extend(one("shipped model", &mut programs.shipped(&Setup::default())));
    figures
}

fn one(engine: &str, client: &mut Client) -> Vec<Figure> {
    client.open(URI, "rust", CODE);
    let mut caret = client.after(URI, "total = 0;\n    ");
    let before = client.counter("inferencesStarted");
    let typed = "total += numbers.iter().sum::<u32>() + 1;";
    let requests: Vec<i64> = (0..PAIRS)
        .map(|n| {
            client.type_at(URI, caret, &typed[n..=n]);
            caret += 1;
            client.request_inline(URI, caret, Trigger::Automatic)
        })
        .collect();
    let answers: Vec<_> = requests.into_iter().map(|id| client.response(id)).collect();
    let results = answers.iter().filter(|answer| answer.code() == 0).count();
    let superseded = answers.iter().filter(|answer| answer.code() == -32800).count();
    let last = &answers[PAIRS - 1];
    let started = client.counter("inferencesStarted") - before;
    vec![
        Figure::count(format!("{engine}: answers to {PAIRS} requests"), results + superseded)
            .held(Target::Exactly(PAIRS as f64)),
        Figure::count(format!("{engine}: code of the last answer"), last.code().unsigned_abs() as usize)
            .held(Target::Exactly(0.0)),
        Figure::count(format!("{engine}: inferences started"), started as usize).held(Target::AtMost(2.0)),
        Figure::ms(format!("{engine}: the last request to its answer"), last.after),
    ]
}

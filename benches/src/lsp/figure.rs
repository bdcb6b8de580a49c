//! A measured number beside what it is held against: as a line, and as JSON.

use crate::quantile;
use serde::Serialize;
use std::fmt;
use std::time::Duration;

/// What a number is held against.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Target {
    /// Not above.
    AtMost(f64),
    /// This and nothing else.
    Exactly(f64),
}

impl Target {
    fn is_met(self, value: f64) -> bool {
        match self {
            Self::AtMost(most) => value <= most,
            Self::Exactly(wanted) => (value - wanted).abs() < f64::EPSILON,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AtMost(most) => write!(formatter, "≤ {most}"),
            Self::Exactly(wanted) => write!(formatter, "= {wanted}"),
        }
    }
}

/// One number.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Figure {
    /// What was counted or timed.
    pub what: String,
    /// The number.
    pub value: f64,
    /// Its unit; empty for a count.
    pub unit: &'static str,
    /// What it is held against, where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target: Option<Target>,
    /// Whether it is what it should be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub met: Option<bool>,
}

impl Figure {
    /// A number that is only told.
    pub fn new(what: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self { what: what.into(), value: (value * 1000.0).round() / 1000.0, unit, target: None, met: None }
    }

    /// A count.
    pub fn count(what: impl Into<String>, value: usize) -> Self {
        Self::new(what, value as f64, "")
    }

    /// A time in milliseconds.
    pub fn ms(what: impl Into<String>, time: Duration) -> Self {
        Self::new(what, time.as_secs_f64() * 1e3, "ms")
    }

    /// The quantiles of some times; nothing for none.
    #[must_use]
    pub fn quantiles(what: &str, times: &mut [Duration], quantiles: &[(f64, Option<f64>)]) -> Vec<Self> {
        if times.is_empty() {
            return Vec::new();
        }
        let named = |&(share, most): &(f64, Option<f64>)| {
            let name = if share < 1.0 { format!("p{}", share * 100.0) } else { "max".to_owned() };
            let figure = Self::ms(format!("{what}, {name}"), quantile(times, share));
            match most {
                Some(most) => figure.held(Target::AtMost(most)),
                None => figure,
            }
        };
        quantiles.iter().map(named).collect()
    }

    /// The same, held against a target.
    #[must_use]
    pub fn held(mut self, target: Target) -> Self {
        self.target = Some(target);
        self.met = Some(target.is_met(self.value));
        self
    }
}

impl fmt::Display for Figure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{:<88} {:>10} {:<5}", self.what, self.value, self.unit)?;
        if let (Some(target), Some(met)) = (self.target, self.met) {
            write!(formatter, " {target:<8} {}", if met { "met" } else { "MISSED" })?;
        }
        Ok(())
    }
}

/// The numbers of one measure.
#[derive(Clone, Debug, Serialize)]
pub struct Report {
    /// The measure's name.
    pub measure: &'static str,
    /// Processes that ran or waited for a core when it began: above the number of cores, times are longer than they are.
    pub load: f64,
    /// What was measured.
    pub figures: Vec<Figure>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_figure_says_whether_its_target_is_met() {
        let mut times: Vec<Duration> = (1..=100).map(Duration::from_millis).collect();
        let figures =
            Figure::quantiles("time", &mut times, &[(0.5, Some(60.0)), (0.99, Some(60.0)), (1.0, None)]);
        let told: Vec<(f64, Option<bool>)> =
            figures.iter().map(|figure| (figure.value, figure.met)).collect();
        assert_eq!(told, [(51.0, Some(true)), (99.0, Some(false)), (100.0, None)]);
        assert!(figures[1].to_string().ends_with("MISSED"), "{}", figures[1]);
        assert_eq!(Figure::count("lost", 1).held(Target::Exactly(0.0)).met, Some(false));
    }
}

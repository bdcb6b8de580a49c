//! Whose turn it is: a newer request of the same kind for the same document supersedes the older, at once.

use lacuna_engine::CancelToken;
use tokio::sync::oneshot;

/// Requests that supersede each other only among themselves.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Lane {
    /// `textDocument/inlineCompletion`.
    Inline,
    /// `textDocument/completion`.
    Completion,
    /// What a person asked for by an action or a command.
    Action,
}

/// The latest request of each lane.
#[derive(Debug, Default)]
pub struct Turns {
    /// The change of settings that came last before the newest request.
    pub settings: u64,
    inline: Latest,
    completion: Latest,
    /// Actions under way; they end with their document only.
    actions: Vec<oneshot::Sender<()>>,
}

#[derive(Debug, Default)]
struct Latest {
    token: CancelToken,
    superseded: Option<oneshot::Sender<()>>,
}

/// A request's turn. Dropping it cancels the request's work: an answer nobody waits for is not computed.
#[derive(Debug)]
pub struct Turn {
    /// Polled by the engine.
    pub cancel: CancelToken,
    /// `None`: nothing supersedes it.
    superseded: Option<oneshot::Receiver<()>>,
}

impl Turns {
    /// The next turn in a lane; the one before it is over. Actions never supersede each other.
    pub fn next(&mut self, lane: Lane) -> Turn {
        let latest = match lane {
            Lane::Inline => &mut self.inline,
            Lane::Completion => &mut self.completion,
            Lane::Action => {
                let (sender, superseded) = oneshot::channel();
                self.actions.retain(|other| !other.is_closed());
                self.actions.push(sender);
                return Turn { cancel: CancelToken::new(), superseded: Some(superseded) };
            }
        };
        let (sender, superseded) = oneshot::channel();
        if let Some(older) = latest.superseded.replace(sender) {
            // An error only says that the older request has had its answer.
            let _ = older.send(());
        }
        latest.token = latest.token.supersede();
        Turn { cancel: latest.token.clone(), superseded: Some(superseded) }
    }
}

impl Turn {
    /// A turn that nothing supersedes.
    #[must_use]
    pub fn alone() -> Self {
        Self { cancel: CancelToken::new(), superseded: None }
    }

    /// Comes to an end when a newer request has come, or the document was closed.
    pub async fn superseded(&mut self) {
        match &mut self.superseded {
            Some(superseded) => drop(superseded.await),
            None => std::future::pending().await,
        }
    }
}

impl Drop for Turn {
    fn drop(&mut self) {
        self.cancel.cancel();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn a_newer_request_of_the_lane_ends_the_older() {
        let mut turns = Turns::default();
        let (mut first, mut other) = (turns.next(Lane::Inline), turns.next(Lane::Completion));
        assert!(first.superseded().now_or_never().is_none());
        let mut second = turns.next(Lane::Inline);
        assert!(first.superseded().now_or_never().is_some());
        assert!(first.cancel.is_cancelled());
        assert!(second.superseded().now_or_never().is_none());
        assert!(!second.cancel.is_cancelled());
        assert!(other.superseded().now_or_never().is_none());
        let cancel = second.cancel.clone();
        drop(second);
        assert!(cancel.is_cancelled());
        drop(turns);
        assert!(other.superseded().now_or_never().is_some(), "a closed document has no turns");
    }

    #[test]
    fn actions_stand_beside_each_other() {
        let mut turns = Turns::default();
        let (mut first, second) = (turns.next(Lane::Action), turns.next(Lane::Action));
        assert!(first.superseded().now_or_never().is_none());
        assert!(!first.cancel.is_cancelled());
        drop(second);
        let _third = turns.next(Lane::Action);
        assert_eq!(turns.actions.len(), 2, "what is over is not kept");
        drop(turns);
        assert!(first.superseded().now_or_never().is_some(), "a closed document has no turns");
    }
}

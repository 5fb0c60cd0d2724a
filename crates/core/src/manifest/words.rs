//! Words about a file: our own, and what they quote from it. Of a Secret nothing is quoted.
//!
//! What is wrong with a line is found before it is known which object the line belongs to, so
//! both kinds of words are kept apart until somebody says who may read them. Words of our own
//! can only be made from literals and from what is handed to [`Words::ours`] by that name.

use std::fmt;

/// What stands for a text that is not shown.
pub(super) const HIDDEN: &str = "***";

/// A sentence with what it quotes from the file kept apart.
#[derive(Clone, PartialEq, Eq)]
pub(super) struct Words(Vec<Piece>);

#[derive(Clone, PartialEq, Eq)]
enum Piece {
    Ours(String),
    Quoted(String),
}

/// Begins a sentence.
pub(super) fn say(text: &'static str) -> Words {
    Words(vec![Piece::Ours(text.to_owned())])
}

impl Words {
    /// Goes on with words that hold nothing of the file but names of fields and objects.
    pub fn ours(mut self, text: impl fmt::Display) -> Self {
        self.0.push(Piece::Ours(text.to_string()));
        self
    }

    /// Goes on with a text of the file.
    pub fn quote(mut self, text: impl fmt::Display) -> Self {
        self.0.push(Piece::Quoted(text.to_string()));
        self
    }

    /// The sentence; `quotes`: with what it quotes.
    pub fn text(&self, quotes: bool) -> String {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Quoted(_) if !quotes => HIDDEN,
            Piece::Ours(text) | Piece::Quoted(text) => text,
        });
        pieces.collect()
    }
}

impl From<&'static str> for Words {
    fn from(text: &'static str) -> Self {
        say(text)
    }
}

impl fmt::Debug for Words {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text(false))
    }
}

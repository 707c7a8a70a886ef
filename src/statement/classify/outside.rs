//! The parts of statements outside queries: EXPLAIN's options, PREPARE's name, COPY's direction, CREATE's object, what SET
//! sets. Owns no state; it is the other half of `classify`.

use super::Classifier;
use super::Mode;
use super::Names;
use super::is_temporary_schema;
use crate::statement::keyword::Keyword;
use crate::statement::kind::Kind;
use crate::statement::kind::SessionEffect;
use crate::statement::lexer::Lexeme;
use crate::statement::piece::Piece;
use crate::statement::verbs;

impl Classifier<'_> {
    /// `EXPLAIN (a, b) verb`, `EXPLAIN (SELECT ..)` and `EXPLAIN ANALYZE VERBOSE verb`.
    pub(super) fn explain(&mut self, piece: &Piece) {
        let query = matches!(
            piece.word(),
            Some(Keyword::Select | Keyword::Values | Keyword::Table | Keyword::With)
        );
        if self.boundary.depth() > 0 {
            match piece.lexeme {
                Lexeme::Open if self.boundary.depth() > 1 => self.mode = Mode::Verb,
                Lexeme::Open => {}
                _ if query => self.verb(piece),
                _ => self.mode = Mode::ExplainOptions,
            }
        } else if !matches!(
            piece.word(),
            Some(Keyword::Analyze | Keyword::Analyse | Keyword::Verbose)
        ) {
            self.verb(piece);
        }
    }

    pub(super) fn name(&mut self, piece: &Piece) {
        let last = self.history.back(1);
        match self.mode {
            // Its real name cannot be read off the token: not followed, so not trusted.
            _ if piece.lexeme == Lexeme::UnicodeQuoted => self.unparsed(),
            Mode::PrepareTypes if last.is(Keyword::Transaction) && piece.lexeme == Lexeme::Text => {
                self.names = Names::Nothing;
                self.rest(Kind::Tx, SessionEffect::Transaction);
            }
            Mode::PrepareTypes if piece.is(Keyword::As) && self.boundary.depth() == 0 => {
                if let Names::Prepare { name, .. } = self.names {
                    self.names = Names::Prepare {
                        name,
                        body: piece.end(),
                    };
                }
                self.write(Kind::Prepare);
                self.leave(SessionEffect::Session);
                self.mode = Mode::Verb;
            }
            Mode::PrepareTypes => {}
            _ if !piece.is_name() => self.unparsed(),
            Mode::PrepareName => {
                self.names = Names::Prepare {
                    name: *piece,
                    body: piece.end(),
                };
                self.mode = Mode::PrepareTypes;
            }
            Mode::ExecuteName => {
                self.names = Names::Execute(*piece);
                self.mode = Mode::Query;
            }
            _ if piece.is(Keyword::Prepare) && last.is(Keyword::Deallocate) => {}
            _ => {
                self.names = Names::Deallocate((!piece.is(Keyword::All)).then_some(*piece));
                self.mode = Mode::Rest;
            }
        }
    }

    pub(super) fn copy(&mut self, piece: &Piece) {
        if self.boundary.depth() > 0 {
            if piece.lexeme == Lexeme::Open && self.history.back(1).is(Keyword::Copy) {
                self.mode = Mode::Verb;
            }
            return;
        }
        let last = self.history.back(1);
        let directed = self.kinds.contains(Kind::CopyIn) || self.kinds.contains(Kind::CopyOut);
        match piece.word() {
            // `COPY s.to FROM STDIN`: a table's name.
            _ if last.lexeme == Lexeme::Dot => {}
            Some(Keyword::From) if !directed => self.write(Kind::CopyIn),
            Some(Keyword::To) if !directed => self.kinds = self.kinds.with(Kind::CopyOut),
            word if directed && (last.is(Keyword::To) || last.is(Keyword::From)) => match word {
                Some(Keyword::Program) => self.write(Kind::CopyProgram),
                Some(Keyword::Stdout) => {}
                _ => self.read_only = false,
            },
            _ => {}
        }
    }

    pub(super) fn create(&mut self, piece: &Piece) {
        let last = self.history.back(1);
        if self.boundary.depth() > 0 {
            return;
        }
        if piece.lexeme == Lexeme::Dot && is_temporary_schema(last.of(self.text)) {
            self.temporary = true;
        }
        match (self.mode, piece.word()) {
            (Mode::Create, Some(Keyword::Temp | Keyword::Temporary)) => self.temporary = true,
            (Mode::Create, Some(Keyword::Materialized | Keyword::Table)) => {
                self.mode = Mode::CreateAs
            }
            (Mode::Create, Some(Keyword::Schema)) => self.mode = Mode::CreateSchema,
            (Mode::Create, Some(word)) if verbs::comes_before_object(word) => {}
            (Mode::Create, _) => self.mode = Mode::CreateOther,
            (Mode::CreateAs, Some(Keyword::As)) if last.lexeme != Lexeme::Dot => {
                self.mode = Mode::Verb
            }
            (Mode::CreateAs, Some(Keyword::Drop)) if last.is(Keyword::Commit) && self.temporary => {
                self.temporary = false;
                self.leave(SessionEffect::Transaction);
            }
            (Mode::CreateSchema, Some(Keyword::Grant)) => self.write(Kind::Grant),
            _ => {}
        }
    }

    /// SET, DISCARD or ALTER, their second word, and the piece after it.
    pub(super) fn second_word(&mut self, verb: Keyword, third: &Piece) {
        let second = self.history.back(1);
        self.mode = Mode::Rest;
        match (verb, second.word()) {
            (Keyword::Alter, Some(Keyword::Default)) => self.write(Kind::Grant),
            (Keyword::Alter, _) => {}
            (Keyword::Discard, Some(Keyword::All)) => self.leave(SessionEffect::DiscardAll),
            // `SET local.x = 1` and `SET local TO 1` set a parameter of that name.
            (Keyword::Set, Some(Keyword::Local | Keyword::Transaction | Keyword::Constraints))
                if third.is_name() && !third.is(Keyword::To) =>
            {
                self.leave(SessionEffect::Transaction);
            }
            _ => self.leave(SessionEffect::Session),
        }
    }
}
